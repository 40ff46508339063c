"""The batches of an epoch, on the device and in order."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from gas_cli.batch.batch import Batch
from gas_cli.batch.loader import BatchLoader, epoch_groups
from gas_cli.config.training import TrainerConfig
from gas_cli.train.clock import Clock

KEPT_GROUPINGS = 64
"""Where shuffling can make only this many different batches, they are soon seen again and their blocks are kept."""


class EpochBatches:
    """Which of the first `num_parts` parts form a batch is a function of (seed, epoch); the wait for the builder is the phase `batch`."""

    def __init__(self, config: TrainerConfig, loader: BatchLoader, num_parts: int, seed: int, device: torch.device, clock: Clock) -> None:
        self.config, self.loader, self.seed, self.device, self.clock = config, loader, seed, device, clock
        self.num_parts, self.batch_parts = num_parts, min(config.batch_parts, num_parts)

    def groups(self, epoch: int) -> list[list[int]]:
        """The parts of each batch of an epoch, cut short after `max_steps`."""
        groups = self.all_groups(epoch)
        return groups[: self.config.max_steps] if self.config.max_steps > 0 else groups

    def all_groups(self, epoch: int) -> list[list[int]]:
        """The same with every part in one batch."""
        return epoch_groups(self.num_parts, self.batch_parts, self.config.shuffle, self.seed, epoch)

    def batches(self, groups: list[list[int]]) -> Iterator[tuple[Batch, Batch | None]]:
        """Each batch with its successor (None for the last)."""
        source = self._built(groups)
        current = next(source, None)
        while current is not None:
            upcoming = next(source, None)
            yield current, upcoming
            current = upcoming

    def _built(self, groups: list[list[int]]) -> Iterator[Batch]:
        repeats = not self.config.shuffle or math.comb(self.num_parts, self.batch_parts) <= KEPT_GROUPINGS
        source = self.loader.batches(groups, keep=repeats)
        while True:
            with self.clock.phase("batch"):
                batch = next(source, None)
                if batch is None:
                    return
                batch = batch.to(self.device)
            yield batch
            del batch  # whoever takes it decides how long it lives
