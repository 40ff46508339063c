"""Runs on splits that settings make."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from gas_cli.config.compose import load_config
from gas_cli.training.checkpoint import load_checkpoint
from tests.end_to_end.conftest import Command
from tests.end_to_end.runs import assert_refused, differences, essence, lines, summary, train

FOLDS = ("dataset.folds=3", "dataset.make_split=stratified", "dataset.split_seed=5")


def test_folds_are_the_single_runs_on_each_of_them(tmp_path: Path) -> None:
    together = train(tmp_path / "together", *FOLDS)
    for fold in range(3):
        train(tmp_path / str(fold), *FOLDS, f"dataset.split={fold}")
        one = tmp_path / "together" / "runs" / f"{fold:02d}"
        assert differences(essence(one), essence(tmp_path / str(fold))) == []
        assert load_config(one / "config.yaml") == load_config(tmp_path / str(fold) / "config.yaml")
    for key in ("train", "val", "test"):
        values = [found[key] for found in together["runs"]]
        assert together[key] == pytest.approx(np.mean(values)) and len(set(values)) > 1
        assert together["std"][key] == pytest.approx(np.std(values, ddof=1))
    assert (together["num_runs"], together["folds"]) == (3, 3)
    assert sum(found["nodes"] for found in together["test_classes"]) == 300  # each node was tested once


def test_folds_that_were_stopped_go_on(tmp_path: Path, gas_train: Command) -> None:
    train(tmp_path / "here", *FOLDS)
    for path in sorted((tmp_path / "here" / "runs" / "02").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    first = tmp_path / "here" / "runs" / "00" / "checkpoints" / "last.pt"
    before = first.stat().st_mtime_ns
    assert gas_train("resume=here").code == 0
    assert first.stat().st_mtime_ns == before, "a finished fold was trained again"
    assert gas_train("resume=here", "trainer.epochs=4").code == 0
    train(tmp_path / "whole", *FOLDS, "trainer.epochs=4")
    for number in ("00", "01", "02"):
        assert differences(essence(tmp_path / "here" / "runs" / number), essence(tmp_path / "whole" / "runs" / number)) == []
    assert [summary(tmp_path / "here")[key] for key in ("test", "std")] == [summary(tmp_path / "whole")[key] for key in ("test", "std")]
    assert_refused(gas_train("resume=here", "dataset.folds=4"), "dataset.folds=4", "cannot be changed")


def test_folds_are_not_repeated_with_other_seeds(gas_train: Command) -> None:
    assert_refused(gas_train("dataset.folds=3", "runs=2"), "runs=2 is not valid: expected 1 with dataset.folds=3, which makes 3 runs")


def test_a_prediction_chooses_a_fold(tmp_path: Path, gas_predict: Command) -> None:
    train(tmp_path / "here", *FOLDS)
    assert_refused(gas_predict("run=here"), "run=here holds 3 runs: choose one, such as run=here/runs/00", program="gas-predict")
    outcome = gas_predict("run=here/runs/01")
    assert outcome.code == 0 and "changed" not in outcome.out + outcome.err


def test_every_seed_of_the_run_has_the_same_nodes(tmp_path: Path) -> None:
    train(tmp_path, "dataset.make_split=random", "runs=2")
    graphs = [load_checkpoint(tmp_path / "runs" / name / "checkpoints" / "last.pt")["fingerprint"]["graph"] for name in ("00", "01")]
    assert graphs[0] == graphs[1]


def test_without_validation_nodes_the_last_epoch_is_the_best(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = train(tmp_path, "dataset.make_split=random", "dataset.shares=[0.5,0,0.5]")
    assert caplog.text.count("has no validation nodes, so the last evaluation counts as the best one") == 1
    assert found["best_epoch"] == 3 and math.isnan(found["val"]) and found["test"] == lines(tmp_path)[-1]["test"]
    best, last = (load_checkpoint(tmp_path / "checkpoints" / f"{name}.pt")["model"] for name in ("best", "last"))
    assert all(bool((best[key] == last[key]).all()) for key in last)


def test_patience_without_validation_nodes_is_refused(gas_train: Command) -> None:
    outcome = gas_train("dataset.make_split=random", "dataset.shares=[0.5,0,0.5]", "trainer.patience=5", "partitioner.cache=null")
    assert_refused(outcome, "trainer.patience=5 needs validation nodes", "Type trainer.patience=null")
