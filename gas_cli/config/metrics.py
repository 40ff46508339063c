"""Metrics by name: which direction is better, and the tasks that they fit. What they compute is in `passes/metrics.py`.

The loss can choose the best epoch as a metric does (`evaluation.select=loss`). It is no metric of a dataset.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from gas_cli.errors import UserError

BINARY, MULTI_CLASS, MULTI_LABEL, REGRESSION = "binary", "multi-class", "multi-label", "regression"
"""The tasks: two classes, one of C classes, any of C labels per node, and numbers."""


@dataclass(frozen=True)
class MetricKind:
    """What is known of a metric without computing it: the tasks that it fits, whether higher is better, and its range."""

    tasks: tuple[str, ...]
    higher: bool = True
    low: float = 0.0
    high: float = 1.0

    def better(self, value: float, than: float) -> bool:
        """Whether `value` is strictly better; anything is better than nan."""
        return not (than >= value if self.higher else than <= value)

    def possible(self, value: float) -> bool:
        """Whether the metric can be `value`; nan means that there was nothing to measure."""
        return math.isnan(value) or self.low <= value <= self.high


METRICS = {
    "accuracy": MetricKind((BINARY, MULTI_CLASS)),
    "balanced_accuracy": MetricKind((BINARY, MULTI_CLASS)),
    "macro_f1": MetricKind((BINARY, MULTI_CLASS, MULTI_LABEL)),
    "micro_f1": MetricKind((BINARY, MULTI_CLASS, MULTI_LABEL)),
    "average_precision": MetricKind((BINARY, MULTI_LABEL)),
    "roc_auc": MetricKind((BINARY, MULTI_LABEL)),
    "mae": MetricKind((REGRESSION,), higher=False, high=math.inf),
    "rmse": MetricKind((REGRESSION,), higher=False, high=math.inf),
    "r2": MetricKind((REGRESSION,), low=-math.inf),
}
LOSS = "loss"
SELECTABLE = {**METRICS, LOSS: MetricKind((BINARY, MULTI_CLASS, MULTI_LABEL, REGRESSION), higher=False, high=math.inf)}
"""What `evaluation.select` may name."""
OGB = "ogb:"
"""`ogb:<dataset>` is the official metric of a dataset of OGB: an accuracy."""


def metric_kind(name: str) -> MetricKind:
    """Raises UserError for a name that is not known."""
    if name.startswith(OGB):
        return METRICS["accuracy"]
    if name not in SELECTABLE:
        raise UserError(f"Metric {name!r} is not known: expected one of {', '.join(METRICS)}, ogb:<dataset>.")
    return SELECTABLE[name]


def record_key(name: str) -> str:
    """Where metrics.jsonl has the values of the metric that chooses the best epoch: `loss` is that of the steps there."""
    return "eval_loss" if name == LOSS else name


def fitting(task: str, kinds: Mapping[str, MetricKind] = METRICS) -> str:
    """The names of those of `kinds` that fit `task`, for a message."""
    return ", ".join(name for name, kind in kinds.items() if task in kind.tasks)


def check_metric_fits(setting: str, name: str, task: str, kinds: Mapping[str, MetricKind] = METRICS) -> None:
    """Raise UserError where the metric `name`, which `setting` has asked for out of `kinds`, does not fit `task`."""
    if task not in metric_kind(name).tasks:
        raise UserError(f"{setting}={name} does not fit a {task} task: expected one of {fitting(task, kinds)}.")
