"""Metrics by name, against scikit-learn: random inputs, ties, and inputs that lack something."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from gas_cli.config.metrics import METRICS, check_metric_fits, fitting, metric_kind
from gas_cli.errors import UserError
from gas_cli.passes.metrics import FUNCTIONS, make_metric

SIZES = st.integers(1, 40), st.integers(2, 6), st.integers(0, 10_000)


def one_label(n: int, classes: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores in quarters, so that many are equal, and labels of which some classes are missing."""
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(0, 6, (n, classes)) / 4), torch.from_numpy(rng.integers(0, rng.integers(1, classes + 1), n))


def several_labels(n: int, classes: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The same; some labels are of no node, some of every node."""
    rng = np.random.default_rng(seed)
    y = rng.random((n, classes)) < rng.choice([0.0, 0.3, 1.0], classes)
    return torch.from_numpy(rng.integers(-3, 3, (n, classes)) / 4), torch.from_numpy(y).float()


def values(name: str, scores: torch.Tensor, y: torch.Tensor) -> float:
    return make_metric(name)(scores, y)


def test_the_two_tables_know_the_same_metrics():
    assert list(FUNCTIONS) == list(METRICS)


@given(*SIZES)
def test_metrics_of_classes_equal_scikit_learn(n, classes, seed):
    scores, y = one_label(n, classes, seed)
    predicted = scores.numpy().argmax(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # predicted classes that are never true: left out by both
        assert values("balanced_accuracy", scores, y) == pytest.approx(sk.balanced_accuracy_score(y, predicted))
    assert values("accuracy", scores, y) == pytest.approx(sk.accuracy_score(y, predicted))
    assert values("macro_f1", scores, y) == pytest.approx(sk.f1_score(y, predicted, average="macro"))
    assert values("micro_f1", scores, y) == pytest.approx(sk.f1_score(y, predicted, average="micro"))


@given(*SIZES)
def test_f1_of_labels_equals_scikit_learn_without_the_labels_of_which_nothing_is_known(n, classes, seed):
    scores, y = several_labels(n, classes, seed)
    predicted = (scores > 0).numpy().astype(int)
    known = (predicted.sum(0) + y.numpy().sum(0)) > 0
    each = [sk.f1_score(y[:, c], predicted[:, c], zero_division=0) for c in np.flatnonzero(known)]
    assert values("macro_f1", scores, y) == pytest.approx(np.mean(each) if each else 0.0)
    assert values("micro_f1", scores, y) == pytest.approx(sk.f1_score(y.numpy(), predicted, average="micro", zero_division=0))


@given(*SIZES)
def test_average_precision_equals_scikit_learn_ties_included(n, classes, seed):
    scores, y = several_labels(n, classes, seed)
    has = [c for c in range(classes) if y[:, c].sum() > 0]
    expected = np.mean([sk.average_precision_score(y[:, c], scores[:, c]) for c in has]) if has else math.nan
    assert values("average_precision", scores, y) == pytest.approx(expected, nan_ok=True)
    two = torch.stack([-scores[:, 0], scores[:, 0]], 1)
    expected = sk.average_precision_score(y[:, 0], scores[:, 0]) if 0 in has else math.nan  # scikit-learn warns and gives 0
    assert values("average_precision", two, y[:, 0].long()) == pytest.approx(expected, nan_ok=True)


@given(*SIZES)
def test_metrics_of_numbers_equal_scikit_learn(n, targets, seed):
    rng = np.random.default_rng(seed)
    y, prediction = rng.integers(0, rng.integers(1, 5), (n, targets)) / 4, rng.integers(0, 5, (n, targets)) / 4  # often constant
    prediction[:, 0] = y[:, 0]  # and one is exact
    for one in (slice(None), 0, 1):
        ours = torch.from_numpy(prediction[:, one]).float(), torch.from_numpy(y[:, one]).float()
        theirs = y[:, one], prediction[:, one]
        assert values("mae", *ours) == pytest.approx(sk.mean_absolute_error(*theirs))
        assert values("rmse", *ours) == pytest.approx(sk.root_mean_squared_error(*theirs))
        if n > 1:  # scikit-learn warns and gives nan
            assert values("r2", *ours) == pytest.approx(sk.r2_score(*theirs))
    assert math.isnan(values("r2", torch.zeros(1), torch.ones(1)))


def test_metrics_of_nothing_are_nan():
    for name, kind in METRICS.items():
        if "regression" in kind.tasks:
            nothing = [(torch.zeros(0), torch.zeros(0)), (torch.zeros(0, 2), torch.zeros(0, 2))]
        else:
            one = (torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64))
            nothing = [one] * ("binary" in kind.tasks) + [(torch.zeros(0, 3), torch.zeros(0, 3))] * ("multi-label" in kind.tasks)
        assert all(math.isnan(make_metric(name)(*inputs)) for inputs in nothing), name


@given(st.sampled_from(sorted(METRICS)), st.integers(2, 30), st.integers(0, 999))
def test_perfect_scores_are_the_best_value_and_every_value_is_in_the_range(name, n, seed):
    kind, rng = metric_kind(name), np.random.default_rng(seed)
    y = torch.from_numpy(rng.integers(0, 2, n))
    y[:2] = torch.tensor([0, 1])
    if "regression" in kind.tasks:
        exact, other = y.float(), torch.from_numpy(rng.standard_normal(n)).float()
    else:
        exact, other = torch.nn.functional.one_hot(y, 2).float(), torch.from_numpy(rng.standard_normal((n, 2)))
    target = y.float() if "regression" in kind.tasks else y
    best, value = make_metric(name)(exact, target), make_metric(name)(other, target)
    assert best == pytest.approx(kind.high if kind.higher else kind.low)
    assert kind.possible(best) and kind.possible(value) and not kind.better(value, best)
    assert kind.better(best, value) or value == best


def test_better_follows_the_direction_and_equal_is_not_better():
    assert metric_kind("accuracy").better(0.5, 0.4) and not metric_kind("accuracy").better(0.4, 0.5)
    assert metric_kind("mae").better(0.4, 0.5) and not metric_kind("mae").better(0.5, 0.4)
    for name in METRICS:
        assert not metric_kind(name).better(0.5, 0.5) and metric_kind(name).better(0.5, math.nan)


def test_a_metric_that_does_not_fit_is_refused_with_those_that_do():
    with pytest.raises(UserError, match=r"evaluation.select=mae does not fit a binary task: expected one of accuracy, .*roc_auc\."):
        check_metric_fits("evaluation.select", "mae", "binary")
    assert fitting("regression") == "mae, rmse, r2"
    with pytest.raises(UserError, match=r"'f2' is not known: expected one of accuracy, .*, r2, ogb:<dataset>"):
        make_metric("f2")
