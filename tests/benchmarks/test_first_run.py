"""The second run finds the kernels of the first, and nothing else of it; what the table says is a difference within a round."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks import first_run
from gas_cli.config.compose import compose_config

PROGRAM = """
import os, pathlib, sys, time
kernels, cache = (pathlib.Path(os.environ[name]) for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME"))
out = pathlib.Path(next(word for word in sys.argv if word.startswith("hydra.run.dir=")).partition("=")[2])
assert not cache.exists() and not out.exists()
cache.mkdir(parents=True), out.mkdir(parents=True)
if not kernels.exists():
    while time.process_time() < 0.5:
        pass
    kernels.mkdir()
    (kernels / "kernel.nbc").touch()
"""
"""Stands for gas-train: computes for half a second where it finds no kernels, and fails where it finds anything else."""


def program(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    monkeypatch.setattr(first_run, "COMMAND", (sys.executable, "-c", code))


@pytest.mark.parametrize("model", first_run.MODELS)
def test_what_is_run_composes(model: str) -> None:
    config = compose_config([*first_run.SETTINGS, f"model={model}"])
    assert config.model.name == model and config.trainer.epochs == 1


def test_the_second_run_has_only_the_kernels_of_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In every round and for every model anew."""
    program(monkeypatch, PROGRAM)
    monkeypatch.setattr("sys.argv", ["first_run", "--models", "gat", "gcn", "--rounds", "2", "--out", str(tmp_path)])
    first_run.main()
    rows = json.loads((tmp_path / "first-run.json").read_text())["rows"]
    assert [row["model"] for row in rows] == ["gat", "gcn"]
    for row in rows:
        assert len(row["clock"]["first"]["all"]) == 2
        assert row["processor"]["first"]["min"] >= 0.5 > row["processor"]["second"]["max"] > 0
        assert row["clock"]["second"]["min"] > 0 and row["processor"]["compiling"]["min"] > 0.2


def test_a_run_that_fails_ends_the_benchmark_with_its_message(monkeypatch: pytest.MonkeyPatch) -> None:
    program(monkeypatch, "import sys; sys.exit('no such dataset')")
    with pytest.raises(SystemExit, match=r"gas-train .*model=gcn.* failed:\nno such dataset"):
        first_run.both_runs("gcn")


def test_a_run_that_caches_no_kernels_measures_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    program(monkeypatch, "pass")
    with pytest.raises(SystemExit, match="has cached no kernels"):
        first_run.both_runs("gcn")


def test_compiling_is_the_difference_within_a_round() -> None:
    rounds = [
        {run: dict.fromkeys(first_run.CLOCKS, s) for run, s in zip(first_run.RUNS, pair, strict=True)} for pair in ((9, 1), (5, 4), (7, 2))
    ]
    row = first_run.row_of("gcn", rounds)
    assert row["clock"]["compiling"]["all"] == [8, 1, 5] and row["clock"]["compiling"]["median"] == 5
    text = first_run.table({"settings": {"rounds": 3}, "rows": [row]})
    cells = "7.0 (5.0–9.0) | 2.0 (1.0–4.0) | 5.0 (1.0–8.0)"
    assert f"| gcn | {cells} | {cells} |" in text and "3 rounds" in text
