"""Compiled loops from one adjacency to another in one pass, with no table of the edges between the two."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def row_totals(rowptr, value):  # type: ignore[no-untyped-def]
    """Σ of each row's values, float32, in their order."""
    total = np.zeros(rowptr.shape[0] - 1, np.float32)
    for i in range(total.shape[0]):
        for e in range(rowptr[i], rowptr[i + 1]):
            total[i] += value[e]
    return total


@njit(nogil=True, cache=True)
def count_diagonal(rowptr, col):  # type: ignore[no-untyped-def]
    """How many rows have an entry on the diagonal."""
    count = 0
    for i in range(rowptr.shape[0] - 1):
        for e in range(rowptr[i], rowptr[i + 1]):
            count += col[e] == i
    return count


@njit(nogil=True, cache=True)
def with_diagonal(rowptr, col, value, attr_row, out_rowptr, out_col, out_value, out_attr):  # type: ignore[no-untyped-def]
    """Rows with an entry of weight 1 (attr_row -1) on the diagonal where there is none; `attr_row` may be empty. Columns ascend."""
    at = 0
    for i in range(rowptr.shape[0] - 1):
        missing = True
        for e in range(rowptr[i], rowptr[i + 1] + 1):
            if missing and (e == rowptr[i + 1] or col[e] >= i):
                missing = False
                if e == rowptr[i + 1] or col[e] > i:
                    out_col[at], out_value[at] = i, 1
                    if out_attr.shape[0]:
                        out_attr[at] = -1
                    at += 1
            if e < rowptr[i + 1]:
                out_col[at], out_value[at] = col[e], value[e]
                if out_attr.shape[0]:
                    out_attr[at] = attr_row[e]
                at += 1
        out_rowptr[i + 1] = at


@njit(nogil=True, cache=True)
def scale_rows(rowptr, value, scale, out):  # type: ignore[no-untyped-def]
    """out[e] = scale[i] · value[e] for the entries e of row i; `out` may be `value`."""
    for i in range(rowptr.shape[0] - 1):
        for e in range(rowptr[i], rowptr[i + 1]):
            out[e] = scale[i] * value[e]


@njit(nogil=True, cache=True)
def scale_both(rowptr, col, value, scale, out):  # type: ignore[no-untyped-def]
    """out[e] = (scale[i] · scale[col[e]]) · value[e]: equal for both directions of an edge, to the last bit. `out` may be `value`."""
    for i in range(rowptr.shape[0] - 1):
        for e in range(rowptr[i], rowptr[i + 1]):
            out[e] = (scale[i] * scale[col[e]]) * value[e]


@njit(nogil=True, cache=True)
def relabelled_transpose(rowptr, col, value, attr_row, order, place):  # type: ignore[no-untyped-def]
    """CSR of the transpose of B, where B[i, j] = A[order[i], order[j]]: columns ascend, whatever the order. `place` is the inverse of
    `order`; `attr_row` goes with the entries, as `value` does, and may be empty."""
    counts = np.zeros(rowptr.shape[0] - 1, np.int64)
    for e in range(col.shape[0]):
        counts[col[e]] += 1
    out_rowptr = np.zeros(rowptr.shape[0], np.int64)
    for i in range(order.shape[0]):
        out_rowptr[i + 1] = out_rowptr[i] + counts[order[i]]
    cursor = out_rowptr[:-1].copy()
    out_col, out_value, out_attr = np.empty_like(col), np.empty_like(value), np.empty_like(attr_row)
    for i in range(order.shape[0]):
        for e in range(rowptr[order[i]], rowptr[order[i] + 1]):
            row = place[col[e]]
            at = cursor[row]
            cursor[row] = at + 1
            out_col[at], out_value[at] = i, value[e]
            if attr_row.shape[0]:
                out_attr[at] = attr_row[e]
    return out_rowptr, out_col, out_value, out_attr
