"""Settings of the `history` group: where historical embeddings live and when they are refreshed."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gas_cli.config.checks import MAX_COUNT, require

PLACEMENTS = ("auto", "device", "pinned", "host")
DTYPES = ("float32", "float16", "bfloat16")


@dataclass
class HistoryConfig:
    """`placement`: auto | device | pinned | host; `dtype`: float32 | float16 | bfloat16.

    `pipeline` overlaps history traffic with computation where the device has streams (CUDA with pinned tables);
    elsewhere there is no traffic to hide and the synchronous exchange runs. `refresh`: `never`, `epoch` (recompute every
    history exactly after each epoch, as the published results do) or a number of epochs. `fill` computes exact histories
    before the first epoch instead of starting from zeros.
    """

    placement: str = "auto"
    dtype: str = "float32"
    pipeline: bool = True
    refresh: str = "never"
    fill: bool = True

    def __post_init__(self) -> None:
        require(self.placement in PLACEMENTS, "history.placement", self.placement, "one of " + ", ".join(PLACEMENTS))
        require(self.dtype in DTYPES, "history.dtype", self.dtype, "one of " + ", ".join(DTYPES))
        require(
            self.refresh in ("never", "epoch")
            or (re.fullmatch("[1-9][0-9]{0,9}", self.refresh) is not None and int(self.refresh) <= MAX_COUNT),
            "history.refresh",
            self.refresh,
            f"never, epoch, or a number of epochs from 1 to {MAX_COUNT}",
        )

    @property
    def refresh_every(self) -> int:
        """Epochs between two refreshes; 0 for never."""
        if self.refresh == "never":
            return 0
        return 1 if self.refresh == "epoch" else int(self.refresh)
