"""Batch normalisation over the targets of a step."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gas_cli.ops.norm_relu import Normalised, is_compiled, norm_relu


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation over the targets [B, C] of a step; a single node has no variance, so it takes the running statistics.

    Without running statistics every batch is normalised by its own, in evaluation too, and a single node equals its mean.
    """

    def __init__(self, channels: int, track_running_stats: bool = True) -> None:
        super().__init__(channels, track_running_stats=track_running_stats)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[0] > 1 or (self.running_mean is not None and not self.training):
            return super().forward(x)
        if self.running_mean is None:
            return self.bias.expand_as(x) + 0 * x
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps)

    def relu(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """ReLU(norm(x) [+ residual]), which may take x's memory; compiled where a step of training on the CPU needs the gradient."""
        if not (self.training and torch.is_grad_enabled() and x.shape[0] > 1 and is_compiled(x)):
            out: Tensor = self(x)
            return (out if residual is None else out.add_(residual)).relu_()
        result = norm_relu(x, residual, self.weight, self.bias, self.eps)
        if self.track_running_stats:
            self._count(result, x.shape[0])
        return result.out

    @torch.no_grad()
    def _count(self, result: Normalised, rows: int) -> None:
        """Move the running statistics towards those of the batch, whose variance is corrected for its size."""
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None and self.momentum is not None
        self.num_batches_tracked += 1
        self.running_mean.lerp_(result.mean, self.momentum)
        self.running_var.lerp_(result.variance * (rows / (rows - 1)), self.momentum)
