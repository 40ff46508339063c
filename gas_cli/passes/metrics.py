"""Metrics of class scores against labels."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, partial

import torch
from torch import Tensor

from gas_cli.errors import UserError

Metric = Callable[[Tensor, Tensor], float]
"""Scores [n, C] and labels [n] or [n, C] to a number, larger is better; nan for n = 0."""


def accuracy(scores: Tensor, y: Tensor) -> float:
    """Share of nodes whose highest score is that of their class."""
    return int((scores.argmax(1) == y).sum()) / y.shape[0] if y.shape[0] else float("nan")


def micro_f1(scores: Tensor, y: Tensor) -> float:
    """2 TP / (2 TP + FP + FN) over all (node, label) pairs; a label is predicted where its score is above 0 (probability 1/2)."""
    if not y.shape[0]:
        return float("nan")
    predicted, true = scores > 0, y > 0.5
    both = int((predicted & true).sum())
    total = int(predicted.sum()) + int(true.sum())
    return 2 * both / total if total else 0.0


def roc_auc(scores: Tensor, y: Tensor) -> float:
    """Area under the ROC curve: the probability that a positive node scores above a negative one, ties counting half.

    scores [n, 2] and y int64 [n] of zeros and ones; or scores [n, C] and y [n, C], then the mean over the labels that have both kinds
    of nodes. nan where there is no such label, or a score is nan.
    """
    if y.dim() == 1:
        scores, y = (scores[:, 1] - scores[:, 0]).unsqueeze(1), y.unsqueeze(1)
    areas = [_area(column, label > 0.5) for column, label in zip(scores.unbind(1), y.unbind(1), strict=True)]
    known = [area for area in areas if not math.isnan(area)]
    return sum(known) / len(known) if known and not bool(scores.isnan().any()) else float("nan")


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


def make_metric(name: str) -> Metric:
    """`accuracy`, `micro_f1`, `roc_auc`, or `ogb:<dataset>` for OGB's own evaluator of that dataset."""
    if name.startswith("ogb:"):
        return _ogb(name.removeprefix("ogb:"))
    metrics: dict[str, Metric] = {"accuracy": accuracy, "micro_f1": micro_f1, "roc_auc": roc_auc}
    if name not in metrics:
        raise UserError(f"Metric {name!r} is not known: expected one of {', '.join(metrics)}, ogb:<dataset>.")
    return metrics[name]


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
