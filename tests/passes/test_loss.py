"""The loss with weights of the classes and with smoothed labels."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from gas_cli.config.training import TrainerConfig
from gas_cli.errors import UserError
from gas_cli.passes.loss import Loss, balanced_label_weights, balanced_weights, make_loss

CPU = torch.device("cpu")
SETTINGS = st.sampled_from([None, "balanced", [0.5, 2.0, 3.5]]), st.sampled_from([0.0, 0.1, 0.9])


def problem(seed: int, multilabel: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Scores [20, 3], labels and training mask."""
    rng = np.random.default_rng(seed)
    y = torch.from_numpy((rng.random((20, 3)) < 0.3).astype(np.float32) if multilabel else rng.choice(3, 20, p=[0.8, 0.1, 0.1]))
    train = torch.from_numpy(rng.random(20) < 0.6)
    train[0] = True
    return torch.from_numpy(rng.standard_normal((20, 3))).float(), y, train


def loss_of(y: torch.Tensor, train: torch.Tensor, **settings: object) -> Loss:
    return make_loss(TrainerConfig(**settings), SimpleNamespace(y=y, num_classes=3, regression=False, task="multi-class"), train, CPU)  # type: ignore[arg-type]


def batch(rows: list[int], y: torch.Tensor, train: torch.Tensor) -> SimpleNamespace:
    return SimpleNamespace(train_rows=train[rows].nonzero().flatten(), y=y[rows], num_train=int(train[rows].sum()))


@given(st.integers(0, 999), st.booleans(), st.integers(1, 6), *SETTINGS)
def test_the_mean_of_the_batches_is_the_full_batch_loss_and_torchs(seed, multilabel, num_batches, weights, smoothing):
    scores, y, train = problem(seed, multilabel)
    loss = loss_of(y, train, class_weights=weights, label_smoothing=smoothing)
    parts = [rows.tolist() for rows in torch.randperm(20, generator=torch.Generator().manual_seed(seed)).chunk(num_batches)]
    values = [loss(scores[rows], batch(rows, y, train), len(parts)) for rows in parts]
    whole = loss(scores, batch(list(range(20)), y, train), 1)
    torch.testing.assert_close(torch.stack(values).mean(), whole)
    w = loss.class_weights
    if multilabel:
        expected = F.binary_cross_entropy_with_logits(scores[train], y[train] * (1 - smoothing) + smoothing / 2, pos_weight=w)
    else:
        expected = F.cross_entropy(scores[train], y[train], w, label_smoothing=smoothing)
    torch.testing.assert_close(whole, expected)


@given(st.integers(0, 999), *SETTINGS)
def test_batch_mean_is_torchs_mean_of_the_batch(seed, weights, smoothing):
    scores, y, train = problem(seed, False)
    loss = loss_of(y, train, class_weights=weights, label_smoothing=smoothing, loss_weighting="batch_mean")
    rows = [0, 3, 4, 7, 11]
    picked = torch.tensor(rows)[train[rows]]
    expected = F.cross_entropy(scores[picked], y[picked], loss.class_weights, label_smoothing=smoothing)
    torch.testing.assert_close(loss(scores[rows], batch(rows, y, train), 4), expected)


@given(st.integers(0, 999))
def test_balanced_weights_are_scikit_learns_and_give_every_class_the_same_weight(seed):
    _, y, train = problem(seed, False)
    y = y[train]
    weights, present = balanced_weights(y, 4), y.unique()
    expected = compute_class_weight("balanced", classes=present.numpy(), y=y.numpy())
    torch.testing.assert_close(weights[present].double(), torch.from_numpy(expected), rtol=1e-6, atol=0)
    counts = torch.bincount(y, minlength=4)
    torch.testing.assert_close(weights * counts, torch.where(counts > 0, len(y) / len(present), 0.0))


