"""Where a run stands: what a checkpoint needs to go on in the middle of an epoch."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Best:
    """The evaluation with the highest validation metric so far; `epoch` 0 before the first."""

    epoch: int = 0
    train: float = math.nan
    val: float = math.nan
    test: float = math.nan


@dataclass
class Progress:
    """`epoch` is the one in progress (1-based), `batch` how many of its batches are done, `step` all optimizer steps so far.

    `loss_sum` adds the losses of the epoch's `loss_count` batches that had training nodes; `val` is the latest validation metric.
    `monitor` is this epoch's measurement of histories, once taken: a run that is stopped in the refresh after it cannot take it again.
    """

    epoch: int = 1
    batch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    loss_count: int = 0
    filled: bool = False
    val: float = math.nan
    best: Best = field(default_factory=Best)
    monitor: dict[str, Any] | None = None

    @property
    def loss(self) -> float:
        """Mean loss of the epoch's batches so far."""
        return self.loss_sum / self.loss_count if self.loss_count else math.nan

    def next_epoch(self) -> None:
        self.epoch, self.batch, self.loss_sum, self.loss_count, self.monitor = self.epoch + 1, 0, 0.0, 0, None

    def offer(self, train: float, val: float, test: float) -> bool:
        """Note an evaluation; True if it is the best so far (without validation nodes, every evaluation is)."""
        self.val = val
        better = self.best.epoch == 0 or math.isnan(val) or not self.best.val >= val
        if better:
            self.best = Best(self.epoch, train, val, test)
        return better

    def state_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_state_dict(cls, state: dict[str, Any]) -> Progress:
        return cls(**{**state, "best": Best(**state["best"])})
