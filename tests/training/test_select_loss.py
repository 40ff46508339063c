"""The loss as the metric that chooses the best epoch, and the rule that stops where it is above its mean."""

from __future__ import annotations

import contextlib
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from gas_cli.config.metrics import metric_kind
from gas_cli.config.model import GCNConfig
from gas_cli.errors import UserError
from gas_cli.graph.graph import Graph
from gas_cli.passes import loss as losses
from gas_cli.passes.loss import Loss
from gas_cli.training.assemble import make_trainer
from gas_cli.training.checkpoint import load_checkpoint
from gas_cli.training.patience import worse_than_mean
from gas_cli.training.progress import Progress
from gas_cli.training.trainer import Trainer
from tests.builders import make_config, make_graph, make_problem, random_adjacency
from tests.training.test_trainer import Records, assert_same, fitted

GCN = GCNConfig(num_layers=2, hidden_channels=8)
TASKS = ("multi-class", "multi-label", "mse", "mae", "huber")


def graph_of(task: str, nodes: int = 60) -> Graph:
    """A random graph with labels of the task; two targets for `mae`."""
    graph, rng = make_graph(random_adjacency(nodes, 5, 0)), np.random.default_rng(1)
    if task == "multi-class":
        return graph
    if task == "multi-label":
        return replace(graph, y=torch.from_numpy(rng.integers(0, 2, (nodes, 3))).float(), metric="micro_f1").validate()
    y = torch.from_numpy(rng.standard_normal((nodes, 2) if task == "mae" else nodes)).float() * 3
    return replace(graph, y=y, num_classes=2 if task == "mae" else 1, metric="rmse", regression=True).validate()


def trainer(tmp: Path, task: str = "multi-class", num_parts: int = 6, **settings: object) -> Trainer:
    error = {"trainer__loss": task} if task in losses.ERRORS else {}
    config = make_config(GCN, num_parts=num_parts, **{"batch_parts": min(2, num_parts), "evaluation__select": "loss", **error, **settings})
    return make_trainer(config, make_problem(graph_of(task), num_parts, GCN), tmp, 0)


def torchs(scores: torch.Tensor, y: torch.Tensor, task: str) -> float:
    """The loss by torch, of all rows at once."""
    if task == "multi-class":
        return float(F.cross_entropy(scores, y))
    if task == "multi-label":
        return float(F.binary_cross_entropy_with_logits(scores, y))
    by_name = {"mse": F.mse_loss, "mae": F.l1_loss, "huber": F.huber_loss}
    return float(by_name[task](scores.reshape(y.shape), y))


@pytest.mark.parametrize(("mode", "average"), [("exact", 0.0), ("exact", 1.5), ("history", 0.0)])
@pytest.mark.parametrize("task", TASKS)
def test_the_recorded_loss_is_torchs_on_the_whole_matrix(tmp_path, task, mode, average):
    subject = trainer(tmp_path, task, evaluation__mode=mode, trainer__average=average, epochs=2)
    record = fitted(subject)[-1]
    graph, split = subject.problem.graph, subject.split
    with subject.average.applied() if subject.average else contextlib.nullcontext():
        if mode == "history":
            scores = subject.evaluator.from_history(subject.histories)
        else:  # by the same weights in one batch, not in three
            whole = trainer(tmp_path / "whole", task, num_parts=1)
            whole.model.load_state_dict(subject.model.state_dict())
            order = torch.argsort(whole.problem.partition.node_perm)[subject.problem.partition.node_perm]
            scores = whole.evaluator.exact()[order]
    assert set(record["eval_loss"]) == {"train", "val", "test"}
    for name, value in record["eval_loss"].items():
        mask = getattr(split, name)
        assert value == pytest.approx(torchs(scores[mask], graph.y[mask], task), rel=1e-5)
    assert type(record["loss"]) is float  # that of the steps keeps its key
    assert subject.progress.val == record["eval_loss"]["val"]


