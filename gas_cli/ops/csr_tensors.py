"""Rearranging a CSR matrix by whole-tensor operations: the path on CUDA, and the slow twins of `kernels`.

Arguments and results are the three arrays (rowptr int64 [n+1], col int32 [nnz], value [nnz]) on one device.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

Arrays = tuple[Tensor, Tensor, Tensor]


def row_ids(rowptr: Tensor, nnz: int) -> Tensor:
    """int64 [nnz]: the row of each entry. Without a host synchronisation, which `nnz` spares."""
    rows = torch.arange(rowptr.numel() - 1, device=rowptr.device)
    return torch.repeat_interleave(rows, rowptr.diff(), output_size=nnz)


def rowptr_of(counts: Tensor) -> Tensor:
    """int64 [n+1]: the bounds of rows with so many entries each."""
    rowptr = torch.zeros(counts.numel() + 1, dtype=torch.int64, device=counts.device)
    torch.cumsum(counts, 0, out=rowptr[1:])
    return rowptr


def cut_ranges(x: Tensor, ranges: Sequence[tuple[int, int]]) -> Tensor:
    """The rows of half-open ranges, one after the other; a view where there is a single range."""
    pieces = [x[start:stop] for start, stop in ranges]
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces)


def transpose(rowptr: Tensor, col: Tensor, num_cols: int) -> Arrays:
    """`kernels.transpose` for any values: rowptr and col of the transpose, and int64 [nnz] the entry that each of its entries is.

    A stable sort by column keeps the rows ascending. Without a host synchronisation.
    """
    ordered, entry = torch.sort(col, stable=True)
    columns = torch.arange(num_cols + 1, dtype=col.dtype, device=col.device)
    rows = row_ids(rowptr, col.numel()).to(col.dtype)
    return torch.searchsorted(ordered, columns), rows[entry], entry


def gather_rows(rowptr: Tensor, col: Tensor, value: Tensor, index: Tensor) -> Arrays:
    """`kernels.gather_rows`; on CUDA the number of entries is read (host synchronisation)."""
    first, counts = rowptr[index], rowptr.diff()[index]
    out = rowptr_of(counts)
    nnz = int(out[-1])
    entry = torch.repeat_interleave(first - out[:-1], counts, output_size=nnz) + torch.arange(nnz, device=col.device)
    return out, col[entry], value[entry]
