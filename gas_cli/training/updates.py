"""After which batches of an epoch the weights move."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Updates:
    """One update for every `every` batches in a row; the last one of an epoch of `batches` takes what is left.

    Within the batches of an update all rows are computed by the same weights: with all of an epoch, histories are of the weights before the
    last update, and no older.
    """

    batches: int
    every: int

    @property
    def per_epoch(self) -> int:
        return math.ceil(self.batches / self.every)

    def due(self, done: int) -> int:
        """How many batches' gradients are in the update that follows the first `done` = 1..`batches` of an epoch; 0 where none follows."""
        if done == self.batches:
            return (done - 1) % self.every + 1
        return self.every if done % self.every == 0 else 0

    def pending(self, done: int) -> int:
        """How many of the first `done` batches came after the last update."""
        return 0 if done == self.batches else done % self.every
