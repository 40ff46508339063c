"""What a mini-batch step would give now, without taking it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gas_cli.batch.batch import Batch
from gas_cli.diagnose.gradient import gradients
from gas_cli.method.method import Link, Method
from gas_cli.model.model import Model
from gas_cli.ops.dropout import Noise
from gas_cli.passes.drivers import NO_NOISE, forward
from gas_cli.passes.loss import Loss
from gas_cli.tables.table import Pending, Table, Where


@dataclass(frozen=True)
class Step:
    """The outcome of a step not taken, for its B targets.

    outputs     ĥ of the inputs of layers 1..L-1, then the class scores: L tensors [B, C]
    gradient    the step's part of the loss' gradient by each weight; zeros for a batch without training nodes
    """

    outputs: list[Tensor]
    gradient: list[Tensor]


class Kept(Table):
    """A table that is read as it is; what is written to it is kept aside."""

    def __init__(self, table: Table) -> None:
        self.num_rows, self.width, self.dtype, self.table = table.num_rows, table.width, table.dtype, table
        self.written: Tensor

    def read(self, where: Where, ready: Any = None) -> Pending:
        return self.table.read(where, ready)

    def write(self, where: Where, rows: Tensor) -> None:
        self.written = rows.detach().float()

    def flush(self) -> None:
        """Nothing was written."""

    def state(self) -> Tensor:
        return self.table.state()


def probe(
    model: Model, batch: Batch, method: Method, loss: Loss, num_batches: int, weights: list[nn.Parameter], noise: Noise = NO_NOISE
) -> Step:
    """Forward and backward on the tables of `method`, which keeps histories, as they are, in the mode that the model is in, with the
    dropout of `noise`. `loss` and `num_batches` are those of training: histories of gradients have that scale; the outcome's is
    1 / `num_batches`."""
    kept: dict[Table, Kept] = {}

    def keep(table: Table) -> Table:
        kept[table] = Kept(table)
        return kept[table]

    assert method.histories is not None
    scores, gradient = step_gradient(model, batch, method, method.link(through=keep), loss, num_batches, weights, noise)
    return Step([*(kept[table].written for table in method.histories), scores], gradient)


def step_gradient(
    model: Model, batch: Batch, method: Method, link: Link, loss: Loss, num_batches: int, weights: list[nn.Parameter], noise: Noise
) -> tuple[Tensor, list[Tensor]]:
    """Scores and gradient of a step on what `link`, one of `method`'s, reads; it does not end."""
    learns = method.learns_from(batch)
    link.begin(batch, None)
    with torch.set_grad_enabled(learns):
        scores = forward(model, batch, link, noise)
        if learns:
            gradient = [each / num_batches for each in gradients(link.loss(loss, scores, batch, num_batches), list(weights))]
        else:
            gradient = [torch.zeros_like(weight) for weight in weights]
    return scores.detach().float(), gradient
