"""What a mini-batch step would give now, without taking it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gas_cli.batch.batch import Batch
from gas_cli.history.exchange import Exchange
from gas_cli.history.store import HistoryStore
from gas_cli.model.model import Model
from gas_cli.ops.dropout import Noise
from gas_cli.train.drivers import forward
from gas_cli.train.gradient import gradients
from gas_cli.train.loss import Loss


class ReadingExchange(Exchange):
    """Reads histories as a step does, and keeps what a step would push instead of storing it."""

    def __init__(self, store: HistoryStore) -> None:
        self.store = store
        self.pushed: list[Tensor] = []
        self._batch: Batch

    def begin(self, batch: Batch, upcoming: Batch | None) -> None:
        self._batch, self.pushed = batch, []

    def push(self, layer: int, rows: Tensor) -> None:
        self.pushed.append(rows.detach())

    def pull(self, layer: int) -> Tensor:
        return self.store.pull(layer, self._batch.halo)

    def end(self, step: int) -> None:
        """No age changes."""

    def flush(self) -> None:
        """No traffic."""


@dataclass(frozen=True)
class Step:
    """The outcome of a step not taken, for its B targets.

    outputs     ĥ of the inputs of layers 1..L-1, then the class scores: L tensors [B, C]
    gradient    the step's part of the loss' gradient by each weight; zeros for a batch without training nodes
    """

    outputs: list[Tensor]
    gradient: list[Tensor]


def probe(model: Model, batch: Batch, store: HistoryStore, loss: Loss, weights: list[nn.Parameter]) -> Step:
    """Forward and backward on the histories as they are, in the mode that the model is in, without dropout by node."""
    exchange = ReadingExchange(store)
    exchange.begin(batch, None)
    with torch.set_grad_enabled(batch.num_train > 0):
        scores = forward(model, batch, exchange, Noise.off())
        if batch.num_train > 0:
            gradient = gradients(loss(scores, batch, 1), list(weights))
        else:
            gradient = [torch.zeros_like(weight) for weight in weights]
    return Step([rows.float() for rows in [*exchange.pushed, scores.detach()]], gradient)
