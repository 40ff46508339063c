"""Compiled loops for sparse features: the product's gradient without a transpose, and dropout that removes what it drops."""

from __future__ import annotations

import numpy as np
from numba import njit

from gas_cli.ops.kernels.csr_kernels import row_key, word
from gas_cli.ops.kernels.vectors import load, multiply_add, pointer, store, zeros


@njit(nogil=True, cache=True)
def scatter(rowptr, col, value, grad, channels, out, first, stop):  # type: ignore[no-untyped-def]
    """out[col[e]] += value[e] · grad[i] over the entries e of every row i, in the channels of the groups of 16 [first, stop).

    Tables are contiguous float32. Each channel is summed in the order of the rows, so that a thread per group changes nothing.
    Rows whose gradient is zero are passed over.
    """
    source, target, like = pointer(grad), pointer(out), zeros(16)
    begin, end = 16 * first, min(16 * stop, channels)
    whole = end - (end - begin) % 16
    for i in range(rowptr.shape[0] - 1):
        row = i * channels
        empty = True
        for c in range(begin, end):
            empty &= source[row + c] == 0
        if empty:
            continue
        for e in range(rowptr[i], rowptr[i + 1]):
            factor, at = value[e], np.int64(col[e]) * channels
            for c in range(begin, whole, 16):
                store(target, at + c, multiply_add(factor, load(source, row + c, like), load(target, at + c, like)))
            for c in range(whole, end):
                target[at + c] += factor * source[row + c]


@njit(nogil=True, cache=True)
def count_kept(rowptr, col, ids, key0, key1, threshold, counts, first, stop):  # type: ignore[no-untyped-def]
    """counts[i] = how many entries of row i `kernels.dropout_dense` would keep."""
    columns = pointer(col)
    for i in range(first, stop):
        start, stride = row_key(ids[i], key0, key1)
        kept = np.int32(0)
        for e in range(rowptr[i], rowptr[i + 1]):
            kept += np.int32(word(start, stride, columns[e]) >= threshold)
        counts[i] = kept


@njit(nogil=True, cache=True)
def keep_entries(  # type: ignore[no-untyped-def]
    rowptr, col, value, ids, key0, key1, threshold, scale, kept_rowptr, kept_col, kept_value, first, stop
):
    """The kept entries, divided by the keep rate (`scale`); kept_rowptr holds the sums of `count_kept`."""
    columns, values, out_col, out_value = pointer(col), pointer(value), pointer(kept_col), pointer(kept_value)
    for i in range(first, stop):
        start, stride = row_key(ids[i], key0, key1)
        at, e = kept_rowptr[i], rowptr[i]
        while at < kept_rowptr[i + 1]:  # writes every entry and goes on after those that stay: no branch to guess wrong
            out_col[at] = columns[e]
            out_value[at] = values[e] * scale
            at += np.int64(word(start, stride, columns[e]) >= threshold)
            e += 1
