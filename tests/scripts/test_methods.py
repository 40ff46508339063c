"""The study of methods: how runs become rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scripts.lib.gap_figure import draw_gaps
from scripts.methods import FULL, Run, by_weight, describe, gaps, shown, summary


def figures(live: float, averaged: float, swing: float = 1.0, best: float = 80.0) -> dict[str, Any]:
    """What is kept of one run with these means over the second half."""
    of = {
        name: {"best": best, "mean": mean, "swing": swing, "climb": [(1, 0.5)]} for name, mean in (("live", live), ("averaged", averaged))
    }
    return {"epochs": 2, **of, "seconds": 0.1, "bias": None}


RUNS = {
    Run("cora-gcn", 1, FULL, 0): figures(80, 81, swing=2.0),
    Run("cora-gcn", 1, FULL, 1): figures(82, 83, swing=2.0),
    Run("cora-gcn", 1, "GAS", 0): figures(79, 82, best=81.0),
    Run("cora-gcn", 1, "GAS", 1): figures(80, 83),
    Run("cora-gcn", 1, "GAS", 2): figures(10, 10),  # no full batch with this seed
    Run("citeseer-gcn", 1, FULL, 0): figures(70, 71, swing=4.0),
    Run("citeseer-gcn", 1, "GAS", 0): figures(67, 71, swing=3.0),
    Run("pubmed-gcn", 1, "GAS", 0): figures(10, 10),  # no full batch
    Run("cora-gcn", 0.1, "GAS", 0): figures(10, 10),  # another learning rate
}


def test_a_summary_is_over_cells_and_pairs_equal_seeds():
    row = summary(1, "GAS", "live", RUNS)
    assert row is not None and row["cells"] == 2
    assert row["second half"] == "-2.25 ± 0.75"  # of -1.5 and -3
    assert row["worst cell"] == "-3.00 ± 0.00 (citeseer-gcn)"
    assert row["best epoch"] == "+0.25 ± 0.25"  # +0.5 and 0
    assert row["swing"] == "0.67x"  # (1 + 3) / (2 + 4)


def test_a_summary_may_be_of_some_cells() -> None:
    row = summary(1, "GAS", "live", RUNS, ["cora-gcn"])
    assert row is not None and (row["cells"], row["second half"]) == (1, "-1.50 ± 0.00")
    assert summary(1, "GAS", "live", RUNS, ["pubmed-gcn"]) is None


def test_averaged_weights_are_compared_with_the_live_ones_of_full_batch():
    row = summary(1, "GAS", "averaged", RUNS)
    assert row is not None and row["second half"] == "+1.25 ± 0.25"
    whole = summary(1, FULL, "averaged", RUNS)
    assert whole is not None and whole["second half"] == "+1.00 ± 0.00"


@pytest.mark.parametrize(("rate", "variant"), [(1, FULL), (0.1, "GAS"), (1, "Cluster-GCN")])
def test_there_is_no_row_without_something_to_compare(rate, variant):
    assert summary(rate, variant, "live", RUNS) is None


def test_a_cell_has_all_runs_and_its_difference_those_with_a_partner():
    row = describe("cora-gcn", 1, "GAS", "live", RUNS)
    assert row is not None and row["runs"] == 3
    assert row["to full batch"] == "-1.50 ± 0.50"


def test_what_is_drawn_are_the_differences_of_equal_seeds(tmp_path: Path) -> None:
    drawn = gaps(1, "GAS", "live", RUNS)
    assert drawn == {"cora-gcn": [-1, -2], "citeseer-gcn": [-3]}
    assert draw_gaps({"GAS": drawn}, "points", tmp_path / "gaps.png") and (tmp_path / "gaps.png").read_bytes().startswith(b"\x89PNG")
    assert not draw_gaps({"GAS": {}}, "points", tmp_path / "none.png") and not (tmp_path / "none.png").exists()


def test_the_bias_by_weight_is_of_matrices_first_to_last() -> None:
    measured: list[dict[str, float | None]] = [{"convs.0.weight": 0.1, "convs.0.bias": 9, "convs.1.weight": 0.3, "lin.weight": None}]
    measured.append({"convs.0.weight": 0.3, "convs.0.bias": 9, "convs.1.weight": 0.5, "lin.weight": 1})
    found = by_weight(measured)
    assert found == pytest.approx({"convs.0.weight": 0.2, "convs.1.weight": 0.4}) and by_weight([]) == {}
    assert shown([found, {"convs.0.weight": 0.4, "convs.1.weight": 0.6}]) == "0.30, 0.50"
    assert shown([{str(layer): layer / 10 for layer in range(9)}]) == "0.00, 0.10, …, 0.70, 0.80"


def test_seconds_to_full_batch_are_epochs_times_seconds() -> None:
    row = describe("cora-gcn", 1, "GAS", "live", {run: of | {"seconds": 0.25, "tables": 3 << 20} for run, of in RUNS.items()})
    assert row is not None and (row["epochs to full batch"], row["s to full batch"], row["tables, MiB"]) == ("1", "0.2", "3.0")