@given(st.sampled_from(TASKS), st.integers(0, 30), st.integers(1, 9), st.integers(0, 999))
def test_the_plain_loss_is_the_same_in_blocks_and_knows_no_weights(task, n, rows, seed):
    rng = np.random.default_rng(seed)
    scores = torch.from_numpy(rng.standard_normal((n, 3))).float() * 20
    y = torch.from_numpy(rng.integers(0, 2, (n, 3))).float() if task == "multi-label" else torch.from_numpy(rng.standard_normal((n, 3)))
    y = torch.from_numpy(rng.integers(0, 3, n)) if task == "multi-class" else y.float()
    subject = Loss("full_batch", 5, torch.tensor([1.0, 2, 3]), 9.0, 0.3, error=task if task in losses.ERRORS else None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(losses, "ROWS_AT_A_TIME", rows)
        found = subject.plain(scores, y)
    if n == 0:
        assert math.isnan(found)
        return
    expected = torchs(scores.double(), y if task == "multi-class" else y.double(), task)
    assert found == pytest.approx(expected, rel=1e-12) and metric_kind("loss").possible(found)


def test_a_loss_without_bound_is_a_number_where_scores_are_large():
    """Finite scores always have a finite loss: in float32 these would overflow."""
    scores = torch.tensor([[3e38, -3e38]])
    assert Loss("full_batch", 1).plain(scores, torch.tensor([1])) == pytest.approx(6e38, rel=1e-6)
    assert Loss("full_batch", 1, error="mse").plain(scores, -scores) == pytest.approx(3.6e77, rel=1e-6)


def test_the_lowest_validation_loss_is_the_best_epoch_and_patience_counts_from_it(tmp_path):
    subject = trainer(tmp_path, epochs=300, trainer__patience=8)
    values = [record["eval_loss"]["val"] for record in fitted(subject)]
    best = values.index(min(values)) + 1
    assert subject.progress.best.epoch == best == len(values) - 8 < 292
    assert load_checkpoint(subject.checkpoints.best)["progress"]["best"]["selected"]["val"] == min(values)


def hand_written(values: list[float], count: int) -> int:
    """Epochs until the stop, as published code has it: 0-based epochs, and `epoch > count and cost[-1] > mean(cost[-(count + 1):-1])`."""
    cost: list[float] = []
    for epoch, value in enumerate(values):
        cost.append(value)
        if epoch > count and cost[-1] > np.mean(cost[-(count + 1) : -1]):
            return epoch + 1
    return len(values)


@pytest.mark.parametrize("count", [1, 4, 10])
@pytest.mark.parametrize("select", ["loss", None])
def test_the_mean_rule_stops_where_the_published_one_does(tmp_path, select, count):
    shared: dict[str, Any] = {"epochs": 120, "evaluation__select": select, "optimizer__lr": 0.05}
    whole = fitted(trainer(tmp_path / "whole", **shared))
    values = [record["eval_loss"]["val"] if select else -record["val"] for record in whole]
    stopped = trainer(tmp_path / "stopped", **shared, trainer__patience=count, trainer__patience_rule="mean")
    records = fitted(stopped)
    assert len(records) == hand_written(values, count) < 120
    assert [record["val"] for record in records] == [record["val"] for record in whole[: len(records)]]


@given(st.lists(st.integers(0, 3).map(float), max_size=12), st.integers(1, 4))
def test_worse_than_the_mean_is_the_published_rule_at_every_epoch_in_both_directions(values, count):
    higher, lower = metric_kind("accuracy"), metric_kind("loss")
    found = [worse_than_mean(values[:n], count, lower) for n in range(1, len(values) + 1)]
    assert found == [worse_than_mean([-value for value in values[:n]], count, higher) for n in range(1, len(values) + 1)]
    assert (found.index(True) + 1 if True in found else len(values)) == hand_written(values, count)


def test_an_unknown_value_never_ends_patience():
    assert worse_than_mean([1.0] * 5 + [2.0], 4, metric_kind("loss"))
    assert not worse_than_mean([1.0] * 5 + [math.nan], 4, metric_kind("loss"))
    assert not worse_than_mean([math.nan, math.nan, 1.0, 1.0, 1.0, 2.0], 4, metric_kind("loss"))


@pytest.mark.parametrize("first", [1, 5, 11])
def test_a_run_resumed_before_the_stop_stops_at_the_same_epoch_with_the_same_state(tmp_path, first):
    shared: dict[str, Any] = {"optimizer__lr": 0.05, "trainer__patience": 4, "trainer__patience_rule": "mean"}
    whole = trainer(tmp_path / "whole", epochs=120, **shared)
    records = fitted(whole)
    assert first < len(records) < 120
    begun = trainer(tmp_path / "begun", epochs=first, **shared)
    fitted(begun)
    resumed = trainer(tmp_path / "resumed", epochs=120, **shared)
    resumed.restore(load_checkpoint(begun.checkpoints.last))
    rest = fitted(resumed)
    assert first + len(rest) == len(records)
    assert_same(whole.state_dict(), resumed.state_dict())
    again = trainer(tmp_path / "again", epochs=120, **shared)
    again.restore(load_checkpoint(resumed.checkpoints.last))
    assert not fitted(again)  # a run that has stopped stays stopped


def test_a_run_resumed_with_more_patience_stops_as_one_that_always_had_it(tmp_path):
    shared: dict[str, Any] = {"epochs": 200, "optimizer__lr": 0.05, "trainer__patience_rule": "mean"}
    whole = trainer(tmp_path / "whole", trainer__patience=40, **shared)
    records = fitted(whole)
    begun = trainer(tmp_path / "begun", trainer__patience=4, **shared)
    before = fitted(begun)
    resumed = trainer(tmp_path / "resumed", trainer__patience=40, **shared)
    resumed.restore(load_checkpoint(begun.checkpoints.last))
    assert len(before) + len(fitted(resumed)) == len(records) < 200
    assert_same(whole.state_dict(), resumed.state_dict())


@pytest.mark.parametrize("first", [4, 6, 7, 11])
def test_the_evaluation_after_the_last_epoch_is_not_compared_when_a_run_goes_on(tmp_path, first):
    shared: dict[str, Any] = {"optimizer__lr": 0.05, "trainer__patience": 2, "trainer__patience_rule": "mean", "evaluation__every": 3}
    whole = trainer(tmp_path / "whole", epochs=200, **shared)
    expected = len(fitted(whole))
    begun = trainer(tmp_path / "begun", epochs=first, **shared)
    assert len(fitted(begun)) == first < expected < 200
    resumed = trainer(tmp_path / "resumed", epochs=200, **shared)
    resumed.restore(load_checkpoint(begun.checkpoints.last))
    assert first + len(fitted(resumed)) == expected
    assert resumed.progress.past == whole.progress.past


def test_a_checkpoint_holds_values_only_for_the_mean_rule_and_they_are_checked(tmp_path):
    plain = trainer(tmp_path / "plain", trainer__patience=4)
    fitted(plain)
    assert plain.progress.past == []
    progress = Progress(epoch=3, past=[1.0, 2.0], val=2.0)
    state = progress.state_dict()
    assert Progress.from_state_dict(state, 0, select="loss") == progress
    earlier = {key: value for key, value in state.items() if key != "past"}
    assert Progress.from_state_dict(earlier, 0, select="loss").past == []
    for past in ([1.0, -2.0], ["1"], [1.0] * 3, 5):
        with pytest.raises(UserError, match="the checkpoint's"):
            Progress.from_state_dict(state | {"past": past}, 0, select="loss")


def test_scores_that_are_not_finite_end_the_run_before_any_loss_of_them(tmp_path):
    subject = trainer(tmp_path, epochs=9, trainer__patience=2, trainer__patience_rule="mean")

    class Poison(Records):
        def epoch(self, record: dict[str, Any]) -> None:
            super().epoch(record)
            with torch.no_grad():
                next(subject.model.parameters()).fill_(math.inf)

    with pytest.raises(UserError, match=r"in epoch 2.*best state so far \(epoch 1\) is kept"):
        subject.fit(Poison())


def test_the_loss_is_no_metric_of_a_graph():
    with pytest.raises(UserError, match="metric loss: expected one of accuracy"):
        replace(graph_of("multi-class"), metric="loss").validate()
