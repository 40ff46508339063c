"""Every variant trains in steps of as many seeds, what is missing is named, and NumPy draws what it should."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import sampling
from scripts.lib.report import read

NODES = 600
WITH_LOADER = any(find_spec(name) for name in ("pyg_lib", "torch_sparse"))
without = pytest.mark.skipif(not WITH_LOADER, reason="not installed: pyg_lib or torch_sparse")


def run(monkeypatch: pytest.MonkeyPatch, out: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["sampling", "--nodes", str(NODES), "--rounds", "1", "--out", str(out)])
    sampling.main()


def test_both_cases_have_a_row_for_each_variant_and_the_missing_loader_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("benchmarks.lib.pyg_training.find_spec", lambda name: None)
    run(monkeypatch, tmp_path)
    content = read("sampling-cpu", tmp_path)
    found = [(row["what"], row["variant"]) for row in content["rows"]]
    assert found == [("epoch", "sampling"), ("epoch", "gas"), ("build", "sampling"), ("build", "numpy")]
    assert all(row["min"] > 0 and len(row["all"]) == 1 and (row["ratio"] == 1) == (row["variant"] == "sampling") for row in content["rows"])
    settings = content["settings"]
    assert (settings["train"], settings["steps"], settings["seeds"]) == (NODES // 2, 1, NODES // 2)
    assert settings["seeds"] < settings["nodes_read"] <= NODES
    text = (tmp_path / "sampling-cpu.md").read_text(encoding="utf-8")
    assert "Left out: PyG: neither pyg-lib nor torch-sparse is installed." in text and text.count("| 1.00x |") == 2
    assert "NeighborLoader |" not in text


def test_the_report_is_there_after_the_first_case(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    timed, in_turns = [], sampling.in_turns

    def stopped(*given: Any) -> dict[str, list[float]]:
        if timed:
            raise KeyboardInterrupt
        timed.append(1)
        return in_turns(*given)

    monkeypatch.setattr(sampling, "in_turns", stopped)
    with pytest.raises(KeyboardInterrupt):
        run(monkeypatch, tmp_path)
    assert {row["what"] for row in read("sampling-cpu", tmp_path)["rows"]} == {"epoch"}
    text = (tmp_path / "sampling-cpu.md").read_text(encoding="utf-8")
    assert sampling.CASES["epoch"] in text and sampling.CASES["build"] not in text


@without
def test_pyg_has_as_many_steps() -> None:
    comparison = sampling.prepare(5000, "cpu")
    assert comparison.missing == {} and comparison.sizes["steps"] == comparison.cases["build"]["pyg"]() == 3


@pytest.mark.parametrize("fan_out", [1, 3, 100])
def test_numpy_draws_different_entries_of_each_row(fan_out: int) -> None:
    rng = np.random.default_rng(0)
    degree = rng.integers(0, 8, 50)
    rowptr = np.concatenate([[0], np.cumsum(degree)])
    col = np.arange(rowptr[-1], dtype=np.int32)  # an entry is its own column: it says whose row it is of
    targets = rng.permutation(50)[:20]
    rows, drawn = sampling.draw(rowptr, col, targets, fan_out, rng)
    assert np.unique(drawn).size == drawn.size
    np.testing.assert_array_equal(np.bincount(rows, minlength=20), np.minimum(degree[targets], fan_out))
    np.testing.assert_array_equal(np.searchsorted(rowptr, drawn, side="right") - 1, targets[rows])


def test_numpy_draws_each_neighbour_equally_often() -> None:
    rowptr, col = np.array([0, 4]), np.arange(4, dtype=np.int32)
    rng, targets = np.random.default_rng(0), np.zeros(8000, np.int64)
    counts = np.bincount(sampling.draw(rowptr, col, targets, 2, rng)[1], minlength=4)
    assert abs(counts - 4000).max() < 200  # 4.5 deviations of a binomial with p = 1/2
