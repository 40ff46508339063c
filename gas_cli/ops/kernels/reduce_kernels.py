"""Compiled loops of `reduce.py`: means, sums and maxima of neighbours' rows in one pass over the edges; `kernels.py` says how they run."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(inline="always", cache=True)
def take(row, chosen, source, number, sums):  # type: ignore[no-untyped-def]
    """Add one source's row [W] to the first `sums` columns; keep the larger in the others, and whose it is. NaN is larger than all.

    Selections instead of branches (`|`, not `or`) and slices from 0 on: only so are several maxima computed at a time.
    """
    for c in range(sums):
        row[c] += source[c]
    peak, other = row[sums:], source[sums:]
    for c in range(peak.shape[0]):
        new, old, holder = other[c], peak[c], chosen[c]
        larger = (new > old) | (new != new)  # noqa: PLR0124 - nan
        peak[c] = new if larger else old
        chosen[c] = number if larger else holder


@njit(nogil=True, cache=True)
def combine(in_ptr, in_col, in_value, out_ptr, out_col, out_value, target, halo, means, sums, row, chosen, share, start, stop):  # type: ignore[no-untyped-def]
    """row[i] = mean | sum | max over the sources of target i, by columns [0, means) | [means, sums) | [sums, W).

    `chosen` int32 [B, W-sums]: the source of each maximum, counting targets first and then halo nodes; -1 without any.
    `share` [B]: one over the number of sources (over 1 without any). Edges of weight 0 are no edges.
    """
    for i in range(start, stop):
        row[i, :sums] = 0
        row[i, sums:] = -np.inf
        chosen[i] = -1
        count = 0
        for e in range(in_ptr[i], in_ptr[i + 1]):
            if in_value[e] != 0:
                take(row[i], chosen[i], target[in_col[e]], np.int32(in_col[e]), sums)
                count += 1
        for e in range(out_ptr[i], out_ptr[i + 1]):
            if out_value[e] != 0:
                take(row[i], chosen[i], halo[out_col[e]], np.int32(target.shape[0] + out_col[e]), sums)
                count += 1
        share[i] = 1 / max(count, 1)
        for c in range(means):
            row[i, c] *= share[i]
        if count == 0:
            row[i, sums:] = 0


@njit(nogil=True, cache=True)
def spread_sums(rowptr, col, value, grad, share, means, sums, out, start, stop):  # type: ignore[no-untyped-def]
    """The gradient of means and sums at the sources, out [m, W]: rows of the transpose list the targets of a source. Maxima stay 0."""
    for i in range(start, stop):
        out[i] = 0
        averaged, added = out[i, :means], out[i, means:sums]
        for e in range(rowptr[i], rowptr[i + 1]):
            if value[e] != 0:
                weight, from_averaged, from_added = share[col[e]], grad[col[e], :means], grad[col[e], means:sums]
                for c in range(means):
                    averaged[c] += weight * from_averaged[c]
                for c in range(added.shape[0]):
                    added[c] += from_added[c]


@njit(nogil=True, cache=True)
def route_maxima(chosen, grad, sums, first, out, start, stop):  # type: ignore[no-untyped-def]
    """Add the gradient of the maxima [start, stop) to their sources, of which `out` [m, W] holds the numbers from `first` on.

    A range of columns, not of rows: two targets may have chosen the same source.
    """
    for i in range(chosen.shape[0]):
        for c in range(start, stop):
            source = chosen[i, c] - first
            if 0 <= source < out.shape[0]:
                out[source, sums + c] += grad[i, sums + c]
