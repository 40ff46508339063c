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
        start, stop = rowptr[index[k]], rowptr[index[k] + 1]
        out_col[out_rowptr[k] : out_rowptr[k + 1]] = col[start:stop]
        out_value[out_rowptr[k] : out_rowptr[k + 1]] = value[start:stop]
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


@njit(nogil=True, cache=True)
def dropout_dense(x, ids, key0, key1, threshold, scale, out, first, stop):  # type: ignore[no-untyped-def]
    """out[i, c] = scale · x[i, c] where the word of (ids[i], c) is at least `threshold`, else 0."""
    for i in range(first, stop):
        start = mix(np.uint32(np.uint32(ids[i]) ^ key0))
        stride = np.uint32(mix(np.uint32(start ^ key1)) | np.uint32(1))
        for c in range(x.shape[1]):
            word = mix(np.uint32(start + np.uint32(np.uint32(c) * stride)))
            out[i, c] = x[i, c] * scale if word >= threshold else np.float32(0)


@njit(nogil=True, cache=True)
def dropout_sparse(rowptr, col, value, ids, key0, key1, threshold, scale, out, first, stop):  # type: ignore[no-untyped-def]
    """The same on the stored entries of a CSR matrix: equal to dropping its dense form, where zeros stay zeros."""
    for i in range(first, stop):
        start = mix(np.uint32(np.uint32(ids[i]) ^ key0))
        stride = np.uint32(mix(np.uint32(start ^ key1)) | np.uint32(1))
        for e in range(rowptr[i], rowptr[i + 1]):
            word = mix(np.uint32(start + np.uint32(np.uint32(col[e]) * stride)))
            out[e] = value[e] * scale if word >= threshold else np.float32(0)


@njit(nogil=True, cache=True)
def split_rows(rowptr, col, value, attr_row, starts, stops, local):  # type: ignore[no-untyped-def]  # noqa: PLR0912 - one pass, not many functions
    """Cut the rows of the ranges [starts, stops) out of a matrix and divide them into in-batch and halo columns.

    `local` int32 [N] is scratch that holds -1 everywhere, on entry as on return. The ranges ascend. `attr_row` int64 [nnz] goes with the
    entries, as `value` does; it may be empty.
    Returns (inner rowptr/col/value/attr_row, outer rowptr/col/value/attr_row, halo): inner columns count the in-batch rows in their order,
    outer columns index `halo`, the ascending ids of the out-of-batch columns. O(entries + H log H).
    """
    num_targets = 0
    for r in range(starts.shape[0]):
        for v in range(starts[r], stops[r]):
            local[v] = num_targets
            num_targets += 1
    inner_rowptr = np.zeros(num_targets + 1, np.int64)
    outer_rowptr = np.zeros(num_targets + 1, np.int64)
    halo = np.empty(1024, np.int64)
    num_halo = 0
    row = 0
    for r in range(starts.shape[0]):
        for v in range(starts[r], stops[r]):
            inside = 0
            for e in range(rowptr[v], rowptr[v + 1]):
                if local[col[e]] >= 0:
                    inside += 1
                elif local[col[e]] == -1:
                    local[col[e]] = -2
                    if num_halo == halo.shape[0]:
                        grown = np.empty(2 * num_halo, np.int64)
                        grown[:num_halo] = halo
                        halo = grown
                    halo[num_halo] = col[e]
                    num_halo += 1
            inner_rowptr[row + 1] = inner_rowptr[row] + inside
            outer_rowptr[row + 1] = outer_rowptr[row] + rowptr[v + 1] - rowptr[v] - inside
            row += 1
    halo = np.sort(halo[:num_halo])
    for k in range(num_halo):
        local[halo[k]] = -2 - k
    inner_col = np.empty(inner_rowptr[-1], np.int32)
    inner_value = np.empty(inner_rowptr[-1], value.dtype)
    outer_col = np.empty(outer_rowptr[-1], np.int32)
    outer_value = np.empty(outer_rowptr[-1], value.dtype)
    with_attr = attr_row.shape[0] > 0
    inner_attr = np.empty(inner_rowptr[-1] if with_attr else 0, np.int64)
    outer_attr = np.empty(outer_rowptr[-1] if with_attr else 0, np.int64)
    i, o = 0, 0
    for r in range(starts.shape[0]):
        for v in range(starts[r], stops[r]):
            for e in range(rowptr[v], rowptr[v + 1]):
                where = local[col[e]]
                if where >= 0:
                    inner_col[i], inner_value[i] = where, value[e]
                    if with_attr:
                        inner_attr[i] = attr_row[e]
                    i += 1
                else:
                    outer_col[o], outer_value[o] = -2 - where, value[e]
                    if with_attr:
                        outer_attr[o] = attr_row[e]
                    o += 1
    for r in range(starts.shape[0]):
        local[starts[r] : stops[r]] = -1
    for k in range(num_halo):
        local[halo[k]] = -1
    return inner_rowptr, inner_col, inner_value, inner_attr, outer_rowptr, outer_col, outer_value, outer_attr, halo


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
