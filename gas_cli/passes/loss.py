"""The objective of one batch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from gas_cli.batch.batch import Batch


class Loss:
    """Cross entropy (one class per node) or binary cross entropy (multi-label), weighed per batch.

    full_batch   (n_b / n) · M · mean over the batch's n_b training nodes, with n training nodes and M batches per epoch: the mean over an
                 epoch's batches is the full-batch loss, so the estimate is unbiased
    batch_mean   the mean over the batch's training nodes: every batch weighs alike, however few nodes of it train (as published)
    """

    def __init__(self, weighting: str, num_train: int) -> None:
        self.weighting, self.num_train = weighting, num_train

    def __call__(self, scores: Tensor, batch: Batch, num_batches: int) -> Tensor:
        """Scalar loss of scores [B, C]; 0 for a batch without training nodes."""
        if batch.num_train == 0:
            return scores.float().sum() * 0.0  # with the scores' graph of operations, for methods that send gradients along it
        scores, y = scores.index_select(0, batch.train_rows).float(), batch.y.index_select(0, batch.train_rows)
        mean = F.cross_entropy(scores, y) if y.dim() == 1 else F.binary_cross_entropy_with_logits(scores, y)
        if self.weighting == "batch_mean":
            return mean
        return mean * (batch.num_train / self.num_train * num_batches)


def probabilities(scores: Tensor, multilabel: bool) -> Tensor:
    """Class scores [N, C] to class probabilities."""
    return torch.sigmoid(scores) if multilabel else torch.softmax(scores, dim=1)
