"""Settings of the `history` group: where historical embeddings live and when they are refreshed."""

from __future__ import annotations

from dataclasses import dataclass

from gas_cli.config.checks import require, require_count_or_null, require_whole
from gas_cli.config.setting import setting

PLACEMENTS = ("auto", "device", "pinned", "host")
MAX_WAVES = 1_000_000
DTYPES = ("float32", "float16", "bfloat16")


@dataclass
class HistoryConfig:
    """The tables of historical embeddings."""

    placement: str = setting(
        "auto",
        "Where the histories live; `auto`: on a CPU its memory, on a GPU the device if they take at most half of what is free there, "
        "else pinned.",
        PLACEMENTS,
    )
    dtype: str = setting("float32", "Precision of the histories; rows are widened to float32 when pulled.", DTYPES)
    pipeline: bool = setting(True, "Overlap traffic with computation (CUDA with pinned tables; no effect elsewhere).")
    refresh: int | None = setting(None, "Recompute all histories exactly every N epochs; `null` for never. Each time costs one exact pass.")
    fill: bool = setting(True, "Exact histories before the first epoch instead of zeros.")

    waves: int = setting(
        0,
        "Batches whose histories are computed anew, without gradient, before each step; as many as L epochs have make all histories exact "
        "([details](methods.md#waves)).",
    )

    def __post_init__(self) -> None:
        require(self.placement in PLACEMENTS, "history.placement", self.placement, "one of " + ", ".join(PLACEMENTS))
        require(self.dtype in DTYPES, "history.dtype", self.dtype, "one of " + ", ".join(DTYPES))
        require_count_or_null("history.refresh", self.refresh)
        require_whole("history.waves", self.waves, 0, MAX_WAVES)
