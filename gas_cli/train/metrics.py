"""Metrics of class scores against labels."""

from __future__ import annotations

from collections.abc import Callable

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


def make_metric(name: str) -> Metric:
    """`accuracy`, `micro_f1`, or `ogb:<dataset>` for OGB's own evaluator of that dataset."""
    if name.startswith("ogb:"):
        return _ogb(name.removeprefix("ogb:"))
    metrics: dict[str, Metric] = {"accuracy": accuracy, "micro_f1": micro_f1}
    if name not in metrics:
        raise UserError(f"Metric {name!r} is not known: expected one of {', '.join(metrics)}, ogb:<dataset>.")
    return metrics[name]


def _ogb(dataset: str) -> Metric:
    from gas_cli.graph.sources.ogb_library import ogb_evaluator

    evaluator = ogb_evaluator(dataset)

    def metric(scores: Tensor, y: Tensor) -> float:
        if not y.shape[0]:
            return float("nan")
        result = evaluator.eval({"y_true": y.reshape(-1, 1).numpy(), "y_pred": scores.argmax(1, keepdim=True).numpy()})
        return float(result["acc"])

    return metric
