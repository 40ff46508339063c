"""Cuts the rows of a batch out of a matrix and divides their columns into in-batch and halo ones, in O(entries + H log H).

Both kernels do what NumPy does better, sorting above all, outside of themselves: numba would compile a copy of it, for seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from gas_cli.ops.csr import CSR


class Entries(NamedTuple):
    """A CSR matrix with the rows of a batch; `attr_row` goes with the entries or is empty."""

    rowptr: NDArray[np.int64]
    col: NDArray[np.int32]
    value: NDArray[Any]
    attr_row: NDArray[np.int64]


class Cut(NamedTuple):
    """The rows of a batch: `inner` [B, B] and `outer` [B, H] as in `Block`; `halo` int64 [H], the ascending positions of its columns;
    `attr_row` int64 [E_b] of their entries, inner before outer, or None."""

    inner: CSR
    outer: CSR
    halo: Tensor
    attr_row: Tensor | None


class Splitter(Protocol):
    """Cuts the rows of ranges of positions, which ascend, out of one matrix."""

    def __call__(self, ranges: Sequence[tuple[int, int]]) -> Cut: ...


class HostSplitter:
    """By compiled kernels, for a matrix on the host. Holds O(N) scratch: one thread at a time."""

    def __init__(self, matrix: CSR) -> None:
        attr_row = np.empty(0, np.int64) if matrix.attr_row is None else matrix.attr_row.numpy()
        self._entries, self._symmetric, self._with_attr = Entries(*matrix.arrays, attr_row), matrix.symmetric, matrix.attr_row is not None
        self._local = np.full(matrix.num_cols, -1, np.int32)

    def __call__(self, ranges: Sequence[tuple[int, int]]) -> Cut:
        starts, stops = np.array(ranges, np.int64).T.copy()
        inner, outer, halo = split_rows(self._entries, starts, stops, self._local)
        attr_row = torch.from_numpy(np.concatenate([inner.attr_row, outer.attr_row])) if self._with_attr else None
        inside, outside = _csr(inner, int((stops - starts).sum())), _csr(outer, halo.size)
        inside.symmetric = self._symmetric
        return Cut(inside, outside, torch.from_numpy(halo), attr_row)


def _csr(entries: Entries, num_cols: int) -> CSR:
    rowptr, col, value = (torch.from_numpy(array) for array in entries[:3])
    return CSR(rowptr, col, value, num_cols)


def split_rows(
    matrix: Entries, starts: NDArray[np.int64], stops: NDArray[np.int64], local: NDArray[np.int32]
) -> tuple[Entries, Entries, NDArray[np.int64]]:
    """The rows of the ranges [starts, stops), which ascend, as (inner, outer, halo).

    Columns of `inner` count the in-batch rows in their order; those of `outer` index `halo`, the ascending ids of the out-of-batch columns.
    `local` int32 [N] is scratch that holds -1 everywhere, on entry as on return.
    """
    try:
        inner_ptr, outer_ptr, halo = _mark(matrix.rowptr, matrix.col, starts, stops, local)
        halo = np.sort(halo)
        inner, outer = _empty(inner_ptr, matrix), _empty(outer_ptr, matrix)
        _move(*matrix, starts, stops, local, halo, *inner[1:], *outer[1:])
    except BaseException:  # Ctrl-C between the kernels must not leave marks
        local.fill(-1)
        raise
    return inner, outer, halo


def _empty(rowptr: NDArray[np.int64], like: Entries) -> Entries:
    size = int(rowptr[-1])
    attr_row = np.empty(size if like.attr_row.size else 0, np.int64)
    return Entries(rowptr, np.empty(size, np.int32), np.empty(size, like.value.dtype), attr_row)


@njit(nogil=True, cache=True)
def _mark(rowptr, col, starts, stops, local):  # type: ignore[no-untyped-def]
    """Number the batch's rows in `local`, set -2 for the halo; row pointers of both sides and the halo's ids as they come."""
    num_targets = 0
    for r in range(starts.shape[0]):
        for v in range(starts[r], stops[r]):
            local[v] = num_targets
            num_targets += 1
    inner_ptr = np.zeros(num_targets + 1, np.int64)
    outer_ptr = np.zeros(num_targets + 1, np.int64)
    halo = np.empty(1024, np.int64)
    num_halo = 0
    for r in range(starts.shape[0]):
        for v in range(starts[r], stops[r]):
            inside = 0
            for e in range(rowptr[v], rowptr[v + 1]):
                if local[col[e]] >= 0:
                    inside += 1
                elif local[col[e]] == -1:
                    local[col[e]] = -2
                    if num_halo == halo.shape[0]:
                        halo = np.concatenate((halo, halo))
                    halo[num_halo] = col[e]
                    num_halo += 1
            row = local[v]
            inner_ptr[row + 1] = inner_ptr[row] + inside
            outer_ptr[row + 1] = outer_ptr[row] + rowptr[v + 1] - rowptr[v] - inside
    return inner_ptr, outer_ptr, halo[:num_halo]


@njit(nogil=True, cache=True)
def _move(  # type: ignore[no-untyped-def]
    rowptr, col, value, attr_row, starts, stops, local, halo, inner_col, inner_value, inner_attr, outer_col, outer_value, outer_attr
):
    """Copy the entries to their sides, renumber their columns, and leave `local` as it was before `_mark`."""
    for k in range(halo.shape[0]):
        local[halo[k]] = -2 - k
    with_attr = attr_row.shape[0] > 0
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
        for v in range(starts[r], stops[r]):
            local[v] = -1
    for w in halo:
        local[w] = -1
