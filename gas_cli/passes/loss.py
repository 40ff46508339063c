"""The objective of one batch, and the plain loss of an evaluation."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from gas_cli.batch.batch import Batch
from gas_cli.config.training import BALANCED, TrainerConfig
from gas_cli.errors import UserError
from gas_cli.graph.graph import Graph

ERRORS: dict[str, Callable[..., Tensor]] = {"mse": F.mse_loss, "mae": F.l1_loss, "huber": F.huber_loss}
ROWS_AT_A_TIME = 1 << 16


@dataclass(frozen=True)
class Loss:
    """Cross entropy (one class per node), binary cross entropy (multi-label) or an error of numbers (regression), weighed per batch.

    full_batch   (n_b / n) · M · mean over the batch's n_b training nodes, with n training nodes and M batches per epoch: the mean over an
                 epoch's batches is the full-batch loss, so the estimate is unbiased
    batch_mean   the mean over the batch's training nodes: every batch weighs alike, however few nodes of it train (as published)

    class_weights   float32 [C] or None. One class per node: the mean is weighted by the node's class, and n_b and n are sums of these
                    weights. Multi-label: weights of the labels' positive nodes
    total_weight    sum of the weights of all training nodes, by their classes; the one denominator of `full_batch`
    error           `mse`, `mae` or `huber` of a regression: the mean over nodes and targets; None for classes
    smoothing       s: a share s of each node's target is spread evenly over the classes; a label y becomes y (1 - s) + s / 2
    """

    weighting: str
    num_train: int
    class_weights: Tensor | None = None
    total_weight: float = 0.0
    smoothing: float = 0.0
    error: str | None = None

    def __call__(self, scores: Tensor, batch: Batch, num_batches: int) -> Tensor:
        """Scalar loss of scores [B, C]; 0 for a batch without training nodes."""
        if batch.num_train == 0:
            return scores.float().sum() * 0.0  # with the scores' graph of operations, for methods that send gradients along it
        scores, y = scores.index_select(0, batch.train_rows).float(), batch.y.index_select(0, batch.train_rows)
        whole = self.weighting == "full_batch"
        if y.dim() == 1 and self.class_weights is not None and whole:
            return self._cross_entropy(scores, y, "sum") * (num_batches / self.total_weight)
        mean = self._mean(scores, y)
        return mean * (batch.num_train / self.num_train * num_batches) if whole else mean

    def plain(self, scores: Tensor, y: Tensor) -> float:
        """The mean loss of scores [n, C] over nodes (and labels or targets); nan for n = 0. A metric: without class weights and smoothing,
        and no matter how nodes were divided into batches.

        Summed in float64, blocks of `ROWS_AT_A_TIME` rows in their order.
        """
        blocks = zip(torch.split(scores, ROWS_AT_A_TIME), torch.split(y, ROWS_AT_A_TIME), strict=True)
        total = sum(float(self._plain_sum(some.double(), of)) for some, of in blocks)
        return total / y.numel() if y.numel() else math.nan

    def _plain_sum(self, scores: Tensor, y: Tensor) -> Tensor:
        if self.error is not None:
            return ERRORS[self.error](scores.reshape(y.shape), y.double(), reduction="sum")
        if y.dim() == 1:
            return F.cross_entropy(scores, y, reduction="sum")
        return F.binary_cross_entropy_with_logits(scores, y.double(), reduction="sum")

    def _mean(self, scores: Tensor, y: Tensor) -> Tensor:
        """Over the training nodes of a batch."""
        if self.error is not None:
            return ERRORS[self.error](scores.reshape(y.shape), y)
        return self._cross_entropy(scores, y, "mean") if y.dim() == 1 else self._of_labels(scores, y)

    def _cross_entropy(self, scores: Tensor, y: Tensor, reduction: str) -> Tensor:
        return F.cross_entropy(scores, y, self.class_weights, label_smoothing=self.smoothing, reduction=reduction)

    def _of_labels(self, scores: Tensor, y: Tensor) -> Tensor:
        target = y * (1 - self.smoothing) + self.smoothing / 2 if self.smoothing else y
        return F.binary_cross_entropy_with_logits(scores, target, pos_weight=self.class_weights)


def make_loss(config: TrainerConfig, graph: Graph, train: Tensor, device: torch.device) -> Loss:
    """The loss of the configuration for the training nodes `train` bool [N]. Raises UserError where the settings do not fit the task."""
    _check_task(config, graph)
    if graph.regression:
        return Loss(config.loss_weighting, int(train.sum()), error=config.loss or "mse")
    y, num_train = graph.y[train], int(train.sum())
    weights = _class_weights(config, graph, y)
    total = float(weights.double()[y].sum()) if weights is not None and y.dim() == 1 else 0.0
    weights = None if weights is None else weights.to(device)
    return Loss(config.loss_weighting, num_train, weights, total, config.label_smoothing)


def _check_task(config: TrainerConfig, graph: Graph) -> None:
    """A regression has no classes, and classes have no errors of numbers."""
    if not graph.regression and config.loss is not None:
        raise UserError(f"trainer.loss={config.loss} is not valid for a {graph.task} task: it has cross entropy. Use trainer.loss=null.")
    if graph.regression and config.class_weights is not None:
        raise UserError("trainer.class_weights is not valid for a regression, which has no classes. Use trainer.class_weights=null.")
    if graph.regression and config.label_smoothing > 0:
        raise UserError("trainer.label_smoothing is not valid for a regression, which has no classes. Use trainer.label_smoothing=0.")


def _class_weights(config: TrainerConfig, graph: Graph, y: Tensor) -> Tensor | None:
    """Those of `trainer.class_weights`, float32 [C]."""
    given = config.class_weights
    if given is None:
        return None
    if given == BALANCED:
        return balanced_label_weights(y) if y.dim() == 2 else balanced_weights(y, graph.num_classes)
    if len(given) != graph.num_classes:
        raise UserError(
            f"trainer.class_weights has {len(given)} numbers and the graph {graph.num_classes} classes: "
            f"expected {graph.num_classes} numbers, or {BALANCED}."
        )
    return torch.tensor(given, dtype=torch.float32)


def balanced_weights(y: Tensor, num_classes: int) -> Tensor:
    """w_c = n / (C n_c) of labels int64 [n], as scikit-learn's `balanced`: C counts the classes that have nodes, the others have 0."""
    counts = torch.bincount(y, minlength=num_classes)
    present = counts > 0
    weights = y.numel() / (int(present.sum()) * counts.clamp(min=1).double())
    return torch.where(present, weights, 0.0).float()


def balanced_label_weights(y: Tensor) -> Tensor:
    """Nodes without the label / nodes with it, of labels [n, C] of zeros and ones; 1 where all nodes are of one kind."""
    positive = (y > 0.5).sum(0).double()
    negative = y.shape[0] - positive
    return torch.where((positive > 0) & (negative > 0), negative / positive.clamp(min=1), 1.0).float()


def probabilities(scores: Tensor, multilabel: bool) -> Tensor:
    """Class scores [N, C] to class probabilities."""
    return torch.sigmoid(scores) if multilabel else torch.softmax(scores, dim=1)
