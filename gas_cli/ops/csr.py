"""A sparse matrix in compressed rows: the one form in which adjacency and bag-of-words features travel."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor


@dataclass(eq=False)
class CSR:
    """`rowptr` int64 [n+1], `col` int32 [nnz] (sorted within each row), `value` float32 [nnz], shape [n, `num_cols`].

    Adjacency is stored by target: row v lists the sources w of the messages that v receives.
    """

    rowptr: Tensor
    col: Tensor
    value: Tensor
    num_cols: int
    _transposed: CSR | None = field(default=None, repr=False)

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
        """Bytes held by the three arrays (not by the cached transpose)."""
        return sum(t.numel() * t.element_size() for t in (self.rowptr, self.col, self.value))

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

    def to(self, device: torch.device | str) -> CSR:
        return CSR(self.rowptr.to(device), self.col.to(device), self.value.to(device), self.num_cols)

    def transpose(self) -> CSR:
        """The transpose, built once and kept: the backward pass of every product needs it."""
        if self._transposed is None:
            self._transposed = CSR.from_scipy(self.to_scipy().T.tocsr()).to(self.device)
        return self._transposed
