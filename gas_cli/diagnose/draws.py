"""The gradient in training mode: what dropout masks do to it, over several draws of them.

With g_d the gradient of the epoch's batches and f_d that of the whole graph under the same masks d, the bias is ‖mean g_d - mean f_d‖ /
‖mean f_d‖: it holds what histories and cut messages do, and nothing of the masks themselves. Norms use their running statistics.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from gas_cli.batch.batch import Batch
from gas_cli.diagnose.distribution import short
from gas_cli.diagnose.gradient import add, bias, full_gradient, parameters
from gas_cli.diagnose.probe import probe
from gas_cli.method.method import Method
from gas_cli.model.model import drops
from gas_cli.ops.dropout import Noise
from gas_cli.passes.evaluator import Evaluator
from gas_cli.passes.loss import Loss
from gas_cli.tables.histories import Histories

DRAWS = 4
MASKS = 0x4D41534B53
"""Keeps the masks of draws apart from those of steps."""


def has_dropout(method: Method) -> bool:
    """Whether a training step of `method` drops anything by masks that follow the nodes or edges."""
    return method.training.layers.dropout > 0 or drops(method.model)


class Draws:
    """`DRAWS` sets of masks that no step has, by the number of steps done: a measurement can be made again."""

    def __init__(self, method: Method, evaluator: Evaluator, loss: Loss, step: int) -> None:
        """`loss` has the weighting `full_batch`."""
        self.method, self.evaluator, self.model, self.loss = method, evaluator, method.model, loss
        self.noises = [Noise(method.training.seed ^ MASKS, step * DRAWS + draw) for draw in range(DRAWS)]

    def gradients(self, batches: Iterable[Batch], num_batches: int) -> list[list[Tensor]]:
        """g_d of each draw, of batches that hold all that the method's link reads; each is built once."""
        weights = list(parameters(self.model).values())
        totals = [[torch.zeros_like(weight) for weight in weights] for _ in self.noises]
        for batch in batches:
            for noise, total in zip(self.noises, totals, strict=True):
                add(total, probe(self.model, batch, self.method, self.loss, num_batches, weights, noise).gradient)
        return totals

    def full_gradients(self, groups: list[list[int]], scratch: Histories) -> list[list[Tensor]]:
        """f_d of each draw, from the batches of `groups`; `scratch` then holds the last draw's exact inputs."""
        found = []
        for noise in self.noises:
            self.evaluator.exact(refresh=scratch, noise=noise)
            found.append(full_gradient(self.model, lambda inputs: self.evaluator.batches_of(groups, inputs), scratch, self.loss, noise))
        return found


def describe(found: list[list[Tensor]], full: list[list[Tensor]], names: list[str]) -> dict[str, Any]:
    """The bias of the mean of g_d = `found[d]` from that of f_d = `full[d]`, and the `variance` of g_d."""
    return {**bias(_mean(found), _mean(full), names), "variance": variance(found)}


def variance(drawn: list[list[Tensor]]) -> float | None:
    """The mean over draws of ‖g_d - mean‖² / ‖mean‖²; None where the mean is zero."""
    flat = torch.stack([torch.cat([piece.flatten() for piece in each]).double() for each in drawn])
    mean = flat.mean(0)
    size = float(mean.square().sum())
    return short(float((flat - mean).square().sum(1).mean()) / size) if size > 0 else None


def _mean(drawn: list[list[Tensor]]) -> list[Tensor]:
    return [torch.stack(pieces).mean(0) for pieces in zip(*drawn, strict=True)]
