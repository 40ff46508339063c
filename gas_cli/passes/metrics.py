"""Metrics of class scores against labels, and of predictions against targets.

The numbers are those of scikit-learn. Where it warns and gives 0 or nan, its value is named here beside ours. Which direction is better and
which tasks a metric fits is in `config/metrics.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, partial

import torch
from torch import Tensor

from gas_cli.config.metrics import OGB, metric_kind
from gas_cli.passes.class_counts import count_classes

Metric = Callable[[Tensor, Tensor], float]
"""Scores [n, C] and labels [n] or [n, C] (of regression: predictions and targets, both [n] or [n, T]) to a number; nan for n = 0."""


def accuracy(scores: Tensor, y: Tensor) -> float:
    """Share of nodes whose highest score is that of their class."""
    return int((scores.argmax(1) == y).sum()) / y.shape[0] if y.shape[0] else float("nan")


def balanced_accuracy(scores: Tensor, y: Tensor) -> float:
    """Mean recall of the classes that have nodes in y."""
    counts = count_classes(scores, y)
    return _mean(counts.correct, counts.nodes)


def macro_f1(scores: Tensor, y: Tensor) -> float:
    """Mean of 2 TP / (2 TP + FP + FN) over the classes (labels) that are true or predicted at least once; 0 without any.

    With several labels per node scikit-learn counts a label that is never true nor predicted as `zero_division` says: here it is left out,
    as with `zero_division=nan`.
    """
    if not y.shape[0]:
        return float("nan")
    counts = count_classes(scores, y)
    value = _mean(2 * counts.correct, counts.nodes + counts.predicted)
    return 0.0 if math.isnan(value) else value


def micro_f1(scores: Tensor, y: Tensor) -> float:
    """2 TP / (2 TP + FP + FN) over all (node, label) pairs; a label is predicted where its score is above 0 (probability 1/2). 0 where
    nothing is true nor predicted. With one class per node it equals the accuracy.
    """
    if y.dim() == 1:
        return accuracy(scores, y)
    if not y.shape[0]:
        return float("nan")
    predicted, true = scores > 0, y > 0.5
    both = int((predicted & true).sum())
    total = int(predicted.sum()) + int(true.sum())
    return 2 * both / total if total else 0.0


def average_precision(scores: Tensor, y: Tensor) -> float:
    """Σ over the distinct scores, highest first, of the recall gained there times the precision so far.

    scores [n, 2] and y int64 [n] of zeros and ones; or scores [n, C] and y [n, C], then the mean over the labels that have positive nodes.
    nan where there is no such label (scikit-learn: 0), or a score is nan.
    """
    return _mean_by_label(_precision, scores, y)


def roc_auc(scores: Tensor, y: Tensor) -> float:
    """Area under the ROC curve: the probability that a positive node scores above a negative one, ties counting half.

    scores [n, 2] and y int64 [n] of zeros and ones; or scores [n, C] and y [n, C], then the mean over the labels that have both kinds
    of nodes. nan where there is no such label, or a score is nan.
    """
    return _mean_by_label(_area, scores, y)


def mae(prediction: Tensor, y: Tensor) -> float:
    """Mean absolute error; of several targets the mean over them."""
    return float((prediction.double() - y.double()).abs().mean()) if y.shape[0] else float("nan")


def rmse(prediction: Tensor, y: Tensor) -> float:
    """Root of the mean squared error; of several targets the mean of their roots."""
    return float((prediction.double() - y.double()).square().mean(0).sqrt().mean()) if y.shape[0] else float("nan")


def r2(prediction: Tensor, y: Tensor) -> float:
    """1 - squared error / squared deviation from the mean; of several targets the mean over them.

    A target that is constant has 1 where it is predicted exactly, and 0 otherwise, as in scikit-learn; nan for fewer than two nodes.
    """
    if y.shape[0] < 2:
        return float("nan")
    prediction, y = prediction.double().reshape(y.shape[0], -1), y.double().reshape(y.shape[0], -1)
    error, deviation = (y - prediction).square().sum(0), (y - y.mean(0)).square().sum(0)
    constant = (error == 0).double()
    return float(torch.where(deviation > 0, 1 - error / deviation, constant).mean())


def _mean(numerators: Tensor, denominators: Tensor) -> float:
    """Mean of the fractions whose denominator is not 0; nan without any."""
    known = denominators > 0
    return float((numerators[known].double() / denominators[known].double()).mean()) if bool(known.any()) else float("nan")


def _mean_by_label(of_label: Metric, scores: Tensor, y: Tensor) -> float:
    """Mean over the labels of which `of_label(scores [n], positive bool [n])` is known; of two classes the second is the label."""
    if y.dim() == 1:
        scores, y = (scores[:, 1] - scores[:, 0]).unsqueeze(1), y.unsqueeze(1)
    values = [of_label(column, label > 0.5) for column, label in zip(scores.unbind(1), y.unbind(1), strict=True)]
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known and not bool(scores.isnan().any()) else float("nan")


def _precision(scores: Tensor, positive: Tensor) -> float:
    """Average precision of one label; equal scores are found together."""
    num_positive = int(positive.sum())
    if num_positive == 0:
        return float("nan")
    distinct, group = torch.unique(scores, return_inverse=True)
    found = torch.stack([torch.bincount(group[positive], minlength=distinct.numel()), torch.bincount(group, minlength=distinct.numel())])
    gained = found[0].flip(0).double()  # the highest score first
    so_far = found.flip(1).cumsum(1).double()
    return float((gained * so_far[0] / so_far[1]).sum()) / num_positive


def _area(scores: Tensor, positive: Tensor) -> float:
    """Mann and Whitney's statistic of one label: from the ranks of the positive nodes, equal scores sharing their mean rank."""
    num_positive = int(positive.sum())
    num_pairs = num_positive * (positive.numel() - num_positive)
    if num_pairs == 0:
        return float("nan")
    _, group, size = torch.unique(scores, return_inverse=True, return_counts=True)
    last = size.cumsum(0)
    rank = (last - (size - 1) / 2.0).double()[group]
    return (float(rank[positive].sum()) - num_positive * (num_positive + 1) / 2) / num_pairs


FUNCTIONS: dict[str, Metric] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "macro_f1": macro_f1,
    "micro_f1": micro_f1,
    "average_precision": average_precision,
    "roc_auc": roc_auc,
    "mae": mae,
    "rmse": rmse,
    "r2": r2,
}


def make_metric(name: str) -> Metric:
    """The metric of that name, or `ogb:<dataset>` for OGB's own evaluator of that dataset. Raises UserError for another name."""
    metric_kind(name)
    return _ogb(name.removeprefix(OGB)) if name.startswith(OGB) else FUNCTIONS[name]


def _ogb(dataset: str) -> Metric:
    from gas_cli.graph.sources.ogb_library import ogb_evaluator, ogb_folder

    ogb_folder()  # missing, it is missed now; its imports (scikit-learn, pandas) take long and wait for the first evaluation
    make = cache(partial(ogb_evaluator, dataset))

    def metric(scores: Tensor, y: Tensor) -> float:
        if not y.shape[0]:
            return float("nan")
        result = make().eval({"y_true": y.reshape(-1, 1).numpy(), "y_pred": scores.argmax(1, keepdim=True).numpy()})
        return float(result["acc"])

    return metric
