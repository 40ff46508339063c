"""Regression from a folder to predictions."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, r2_score

from gas_cli.api import predict
from gas_cli.errors import UserError
from gas_cli.export import export_model
from gas_cli.training.identity import check_applicable
from tests.end_to_end.conftest import Command
from tests.end_to_end.runs import assert_refused, lines, summary

N = 120
SMALL = ["trainer.epochs=30", "trainer.batch_parts=1", "partitioner=random", "partitioner.num_parts=4", "model.dropout=0", "device=cpu"]
SMALL += ["model.hidden_channels=8", "dataset=folder", "dataset.task=regression", "partitioner.cache=null"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A ring whose target is a sum of the node's and its neighbours' features."""
    rng, path = np.random.default_rng(0), tmp_path / "data"
    path.mkdir()
    x = rng.standard_normal((N, 3)).astype(np.float32)
    y = (x[:, 0] + np.roll(x[:, 0], 1) + np.roll(x[:, 0], -1)) * 5 + 20
    np.save(path / "features.npy", x)
    np.save(path / "labels.npy", y)
    np.save(path / "edges.npy", np.stack([np.arange(N), (np.arange(N) + 1) % N], 1))
    for k, part in enumerate(("train", "val", "test")):
        np.save(path / f"{part}_mask.npy", np.arange(N) % 3 == k)
    return path


def train(command: Command, folder: Path, run: str, *settings: str) -> None:
    outcome = command(*SMALL, f"dataset.path={folder}", "dataset.undirected=true", f"hydra.run.dir={run}", *settings)
    assert outcome.code == 0, outcome


def test_a_run_learns_chooses_the_lowest_error_and_predicts_the_numbers(folder: Path, tmp_path: Path, gas_train: Command) -> None:
    train(gas_train, folder, "run", "evaluation.select=r2", "optimizer.lr=0.05", "optimizer.schedule=plateau")
    found, records = summary(tmp_path / "run"), lines(tmp_path / "run")
    assert (found["task"], found["metric"], found["select"], found["test_classes"]) == ("regression", "mae", "r2", None)
    assert found["best_epoch"] == 1 + int(np.argmax([record["r2"]["val"] for record in records]))
    assert records[-1]["loss"] < records[0]["loss"]
    assert "Task: regression (1 target), mae; best epoch by r2" in (tmp_path / "run" / "gas-train.log").read_text()
    y = np.load(folder / "labels.npy")
    predictions, test = predict(tmp_path / "run"), np.arange(N) % 3 == 2
    assert mean_absolute_error(y[test], predictions.values[test, 0]) == pytest.approx(found["test"], rel=1e-4)
    assert r2_score(y[test], predictions.values[test, 0]) == pytest.approx(found["selected"]["test"], rel=1e-4)
    assert "Predictions(120 nodes, prediction)" in repr(predictions)
    with pytest.raises(UserError, match="A regression has no classes"):
        _ = predictions.labels
    with pytest.raises(UserError, match="top=1 is not valid for a regression"):
        predictions.save(tmp_path / "out.csv", top=1)
    with (predictions.save(tmp_path / "out.csv")).open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["id", "prediction"] and float(rows[5]["prediction"]) == pytest.approx(predictions.values[5, 0])
    with np.load(predictions.save(tmp_path / "out.npz")) as stored:
        assert sorted(stored) == ["nodes", "predictions"] and np.array_equal(stored["predictions"], predictions.values)
    with pytest.raises(UserError, match="a regression cannot be exported"):
        export_model(tmp_path / "run", tmp_path / "model.pt")


def test_without_a_selecting_metric_the_lowest_error_is_the_best(folder: Path, tmp_path: Path, gas_train: Command) -> None:
    train(gas_train, folder, "run", "trainer.loss=huber", "trainer.patience=5", "optimizer.lr=0.2", "runs=2")
    for name in ("00", "01"):
        records, found = lines(tmp_path / "run" / "runs" / name), summary(tmp_path / "run" / "runs" / name)
        values = [record["val"] for record in records]
        assert found["val"] == min(values) and found["best_epoch"] == 1 + values.index(min(values))
        assert len(records) == min(30, found["best_epoch"] + 5)


