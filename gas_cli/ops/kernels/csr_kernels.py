"""Compiled loops for the CPU (numba: machine code without a compiler on the user's machine).

Every kernel is serial and releases the GIL. Those that take a range of rows [start, stop) are run on several threads by `threads.py`:
rows are independent and each is summed in order, so results do not depend on the number of threads.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(nogil=True, cache=True, fastmath={"contract"})
def spmm(rowptr, col, value, x, out, start, stop):  # type: ignore[no-untyped-def]
    """out[i] = Σ_e value[e] · x[col[e]] over the entries e of row i; x [m, C], out [n, C], in any precision (`row_kernels`: float32)."""
    for i in range(start, stop):
        row = out[i]
        row[:] = 0
        for e in range(rowptr[i], rowptr[i + 1]):
            weight = value[e]
            source = x[col[e]]
            for c in range(row.shape[0]):
                row[c] += weight * source[c]


@njit(nogil=True, cache=True)
def transpose(rowptr, col, value, num_cols):  # type: ignore[no-untyped-def]
    """CSR of the transpose by counting sort: O(nnz + n), columns ascending within each row."""
    num_rows = rowptr.shape[0] - 1
    t_rowptr = np.zeros(num_cols + 1, np.int64)
    for e in range(col.shape[0]):
        t_rowptr[col[e] + 1] += 1
    for j in range(num_cols):
        t_rowptr[j + 1] += t_rowptr[j]
    cursor = t_rowptr[:-1].copy()
    t_col = np.empty(col.shape[0], np.int32)
    t_value = np.empty(col.shape[0], value.dtype)
    for i in range(num_rows):
        for e in range(rowptr[i], rowptr[i + 1]):
            at = cursor[col[e]]
            cursor[col[e]] = at + 1
            t_col[at] = i
            t_value[at] = value[e]
    return t_rowptr, t_col, t_value


@njit(nogil=True, cache=True)
def transposed_entries(col, t_rowptr, entry):  # type: ignore[no-untyped-def]
    """entry[t] = the entry of a matrix with the columns `col` that is entry t of its transpose (of `transpose`)."""
    cursor = t_rowptr[:-1].copy()
    for e in range(col.shape[0]):
        at = cursor[col[e]]
        cursor[col[e]] = at + 1
        entry[at] = e


@njit(nogil=True, cache=True)
def gather_rows(rowptr, col, value, index):  # type: ignore[no-untyped-def]
    """CSR of the rows `index`, in that order."""
    out_rowptr = np.zeros(index.shape[0] + 1, np.int64)
    for k in range(index.shape[0]):
        out_rowptr[k + 1] = out_rowptr[k] + rowptr[index[k] + 1] - rowptr[index[k]]
    out_col = np.empty(out_rowptr[-1], col.dtype)
    out_value = np.empty(out_rowptr[-1], value.dtype)
    for k in range(index.shape[0]):
        shift = out_rowptr[k] - rowptr[index[k]]
        for e in range(rowptr[index[k]], rowptr[index[k] + 1]):  # assigning slices would take numba two seconds more to compile
            out_col[e + shift], out_value[e + shift] = col[e], value[e]
    return out_rowptr, out_col, out_value


@njit(inline="always", cache=True)
def mix(h):  # type: ignore[no-untyped-def]
    """A bijection of 32-bit words in which every input bit flips every output bit with probability close to 1/2.

    The constants are those of Wellons' "lowbias32" (two rounds of xor-shift and multiply).
    """
    h = np.uint32(h ^ (h >> np.uint32(16)))
    h = np.uint32(h * np.uint32(0x7FEB352D))
    h = np.uint32(h ^ (h >> np.uint32(15)))
    h = np.uint32(h * np.uint32(0x846CA68B))
    return np.uint32(h ^ (h >> np.uint32(16)))


@njit(nogil=True, forceinline=True)
def row_key(row, key0, key1):  # type: ignore[no-untyped-def]
    """What the words of a row (a node's id) are drawn from: where they start, and their stride, which is odd."""
    start = mix(np.uint32(np.uint32(row) ^ key0))
    return start, np.uint32(mix(np.uint32(start ^ key1)) | np.uint32(1))


@njit(nogil=True, forceinline=True)
def word(start, stride, c):  # type: ignore[no-untyped-def]
    """word(v, c) of the row with `row_key` (start, stride), as `dropout.words` draws it."""
    return mix(np.uint32(start + np.uint32(np.uint32(c) * stride)))


@njit(nogil=True, cache=True)
def dropout_dense(x, ids, key0, key1, threshold, scale, out, first, stop):  # type: ignore[no-untyped-def]
    """out[i, c] = scale · x[i, c] where the word of (ids[i], c) is at least `threshold`, else 0."""
    for i in range(first, stop):
        start, stride = row_key(ids[i], key0, key1)
        for c in range(x.shape[1]):
            out[i, c] = x[i, c] * scale if word(start, stride, c) >= threshold else np.float32(0)


@njit(nogil=True, cache=True)
def dropout_sparse(rowptr, col, value, ids, key0, key1, threshold, scale, out, first, stop):  # type: ignore[no-untyped-def]
    """The same on the stored entries of a CSR matrix: equal to dropping its dense form, where zeros stay zeros."""
    for i in range(first, stop):
        start, stride = row_key(ids[i], key0, key1)
        for e in range(rowptr[i], rowptr[i + 1]):
            out[e] = value[e] * scale if word(start, stride, col[e]) >= threshold else np.float32(0)


@njit(nogil=True, cache=True)
def count_ends(source, target, counts):  # type: ignore[no-untyped-def]
    """counts[v] += the edges at v, in either direction; self-loops count nowhere."""
    for e in range(source.shape[0]):
        if source[e] != target[e]:
            counts[source[e]] += 1
            counts[target[e]] += 1


@njit(nogil=True, cache=True)
def place_ends(source, target, start, stop, cursor, col):  # type: ignore[no-untyped-def]
    """Put the other end of every edge at a node v of [start, stop) to col[cursor[v - start]], which moves on; both directions."""
    for e in range(source.shape[0]):
        a, b = source[e], target[e]
        if a != b:
            if start <= a < stop:
                col[cursor[a - start]] = b
                cursor[a - start] += 1
            if start <= b < stop:
                col[cursor[b - start]] = a
                cursor[b - start] += 1


@njit(nogil=True, cache=True)
def sort_unique_rows(rowptr, col):  # type: ignore[no-untyped-def]
    """Sort each row and move its distinct entries to the front of `col`, in place; the number of them in each row."""
    kept = np.zeros(rowptr.shape[0] - 1, np.int64)
    out = 0
    for i in range(kept.shape[0]):
        row = np.sort(col[rowptr[i] : rowptr[i + 1]])
        for e in range(row.shape[0]):
            if e == 0 or row[e] != row[e - 1]:
                col[out] = row[e]
                out += 1
                kept[i] += 1
    return kept
