"""Precision, recall and the confusion matrix of the test nodes: what a run leaves about its classes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gas_cli.config.compose import load_config
from gas_cli.graph.load import load_graph
from gas_cli.prediction import predict
from gas_cli.report.classes import class_table, pooled_classes
from gas_cli.report.results import results_table
from tests.end_to_end.conftest import Command
from tests.end_to_end.runs import SMALL, Outcome, State, assert_refused, craft, summary, train

OVERSHOOTS = ("optimizer.lr=1", "trainer.epochs=4", "seed=1")
"""The best epoch is not the last one."""


def expected(run: Path) -> dict[str, Any]:
    """The classes of the test nodes, counted one by one from the run's predictions."""
    graph = load_graph(load_config(run / "config.yaml").dataset)
    (split,) = graph.splits
    pairs = list(zip(graph.y[split.test].tolist(), predict(run).probabilities[split.test.numpy()].argmax(1).tolist(), strict=True))
    matrix = [[pairs.count((true, found)) for found in range(graph.num_classes)] for true in range(graph.num_classes)]
    recall = [row[number] / sum(row) if sum(row) else None for number, row in enumerate(matrix)]
    return {"confusion": matrix, "recall": recall}


def found(run: Path) -> dict[str, Any]:
    content = summary(run)
    return {"confusion": content["confusion"], "recall": [entry["recall"] for entry in content["test_classes"]]}


def test_the_summary_has_the_best_epoch_and_the_run_ends_with_its_table(tmp_path: Path, gas_train: Command) -> None:
    shown = gas_train(*SMALL, *OVERSHOOTS, "hydra.run.dir=here")
    content = summary(tmp_path / "here")
    assert content["best_epoch"] < 4
    assert found(tmp_path / "here") == expected(tmp_path / "here")
    correct, nodes = (sum(entry[key] for entry in content["test_classes"]) for key in ("correct", "nodes"))
    assert correct / nodes == content["test"]
    assert class_table(content) in shown.out and class_table(content)


def test_a_resumed_run_keeps_those_of_a_best_epoch_before_it(tmp_path: Path, gas_train: Command) -> None:
    train(tmp_path / "here", *OVERSHOOTS)
    before = summary(tmp_path / "here")
    assert gas_train("resume=here", "trainer.epochs=5").code == 0
    after = summary(tmp_path / "here")
    assert after["best_epoch"] == before["best_epoch"] and found(tmp_path / "here") == expected(tmp_path / "here")


def test_a_checkpoint_without_counts_goes_on_without_a_table(tmp_path: Path, gas_train: Command) -> None:
    """As versions before the counts wrote them."""
    train(tmp_path / "here", *OVERSHOOTS)
    for name in ("last.pt", "best.pt"):
        craft(tmp_path / "here" / "checkpoints" / name, lambda state: state["progress"]["best"].pop("counts"))
    assert gas_train("resume=here", "trainer.epochs=5").code == 0
    content = summary(tmp_path / "here")
    assert content["test_classes"] is None and class_table(content) == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda counts: counts["nodes"].add_(1), "contradict each other"),
        (lambda counts: counts.update(correct=torch.ones(3, dtype=torch.int64)), "correct of the classes is int64 [3]"),
    ],
)
def test_counts_that_do_not_fit_are_refused(
    change: Callable[[State], object], message: str, tmp_path: Path, gas_train: Callable[..., Outcome]
) -> None:
    train(tmp_path / "here")
    craft(tmp_path / "here" / "checkpoints" / "last.pt", lambda state: change(state["progress"]["best"]["counts"]))
    assert_refused(gas_train("resume=here", "trainer.epochs=5"), "last.pt", message)


def test_several_runs_are_pooled_and_each_keeps_its_own(tmp_path: Path) -> None:
    together = train(tmp_path / "two", "runs=2")
    singles = [summary(tmp_path / "two" / "runs" / name) for name in ("00", "01")]
    assert singles[0]["confusion"] != singles[1]["confusion"]
    assert {key: together[key] for key in ("test_classes", "confusion")} == pooled_classes(singles)
    assert all("confusion" not in run and "test_classes" not in run for run in together["runs"])
    assert class_table(together) in results_table(together)