def test_balanced_labels_weigh_positive_nodes_as_much_as_the_others():
    y = torch.tensor([[1, 0, 1], [0, 0, 1], [0, 0, 1], [0, 0, 1]]).float()
    assert balanced_label_weights(y).tolist() == [3.0, 1.0, 1.0]  # of a constant label nothing is rare


def test_only_training_nodes_are_counted():
    scores, y = torch.zeros(4, 3), torch.tensor([0, 1, 1, -1])
    loss = loss_of(y, torch.tensor([True, True, False, False]), class_weights="balanced")
    assert loss.class_weights is not None and loss.class_weights.tolist() == [1.0, 1.0, 0.0] and loss.total_weight == 2
    assert loss(scores, batch([0, 1, 2, 3], y, torch.tensor([True, True, False, False])), 1) == pytest.approx(np.log(3))


@given(st.integers(0, 999), st.sampled_from(["mse", "mae", "huber"]), st.sampled_from([1, 2]), st.integers(1, 5))
def test_the_loss_of_numbers_is_torchs_and_its_batches_average_to_it(seed, name, targets, num_batches):
    rng = np.random.default_rng(seed)
    y = torch.from_numpy(rng.standard_normal((20, targets) if targets > 1 else 20)).float() * 3
    train = torch.from_numpy(rng.random(20) < 0.6)
    train[0], y[~train] = True, torch.nan  # what is unknown is not read
    scores = torch.from_numpy(rng.standard_normal((20, targets))).float()
    loss = make_loss(TrainerConfig(loss=name), numbers(y), train, CPU)
    parts = [rows.tolist() for rows in torch.randperm(20, generator=torch.Generator().manual_seed(seed)).chunk(num_batches)]
    mean = torch.stack([loss(scores[rows], batch(rows, y, train), len(parts)) for rows in parts]).mean()
    theirs = {"mse": torch.nn.MSELoss(), "mae": torch.nn.L1Loss(), "huber": torch.nn.HuberLoss()}[name]
    expected = theirs(scores[train] if targets > 1 else scores[train][:, 0], y[train])
    torch.testing.assert_close(mean, expected)
    if name == "mse":
        assert make_loss(TrainerConfig(), numbers(y), train, CPU).error == "mse"


def numbers(y: torch.Tensor) -> Any:
    return SimpleNamespace(y=y, num_classes=1 if y.dim() == 1 else y.shape[1], regression=True, task="regression")


@pytest.mark.parametrize("setting", [{"class_weights": "balanced"}, {"label_smoothing": 0.1}, {"loss": "mse"}])
def test_settings_of_the_other_task_are_refused(setting):
    (name,) = setting
    y, train = torch.tensor([0, 1, 2]), torch.ones(3, dtype=torch.bool)
    graph = SimpleNamespace(regression=False, task="multi-class") if name == "loss" else numbers(y.float())
    with pytest.raises(UserError, match=rf"trainer.{name}.* is not valid for a .*Use trainer.{name}="):
        make_loss(TrainerConfig(**setting), graph, train, CPU)


@pytest.mark.parametrize("given", ["equal", 3, [], [1.0, -1.0], [1, 0], ["a"], [True, 1.0], [1.0, float("inf")], {"a": 1}, float("nan")])
def test_weights_that_are_none_are_refused(given):
    with pytest.raises(UserError, match=r"trainer.class_weights=.* is not valid: expected null, balanced, or a list of numbers above 0"):
        TrainerConfig(class_weights=given)


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, float("nan")])
def test_smoothing_is_a_share(smoothing):
    with pytest.raises(UserError, match=r"trainer.label_smoothing=.* expected at least 0 and less than 1"):
        TrainerConfig(label_smoothing=smoothing)


def test_another_number_of_weights_is_refused():
    _, y, train = problem(0, False)
    with pytest.raises(UserError, match=r"trainer.class_weights has 2 numbers and the graph 3 classes: expected 3 numbers, or balanced"):
        loss_of(y, train, class_weights=[1.0, 2.0])
