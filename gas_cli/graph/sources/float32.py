"""Whole numbers that float32 rounds: ids, times and amounts among features, edge attributes and weights."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

log = logging.getLogger(__name__)

EXACT = 1 << 24
"""Up to here float32 holds every whole number; the next one becomes this one."""
ROWS_AT_A_TIME = 1 << 16


def say_rounded(path: Path, values: NDArray[Any], what: str, rows: str = "row") -> None:
    """One line in the log, where some `values` of `path`, each a `what`, are whole numbers that change when they become float32.

    Of a text file read as float32 all numbers from `EXACT` on count: what they were is lost.
    """
    lost = values.dtype == np.float32 and path.suffix in (".csv", ".parquet")
    if values.dtype.itemsize <= 2 or (values.dtype == np.float32 and not lost):
        return
    count, first = 0, ""
    for start in range(0, values.shape[0], ROWS_AT_A_TIME):  # in blocks: it may be larger than memory
        block = values[start : start + ROWS_AT_A_TIME]
        at = np.argwhere((block >= EXACT) | (block <= -EXACT))
        beyond = block[tuple(at.T)]
        if not lost:
            changed = _changes(beyond)
            at, beyond = at[changed], beyond[changed]
        if len(at) and not count:
            first = f"{beyond[0]:.0f} in {rows} {start + int(at[0, 0])}"
        count += len(at)
    if count:
        log.warning(
            "%s: float32 rounds whole numbers beyond 2^24 = %s. It rounds %s of them here; the first is the %s %s. "
            "Subtract an offset if small differences matter.",
            path,
            f"{EXACT:,}",
            f"{count:,}",
            what,
            first,
        )


def _changes(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Exact also where float64 is not, by going back to the type that they have."""
    with np.errstate(over="ignore", invalid="ignore"):
        whole = np.ones(values.shape, bool) if values.dtype.kind in "iu" else values == np.rint(values)
        changed: NDArray[np.bool_] = values.astype(np.float32).astype(np.longdouble) != values.astype(np.longdouble)
        return whole & changed
