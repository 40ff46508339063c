"""One update for several batches: which gradient it has, when the weights move, and that a run can be stopped between two updates."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st

from gas_cli.config.model import APPNPConfig, GCNConfig, ModelConfig
from gas_cli.errors import Interrupted, UserError
from gas_cli.graph.graph import Split
from gas_cli.training.assemble import make_trainer
from gas_cli.training.checkpoint import load_checkpoint
from gas_cli.training.trainer import Trainer
from gas_cli.training.updates import Updates
from tests.builders import MODEL_IDS, MODELS, make_config, make_graph, make_parts, make_problem, random_adjacency
from tests.training.test_trainer import GCN, assert_same, essence, fitted, trainer

STILL = replace(GCN, dropout=0.0)


def on_graph(
    folder: Path, matrix: sp.csr_array, num_parts: int, model: ModelConfig, train: int | None = None, **overrides: object
) -> Trainer:
    """A trainer of the graph with this adjacency; with `train` only so many of its nodes train."""
    graph = make_graph(matrix)
    if train is not None:
        role = torch.arange(graph.num_nodes)
        graph = replace(graph, splits=(Split(role < train, role == train, role > train),))
    return make_trainer(make_config(model, num_parts=num_parts, **overrides), make_problem(graph, num_parts, model), folder, 0)


def gradients(subject: Trainer) -> list[list[torch.Tensor]]:
    """Of each update, by parameter, float64, as the training goes on."""
    seen: list[list[torch.Tensor]] = []
    original = subject.optimizer.update

    def update(batches: int = 1) -> bool:
        updated = original(batches)
        if updated:
            seen.append([p.grad.detach().double() for p in subject.optimizer.parameters if p.grad is not None])
        return updated

    subject.optimizer.update = update  # type: ignore[method-assign]
    return seen


@given(st.integers(1, 40), st.integers(1, 40))
def test_every_batch_is_in_one_update_and_none_waits_at_the_end_of_an_epoch(batches, every):
    updates = Updates(batches, min(every, batches))
    due = [updates.due(done) for done in range(1, batches + 1)]
    assert sum(due) == batches and due[-1] > 0 and max(due) <= every
    assert sum(size > 0 for size in due) == updates.per_epoch
    assert updates.pending(0) == 0
    for done, size in enumerate(due, start=1):
        assert updates.pending(done) == (0 if size else updates.pending(done - 1) + 1)
        assert size in (0, updates.pending(done - 1) + 1)


@pytest.mark.parametrize("model", MODELS, ids=MODEL_IDS)
def test_an_update_has_the_mean_of_the_gradients_of_its_batches(tmp_path, model):
    """With weights that stay, the batches of one epoch find the same gradients one by one."""
    frozen: dict[str, object] = {"epochs": 1, "optimizer__lr": 0.0, "optimizer__reg_weight_decay": 0.0, "batch_parts": 1}
    single, pairs = trainer(tmp_path / "a", model, 5, **frozen), trainer(tmp_path / "b", model, 5, trainer__accumulate=2, **frozen)
    one_by_one, by_two = gradients(single), gradients(pairs)
    fitted(single)
    fitted(pairs)
    assert len(one_by_one) == 5 and len(by_two) == 3
    for found, group in zip(by_two, ([0, 1], [2, 3], [4]), strict=True):
        for number, gradient in enumerate(found):
            expected = sum(one_by_one[batch][number] for batch in group) / len(group)
            torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("model", [STILL, APPNPConfig(num_layers=3, hidden_channels=6, dropout=0.0)], ids=["gcn", "appnp"])
def test_parts_without_edges_between_them_train_as_the_whole_graph_does(tmp_path, model):
    """All of an epoch in one update is full batch there; an update per batch is another training."""
    part = make_parts(60, 3, 0)
    number = torch.empty(60, dtype=torch.int64)
    number[part.node_perm] = torch.repeat_interleave(torch.arange(3), part.part_ptr.diff())
    matrix = random_adjacency(60, 8, 0).tocoo()
    inside = number[matrix.row] == number[matrix.col]
    matrix = sp.csr_array((matrix.data[inside], (matrix.row[inside], matrix.col[inside])), shape=matrix.shape)
    shared: dict[str, object] = {"epochs": 6, "optimizer__lr": 0.1}
    whole = on_graph(tmp_path / "whole", matrix, 1, model, method="full_batch", **shared)
    trained = {"whole": whole}
    for every in ("epoch", 1):
        trained[str(every)] = on_graph(tmp_path / str(every), matrix, 3, model, trainer__accumulate=every, **shared)
    for subject in trained.values():
        fitted(subject)
    expected = whole.model.state_dict()
    for name, weights in trained["epoch"].model.state_dict().items():
        torch.testing.assert_close(weights, expected[name], rtol=1e-3, atol=1e-4)
    assert any((weights - expected[name]).abs().max() > 0.01 for name, weights in trained["1"].model.state_dict().items())


def test_weights_move_only_at_updates_and_the_average_takes_each_of_them_in_once(tmp_path):
    subject = trainer(tmp_path, epochs=2, batch_parts=1, trainer__accumulate=4, trainer__average=1.5)
    weights: list[torch.Tensor] = []
    original = subject.link.end

    def end(step: int) -> None:
        weights.append(subject.model.convs[0].weight.detach().clone())
        original(step)

    subject.link.end = end  # type: ignore[method-assign]
    fitted(subject)
    moved = [not torch.equal(before, after) for before, after in pairwise(weights)]
    assert moved == [number in (3, 5, 9, 11) for number in range(1, 12)]  # six batches an epoch: after the fourth and the last
    assert subject.average is not None and subject.average.steps == 4 and subject.average.window == 3.0


@pytest.mark.parametrize("every", [3, 7, 2**31 - 1])
def test_as_many_batches_as_an_epoch_has_are_all_of_it(tmp_path, every):
    """An update ends with its epoch. Bit for bit."""
    one, other = (trainer(tmp_path / name, epochs=3, trainer__accumulate=value) for name, value in (("a", every), ("b", "epoch")))
    fitted(one)
    fitted(other)
    for key in ("model", "optimizer", "method"):
        assert_same(essence(one)[key], essence(other)[key], key)


def test_batches_without_training_nodes_count_and_change_nothing(tmp_path):
    """Three of 60 nodes train: most batches have no loss, and where none of an update has one, there is no update."""
    matrix = random_adjacency(60, 5, 0)
    subject = on_graph(tmp_path, matrix, 6, STILL, train=3, epochs=2, trainer__accumulate=2)
    seen = gradients(subject)
    fitted(subject)
    assert 0 < len(seen) < 6
    assert subject.optimizer.waiting == 0 and subject.progress.loss_count == 0  # the next epoch's


def stopped(tmp_path: Any) -> tuple[Trainer, dict[str, Any]]:
    """A trainer like the one that was stopped after the fourth of six batches, in its second epoch, and the state that this one left."""
    subject = trainer(tmp_path, trainer__accumulate="epoch", batch_parts=1)
    original = subject.link.end

    def end(step: int) -> None:
        original(step)
        subject.stop.requested = step == 9

    subject.link.end = end  # type: ignore[method-assign]
    with pytest.raises(Interrupted):
        fitted(subject)
    return trainer(tmp_path, trainer__accumulate="epoch", batch_parts=1), load_checkpoint(subject.checkpoints.last)


def test_gradients_that_wait_are_in_the_checkpoint_and_only_they(tmp_path):
    fresh, state = stopped(tmp_path)
    assert state["progress"]["batch"] == state["optimizer"]["waiting"] == 4
    fresh.restore(state)
    assert fresh.optimizer.waiting == 4
    fitted(fresh)
    assert set(load_checkpoint(fresh.checkpoints.last)["optimizer"]) == {"adam", "scheduler"}


DAMAGES = {
    "no number": ("waiting", "2", "gradients of 2 batches wait"),
    "too many": ("waiting", 6, "gradients of 6 batches wait"),
    "none": ("waiting", 0, "gradients of 0 batches wait"),
    "no list": ("gradients", {}, "the gradients that wait for an update are others"),
    "too few": ("gradients", [None], "the gradients that wait for an update are others"),
    "another shape": ("gradients", None, "the gradient of parameter 0"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_gradients_are_refused_and_nothing_is_changed(tmp_path, damage):
    fresh, state = stopped(tmp_path)
    key, value, message = DAMAGES[damage]
    gradients = state["optimizer"]["gradients"]
    state["optimizer"][key] = [torch.full((1, 1), 7.0), *gradients[1:]] if value is None else value
    before = essence(fresh)
    with pytest.raises(UserError, match=re.escape(message)):
        fresh.restore(state)
    assert_same(essence(fresh), before)


def test_a_checkpoint_between_two_epochs_has_nothing_that_waits(tmp_path):
    """Gradients there are damage: nothing would ever have counted them."""
    fresh, state = stopped(tmp_path)
    fitted(fresh)
    whole = load_checkpoint(fresh.checkpoints.last)
    whole["optimizer"] |= {"waiting": 1, "gradients": state["optimizer"]["gradients"]}
    again = trainer(tmp_path, trainer__accumulate="epoch", batch_parts=1)
    with pytest.raises(UserError, match="gradients of 1 batches wait for an update"):
        again.restore(whole)


def test_clipping_sees_the_mean_gradient(tmp_path):
    """Its norm, and not that of one batch or of a sum, is what is held below the bound."""
    subject = trainer(tmp_path, GCNConfig(num_layers=2, hidden_channels=8), trainer__accumulate="epoch", optimizer__grad_norm=0.01)
    seen = gradients(subject)
    fitted(subject)
    for found in seen:
        assert float(torch.stack([gradient.norm() for gradient in found]).norm()) <= 0.01 * (1 + 1e-4)
