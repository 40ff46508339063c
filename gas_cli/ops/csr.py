"""A sparse matrix in compressed rows: the one form in which adjacency and bag-of-words features travel."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from gas_cli.ops import csr_tensors
from gas_cli.ops.kernels import csr_kernels


@dataclass(eq=False, repr=False)
class CSR:
    """`rowptr` int64 [n+1], `col` int32 [nnz] (sorted within each row), `value` float32 [nnz], shape [n, `num_cols`].

    Adjacency is stored by target: row v lists the sources w of the messages that v receives. `symmetric` promises that the
    matrix equals its transpose, values included, so that the backward pass can read the matrix itself. `attr_row` int64 [nnz], if any, is
    the row of each edge in a table of edge attributes, -1 for an edge without; it stays with adjacencies on the host. `pattern` is the
    matrix of which this one is a copy with other values, where there is one.
    """

    rowptr: Tensor
    col: Tensor
    value: Tensor
    num_cols: int
    symmetric: bool = False
    _transposed: CSR | None = field(default=None, repr=False)
    attr_row: Tensor | None = field(default=None, repr=False)
    pattern: CSR | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        shown = ["symmetric"] * self.symmetric + [f"device={str(self.device)!r}"] * (self.device.type != "cpu")
        return f"CSR({', '.join([f'{self.num_rows}x{self.num_cols}', f'nnz={self.nnz}', *shown])})"

    @property
    def num_rows(self) -> int:
        return self.rowptr.numel() - 1

    @property
    def nnz(self) -> int:
        return self.col.numel()

    @property
    def shape(self) -> tuple[int, int]:
        return self.num_rows, self.num_cols

    @property
    def device(self) -> torch.device:
        return self.col.device

    @property
    def nbytes(self) -> int:
        """Bytes held by the three arrays and, once built, by the transpose."""
        own = sum(t.numel() * t.element_size() for t in (self.rowptr, self.col, self.value))
        return own + (self._transposed.nbytes if self._transposed is not None else 0)

    @property
    def weighted(self) -> bool:
        """Whether any value differs from 1."""
        return bool(self.nnz) and not bool((self.value.min() == 1) & (self.value.max() == 1))

    @cached_property
    def arrays(self) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[Any]]:
        """(rowptr, col, value) as compiled kernels take them; made once, for a layer of a small graph takes hardly longer than this."""
        return self.rowptr.numpy(), self.col.numpy(), self.value.numpy()

    @classmethod
    def empty(cls, num_rows: int, num_cols: int, device: torch.device) -> CSR:
        """No entries."""
        rowptr = torch.zeros(num_rows + 1, dtype=torch.int64, device=device)
        return cls(rowptr, rowptr[:0].int(), torch.empty(0, device=device), num_cols)

    @classmethod
    def from_scipy(cls, matrix: sp.sparray | sp.spmatrix) -> CSR:
        csr = sp.csr_array(matrix)
        csr.sort_indices()
        return cls(
            torch.from_numpy(csr.indptr.astype(np.int64)),
            torch.from_numpy(csr.indices.astype(np.int32)),
            torch.from_numpy(csr.data.astype(np.float32)),
            int(csr.shape[1]),
        )

    def to_scipy(self) -> sp.csr_array:
        rowptr = self.rowptr.cpu().numpy()
        if rowptr[-1] <= np.iinfo(np.int32).max:  # scipy keeps both index arrays in one type
            rowptr = rowptr.astype(np.int32)
        return sp.csr_array((self.value.cpu().numpy(), self.col.cpu().numpy(), rowptr), shape=self.shape)

    def to_dense(self) -> Tensor:
        return torch.from_numpy(self.to_scipy().toarray())

    def to(self, device: torch.device | str, non_blocking: bool = False) -> CSR:
        """The matrix on `device`; a transpose already built travels with it."""
        if self.device == torch.device(device):
            return self
        rowptr, col, value = (t.to(device, non_blocking=non_blocking) for t in (self.rowptr, self.col, self.value))
        other = self._transposed.to(device, non_blocking) if self._transposed is not None else None
        return CSR(rowptr, col, value, self.num_cols, self.symmetric, other)

    def is_pinned(self) -> bool:
        return self.col.is_pinned()

    def pin_memory(self) -> CSR:
        """A copy in page-locked memory, from which transfers to a GPU run asynchronously."""
        other = self._transposed.pin_memory() if self._transposed is not None else None
        return CSR(self.rowptr.pin_memory(), self.col.pin_memory(), self.value.pin_memory(), self.num_cols, self.symmetric, other)

    def transpose(self) -> CSR:
        """The transpose, built once and kept: the backward pass of every product needs it."""
        if self.symmetric:
            return self
        if self._transposed is None:
            self._transposed = CSR(*self._transposed_arrays(), self.num_rows)
        return self._transposed

    def _transposed_arrays(self) -> csr_tensors.Arrays:
        if self.col.is_cuda:
            rowptr, col, entry = (self.pattern or self)._transposed_pattern
            return rowptr, col, self.value[entry]
        rowptr, col, value = (torch.from_numpy(a) for a in csr_kernels.transpose(*self.arrays, self.num_cols))
        return rowptr, col, value

    @cached_property
    def _transposed_pattern(self) -> csr_tensors.Arrays:
        """What all matrices of this pattern share: features after the dropout of each step, for one."""
        return csr_tensors.transpose(self.rowptr, self.col, self.num_cols)

    def with_values(self, value: Tensor) -> CSR:
        """The same pattern with other values [nnz]."""
        return CSR(self.rowptr, self.col, value, self.num_cols, pattern=self.pattern or self)

    def with_forward(self, value: Tensor) -> CSR:
        """The same pattern with other values [nnz], whose backward pass multiplies by the transpose of this matrix still."""
        return CSR(self.rowptr, self.col, value, self.num_cols, _transposed=self.transpose())

    @cached_property
    def transposed_entries(self) -> NDArray[np.int64]:
        """int64 [nnz]: the entry of this matrix that is entry t of `transpose()`, for tables with a row for each entry; made once."""
        entry = np.empty(self.nnz, np.int64)
        csr_kernels.transposed_entries(self.arrays[1], self.transpose().arrays[0], entry)
        return entry

    def rows(self, index: Tensor) -> CSR:
        """The rows with the ids `index` int64 [k], in that order."""
        if self.col.is_cuda:
            return CSR(*csr_tensors.gather_rows(self.rowptr, self.col, self.value, index), self.num_cols)
        arrays = csr_kernels.gather_rows(*self.arrays, index.numpy())
        rowptr, col, value = (torch.from_numpy(a) for a in arrays)
        return CSR(rowptr, col, value, self.num_cols)

    def only_rows(self, index: Tensor) -> CSR:
        """The matrix with all rows but those with the ids `index` int64 [k], ascending, emptied."""
        kept = self.rows(index)
        counts = torch.zeros(self.num_rows + 1, dtype=torch.int64, device=self.device)
        counts[index + 1] = kept.rowptr.diff()
        return CSR(counts.cumsum_(0), kept.col, kept.value, self.num_cols)

    def row_ranges(self, ranges: list[tuple[int, int]]) -> CSR:
        """The rows of several half-open ranges, one after the other; a single range is a view of `col` and `value`."""
        ends = self.rowptr[torch.tensor(ranges, device=self.device)]  # all at once: on CUDA a read is a host synchronisation
        bounds = [(start, stop) for start, stop in ends.tolist()]
        degrees = torch.cat([self.rowptr[start + 1 : stop + 1] - self.rowptr[start:stop] for start, stop in ranges])
        col, value = csr_tensors.cut_ranges(self.col, bounds), csr_tensors.cut_ranges(self.value, bounds)
        return CSR(csr_tensors.rowptr_of(degrees), col, value, self.num_cols)
