"""The batches of an epoch, on the device and in order."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Generator, Iterator
from functools import lru_cache, partial
from typing import NamedTuple

import torch

from gas_cli.batch.batch import Batch
from gas_cli.batch.loader import Batches, BatchLoader
from gas_cli.batch.side_stream import SideStream, arrived
from gas_cli.config.training import TrainerConfig
from gas_cli.measure.clock import Clock
from gas_cli.partition.groups import Units, groups_of

KEPT_GROUPINGS = 64
"""Where shuffling can make only this many different batches, they are soon seen again and their blocks are kept."""


class EpochBatches:
    """Which of the `units` form a batch is a function of (seed, epoch); the wait for the builder is the phase `batch`."""

    def __init__(self, config: TrainerConfig, loader: BatchLoader, units: Units, seed: int, device: torch.device, clock: Clock) -> None:
        self.config, self.loader, self.seed, self.device, self.clock = config, loader, seed, device, clock
        self.units = units
        self.side = SideStream(device) if device.type == "cuda" else None
        self._ahead: _Started | None = None
        self._groups_of = lru_cache(maxsize=2)(groups_of)  # this epoch's and the next one's: a million seeds take a while

    def groups(self, epoch: int) -> list[list[int]]:
        """The units of each batch of an epoch, cut short after `max_steps`."""
        groups = self.all_groups(epoch)
        return groups[: self.config.max_steps]

    def all_groups(self, epoch: int) -> list[list[int]]:
        """The same with every unit in one batch."""
        return self._groups_of(self.units, self.config.shuffle, self.seed, epoch)

    def batches(self, epoch: int, first: int = 0) -> Iterator[tuple[Batch, Batch | None]]:
        """Each batch of an epoch from number `first` on with its successor (None for the last), which may still be on its way: only the
        first of the two has arrived. Once the last is taken, those of the next epoch are built."""
        source = self._taken(self.groups(epoch)[first:])
        with contextlib.closing(source):
            current = self._next(source)
            while current is not None:
                upcoming = self._next(source)
                if upcoming is None and epoch < self.config.epochs:
                    self._ahead = self._started(self.groups(epoch + 1))
                yield arrived(current), upcoming
                current = upcoming

    def waves(self, epoch: int, first: int, count: int) -> Generator[Batch]:
        """`count` batches for each batch of an epoch from number `first` on: they go round and round through the epoch's, where those for
        the batch before left off."""
        groups, steps = self.all_groups(epoch), len(self.groups(epoch))
        order = [groups[number % len(groups)] for number in range(first * count, steps * count)]
        with contextlib.closing(self._started(order).source) as source:
            while (batch := self._next(source)) is not None:
                yield arrived(batch)

    def close(self) -> None:
        """Stop building the next epoch's batches."""
        if self._ahead is not None:
            self._ahead.source.close()
            self._ahead = None

    def _taken(self, groups: list[list[int]]) -> Batches:
        """The batches of `groups`: those that are being built, where they are these."""
        ahead = self._ahead
        if ahead is not None and ahead.groups == groups and ahead.loader is self.loader:
            self._ahead = None
            return ahead.source
        self.close()
        return self._started(groups).source

    def _started(self, groups: list[list[int]]) -> _Started:
        total, per_step, drawn = self.units
        repeats = not drawn and (not self.config.shuffle or math.comb(total, per_step) <= KEPT_GROUPINGS)
        return _Started(self.loader, groups, self.loader.batches(groups, keep=repeats))

    def _next(self, source: Batches) -> Batch | None:
        with self.clock.phase("batch"):
            batch = next(source, None)
            if batch is not None and self.side is not None and batch.ready is None:
                batch = self.side.make(partial(batch.to, self.device))
            return batch


class _Started(NamedTuple):
    """Batches of `groups` that are being built."""

    loader: BatchLoader
    groups: list[list[int]]
    source: Batches
