"""The table at the end of a run."""

from __future__ import annotations

import statistics

import pytest

from gas_cli.report.results import chosen_by, combine_last, combine_selected, last_evaluation, results_table

ONE = {
    "metric": "accuracy",
    "best_epoch": 7,
    **{"train": 1.0, "val": 0.75, "test": 0.5},
    "last": {"epoch": 20, "train": 1.0, "val": 0.7, "test": None},
}


def test_one_run_has_its_best_and_its_last_epoch() -> None:
    assert results_table(ONE).splitlines() == [
        "accuracy  best epoch 7  last epoch 20",
        "train     1.0000        1.0000",
        "val       0.7500        0.7000",
        "test      0.5000        -",
    ]


def test_several_runs_have_mean_and_deviation() -> None:
    runs = [{"epoch": epoch, "train": 1.0, "val": val, "test": val} for epoch, val in ((20, 0.25), (12, 0.75))]
    many = {**ONE, "num_runs": 2, "std": {"train": 0.0, "val": 0.25, "test": None}, **combine_last(runs)}
    lines = results_table(many).splitlines()
    assert lines[0] == "accuracy  best epoch, mean ± std of 2 runs  last epoch, mean ± std"
    assert results_table({**many, "folds": 2}).splitlines()[0] == lines[0].replace("2 runs", "2 folds")
    assert lines[2].split() == ["val", "0.7500", "±", "0.2500", "0.5000", "±", f"{statistics.stdev([0.25, 0.75]):.4f}"]


def test_a_line_names_the_metric_that_chose_the_best_epoch() -> None:
    selected = {"train": 1.0, "val": 0.625, "test": None}
    chosen = {**ONE, "select": "macro_f1", "selected": selected}
    assert results_table(chosen).splitlines()[-1] == "Best epoch by macro_f1 on the validation nodes: train 1.0000, val 0.6250, test -"
    assert chosen_by(ONE) == 0.75 and chosen_by(chosen) == 0.625 and chosen_by({"val": None}) is None
    several = chosen | combine_selected([selected, selected | {"val": 0.375}])
    assert chosen_by(several) == 0.5
    assert f"val 0.5000 ± {statistics.stdev([0.625, 0.375]):.4f}" in results_table(several).splitlines()[-1]


def test_the_last_evaluation_is_that_of_the_last_evaluated_epoch() -> None:
    records = [{"epoch": 1, "train": 0.1, "val": 0.2, "test": 0.3}, {"epoch": 2, "loss": 1.0}]
    assert last_evaluation(records) == {"epoch": 1, "train": 0.1, "val": 0.2, "test": 0.3}


@pytest.mark.parametrize("records", [[], [{"epoch": 1, "loss": 1.0}]])
def test_without_an_evaluation_there_is_no_table(records: list[dict[str, float]]) -> None:
    assert last_evaluation(records) == {} and results_table({**ONE, "last": last_evaluation(records)}) == "" == results_table({})
