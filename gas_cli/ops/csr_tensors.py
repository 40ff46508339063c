"""Rearranging a CSR matrix by whole-tensor operations: the path on CUDA, and the slow twins of `kernels`.

Arguments and results are the three arrays (rowptr int64 [n+1], col int32 [nnz], value [nnz]) on one device.
"""

from __future__ import annotations

import torch
from torch import Tensor

Arrays = tuple[Tensor, Tensor, Tensor]


def row_ids(rowptr: Tensor, nnz: int) -> Tensor:
    """int64 [nnz]: the row of each entry. Without a host synchronisation, which `nnz` spares."""
    rows = torch.arange(rowptr.numel() - 1, device=rowptr.device)
    return torch.repeat_interleave(rows, rowptr.diff(), output_size=nnz)


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
    out = torch.zeros(index.numel() + 1, dtype=rowptr.dtype, device=rowptr.device)
    torch.cumsum(counts, 0, out=out[1:])
    nnz = int(out[-1])
    entry = torch.repeat_interleave(first - out[:-1], counts, output_size=nnz) + torch.arange(nnz, device=col.device)
    return out, col[entry], value[entry]