@pytest.mark.parametrize("loss", ["mse", "mae", "huber"])
@pytest.mark.parametrize("targets", [1, 2])
def test_gas_with_one_part_is_full_batch(loss: str, targets: int, folder: Path, tmp_path: Path, gas_train: Command) -> None:
    if targets == 2:
        y = np.load(folder / "labels.npy")
        np.save(folder / "labels.npy", np.stack([y, -2 * y], 1))
    for name, method in (("gas", "gas"), ("full", "full_batch")):
        train(gas_train, folder, name, f"method={method}", "partitioner.num_parts=1", f"trainer.loss={loss}", "trainer.epochs=5")
    for one, other in zip(lines(tmp_path / "gas"), lines(tmp_path / "full"), strict=True):
        for key in ("loss", "train", "val", "test"):
            assert one[key] == pytest.approx(other[key], rel=1e-5)
    names = predict(tmp_path / "gas").classes
    assert names == (("prediction",) if targets == 1 else ("prediction_0", "prediction_1"))


def test_a_run_that_is_continued_equals_one_that_was_not(folder: Path, tmp_path: Path, gas_train: Command) -> None:
    train(gas_train, folder, "whole", "trainer.epochs=12")
    train(gas_train, folder, "short", "trainer.epochs=6")
    assert gas_train("resume=short", "trainer.epochs=12").code == 0
    one, other = ([(r["loss"], r["val"]) for r in lines(tmp_path / name)] for name in ("whole", "short"))
    assert one == other and summary(tmp_path / "whole")["val"] == summary(tmp_path / "short")["val"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["trainer.class_weights=balanced"], "trainer.class_weights is not valid for a regression"),
        (["trainer.label_smoothing=0.1"], "trainer.label_smoothing is not valid for a regression"),
        (["evaluation.select=accuracy"], "evaluation.select=accuracy does not fit a regression task: expected one of mae, rmse, r2, loss."),
        (["trainer.loss=l2"], "trainer.loss=l2 is not valid: expected null or one of mse, mae, huber"),
    ],
)
def test_settings_of_classes_are_refused(settings: list[str], words: str, folder: Path, gas_train: Command) -> None:
    assert_refused(gas_train(*SMALL, f"dataset.path={folder}", "hydra.run.dir=run", *settings), words)


def test_the_loss_of_numbers_is_refused_for_classes(folder: Path, gas_train: Command) -> None:
    np.save(folder / "labels.npy", np.arange(N) % 3)
    settings = [*SMALL, f"dataset.path={folder}", "hydra.run.dir=run", "dataset.task=auto"]
    assert_refused(gas_train(*settings, "trainer.loss=mae"), "trainer.loss=mae is not valid for a multi-class task")
    assert gas_train(*settings, "trainer.epochs=1").code == 0


def test_a_graph_of_another_task_is_not_predicted() -> None:
    saved = {"graph": {"class names": "labels from 0 on", "feature columns": "3", "classes": "1"}}
    ours = {"graph": saved["graph"] | {"task": "regression"}}
    check_applicable(ours, ours["graph"], labelled=True)
    check_applicable(saved, saved["graph"], labelled=True)
    with pytest.raises(UserError, match="the graph's task is regression; in training it was classification"):
        check_applicable(saved, ours["graph"], labelled=True)


@pytest.mark.parametrize("settings", [["evaluation.monitor=1"], ["method=cluster_gcn"], ["precision=bfloat16", "evaluation.mode=history"]])
def test_what_the_loss_and_the_scores_go_through_takes_numbers(
    settings: list[str], folder: Path, tmp_path: Path, gas_train: Command
) -> None:
    train(gas_train, folder, "run", "trainer.epochs=2", "trainer.loss=huber", *settings)
    record = lines(tmp_path / "run")[-1]
    assert record["val"] > 0 and ("monitor" not in record or record["monitor"]["gradient"]["total"] > 0)
