"""Compiled loops from an edge list to sorted rows, by counting: no keys, no order of all edges, nothing of 8 bytes per edge.

`kernels.count_ends` and `kernels.place_ends` do the same in both directions at once, for rows without anything but columns.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def count_targets(source, target, counts):  # type: ignore[no-untyped-def]
    """counts[v] += the edges into v; self-loops count nowhere."""
    for e in range(source.shape[0]):
        if source[e] != target[e]:
            counts[target[e]] += 1


@njit(nogil=True, cache=True)
def place_sources(source, target, cursor, col):  # type: ignore[no-untyped-def]
    """Put the source of every edge into v to col[cursor[v]], which moves on; no self-loops."""
    for e in range(source.shape[0]):
        if source[e] != target[e]:
            col[cursor[target[e]]] = source[e]
            cursor[target[e]] += 1


@njit(nogil=True, cache=True)
def place_numbered(source, target, first, cursor, col, number):  # type: ignore[no-untyped-def]
    """The same, with number[...] = `first` + the position of the edge beside its source."""
    for e in range(source.shape[0]):
        if source[e] != target[e]:
            at = cursor[target[e]]
            cursor[target[e]] = at + 1
            col[at] = source[e]
            number[at] = first + e


@njit(nogil=True, cache=True)
def merge_rows(rowptr, col, number, weights, num_edges, value, attr_row):  # type: ignore[no-untyped-def]
    """Sort each row and merge its equal columns, in place at the front of `col`; the number of distinct ones in each row.

    value [nnz] becomes the largest weight of the merged edges (1 where `weights` is empty), attr_row [nnz] (which may be empty) the
    position of the first; numbers from `num_edges` on are edges read backwards.
    """
    kept = np.zeros(rowptr.shape[0] - 1, np.int64)
    out = 0
    for i in range(kept.shape[0]):
        sources = col[rowptr[i] : rowptr[i + 1]].copy()
        for k in np.argsort(sources, kind="mergesort"):  # stable: of parallel edges the first comes first
            edge = np.int64(number[rowptr[i] + k])
            if edge >= num_edges:
                edge -= num_edges
            weight = np.float32(weights[edge]) if weights.shape[0] else np.float32(1)
            if kept[i] and col[out - 1] == sources[k]:
                value[out - 1] = max(value[out - 1], weight)
                continue
            col[out], value[out] = sources[k], weight
            if attr_row.shape[0]:
                attr_row[out] = edge
            out += 1
            kept[i] += 1
    return kept


@njit(nogil=True, cache=True)
def equals_transpose(rowptr, col, value):  # type: ignore[no-untyped-def]
    """Whether a square matrix with sorted rows equals its transpose: row by row, entries of column j come in the order of row j's."""
    cursor = rowptr[:-1].copy()
    for i in range(cursor.shape[0]):
        for e in range(rowptr[i], rowptr[i + 1]):
            j = col[e]
            other = cursor[j]
            if other == rowptr[j + 1] or col[other] != i or value[other] != value[e]:
                return False
            cursor[j] = other + 1
    return True
