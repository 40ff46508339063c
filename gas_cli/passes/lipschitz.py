"""Local Lipschitz regularisation: layers whose outputs move little when their inputs do, since stale histories are such a move.

    loss = task + weight · Σ_{l = 1..L-2} mean_v ‖f_l(z_v) - f_l(z_v + σ n_v)‖_2 / (L-1),    n_v ~ N(0, I)

The layers are the hidden ones, whose outputs become histories, but the first: it reads raw features, which are never stale. L-1 is the
number of histories. z and f are the model's to say (`layer_and_shift`): the perceptron of GIN on its aggregated inputs, as in the
authors' released example; elsewhere the whole layer on the inputs of targets and halo. These layers run twice, with the same dropout.
Noise is keyed by node like dropout, so it depends on no order and no generator.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import partial

import torch
from torch import Tensor

from gas_cli.batch.batch import Block, Rows
from gas_cli.config.training import LipschitzConfig
from gas_cli.model.model import Model, State
from gas_cli.ops.dropout import Noise
from gas_cli.ops.gaussian import gaussian

SITE = 1 << 18
"""Beyond the sites that layers use for their dropout; one per layer."""


class Penalty(ABC):
    """Runs the layers of one step, and adds to its loss what it saw of them."""

    @abstractmethod
    def layer(self, model: Model, index: int, rows: Rows, block: Block, state: State) -> Tensor:
        """The output of layer `index` [B, C]."""

    @abstractmethod
    def onto(self, loss: Tensor) -> Tensor:
        """The step's objective."""


class NoPenalty(Penalty):
    """The task's loss alone."""

    def layer(self, model: Model, index: int, rows: Rows, block: Block, state: State) -> Tensor:
        return model.layer(index, rows, block, state)

    def onto(self, loss: Tensor) -> Tensor:
        return loss


class LipschitzPenalty(Penalty):
    """One instance per step; batches without training nodes have no loss to add to, so their layers run once."""

    def __init__(self, config: LipschitzConfig, noise: Noise) -> None:
        self.config, self.noise = config, noise
        self.shifts: list[Tensor] = []  # mean over the targets / number of histories, by layer

    def layer(self, model: Model, index: int, rows: Rows, block: Block, state: State) -> Tensor:
        if not 0 < index < model.num_layers - 1 or not torch.is_grad_enabled():
            return model.layer(index, rows, block, state)
        out, shift = model.layer_and_shift(index, rows, block, state, partial(self._perturb, index))
        self.shifts.append(shift.mean() / (model.num_layers - 1))
        return out

    def onto(self, loss: Tensor) -> Tensor:
        return loss + self.config.weight * torch.stack(self.shifts).sum()

    def _perturb(self, index: int, rows: Tensor, ids: Tensor) -> Tensor:
        return rows + self.config.noise * gaussian(self.noise, SITE + index, ids, rows.shape[1])


def make_penalty(config: LipschitzConfig, noise: Noise) -> Penalty:
    """The penalty of one step; with weight 0 nothing is computed."""
    return LipschitzPenalty(config, noise) if config.weight > 0 else NoPenalty()
