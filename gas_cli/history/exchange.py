"""The exchange between layers and histories: what a training step calls, and its synchronous reference.

Order, in every implementation: a pull of layer l at step t+1 sees the pushes of layer l at step t. Within a step a pull never reads what
the same step pushes, because halo rows and target rows are disjoint.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from gas_cli.batch.batch import Batch
from gas_cli.history.store import HistoryStore


class Exchange(ABC):
    """One training step is `begin`, then for l = 1..L-1 `push(l)` and `pull(l)`, then `end`."""

    @abstractmethod
    def begin(self, batch: Batch, upcoming: Batch | None) -> None:
        """Start a step on `batch`; `upcoming` is the next step's batch, or None where it is not known (or the last)."""

    @abstractmethod
    def push(self, layer: int, rows: Tensor) -> None:
        """Store the targets' inputs of layer `layer` [B, C], detached."""

    @abstractmethod
    def pull(self, layer: int) -> Tensor:
        """The halo's inputs of layer `layer` [H, C], float32, without gradient; ready for use on the current stream."""

    @abstractmethod
    def end(self, step: int) -> None:
        """Close the step numbered `step` and note the age of its parts."""

    @abstractmethod
    def flush(self) -> None:
        """Wait for all traffic and forget what was read ahead: the tables may now be read or rewritten by others."""


class NoExchange(Exchange):
    """Full batch and Cluster-GCN: there is no halo, and nothing to store. `widths[l]` are the channels that layer l reads."""

    def __init__(self, widths: tuple[int, ...], device: torch.device) -> None:
        self._empty = {layer: torch.zeros(0, width, device=device) for layer, width in enumerate(widths)}

    def begin(self, batch: Batch, upcoming: Batch | None) -> None:
        assert batch.block.num_halo == 0, "without histories there is no halo"

    def push(self, layer: int, rows: Tensor) -> None:
        """Nothing to store."""

    def pull(self, layer: int) -> Tensor:
        return self._empty[layer]

    def end(self, step: int) -> None:
        """Nothing was pushed."""

    def flush(self) -> None:
        """No traffic."""


class SynchronousExchange(Exchange):
    """Copies in program order: the reference for every other exchange, and the path on a CPU."""

    def __init__(self, store: HistoryStore) -> None:
        self.store = store
        self._batch: Batch

    def begin(self, batch: Batch, upcoming: Batch | None) -> None:
        self._batch = batch

    def push(self, layer: int, rows: Tensor) -> None:
        self.store.push(layer, self._batch.ranges, rows.detach())

    def pull(self, layer: int) -> Tensor:
        return self.store.pull(layer, self._batch.halo)

    def end(self, step: int) -> None:
        self.store.mark_pushed(self._batch.parts, step)
        del self._batch  # its memory goes to the next one

    def flush(self) -> None:
        """Every copy has already happened."""
