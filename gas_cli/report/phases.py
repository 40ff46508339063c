"""Seconds per epoch by phase, from the epochs that were recorded."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

TRAINING = ("batch", "pull", "compute", "push")
"""The phases that make up training itself; refreshes, evaluations and checkpoints are counted beside it."""


def summarize_records(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """`seconds_per_epoch` (mean per phase, and `train` = the sum of the training phases), `peak_memory`, `epochs_done`.

    The first epoch compiles kernels and fills caches, so it is left out of the means where there are others.
    """
    if not records:
        return {"epochs_done": 0}
    timed = [record["seconds"] for record in (records[1:] or records)]
    seconds = {phase: statistics.fmean(entry[phase] for entry in timed) for phase in timed[0]}
    return {
        "epochs_done": records[-1]["epoch"],
        "seconds_per_epoch": {"train": sum(seconds[phase] for phase in TRAINING), **seconds},
        "peak_memory": max(record["peak_memory"] for record in records),
    }
