"""History traffic under the clock."""

from __future__ import annotations

from torch import Tensor

from gas_cli.batch.batch import Batch
from gas_cli.history.exchange import Exchange
from gas_cli.train.clock import Clock


class TimedExchange(Exchange):
    """An exchange whose pulls and pushes are charged to phases of their own."""

    def __init__(self, inner: Exchange, clock: Clock) -> None:
        self.inner, self.clock = inner, clock

    def begin(self, batch: Batch, upcoming: Batch | None) -> None:
        self.inner.begin(batch, upcoming)

    def push(self, layer: int, rows: Tensor) -> None:
        with self.clock.phase("push"):
            self.inner.push(layer, rows)

    def pull(self, layer: int) -> Tensor:
        with self.clock.phase("pull"):
            return self.inner.pull(layer)

    def end(self, step: int) -> None:
        self.inner.end(step)

    def flush(self) -> None:
        self.inner.flush()
