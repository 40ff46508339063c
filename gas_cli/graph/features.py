"""Bag-of-words features in the cheaper of two forms."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch

from gas_cli.graph.graph import Features
from gas_cli.ops.csr import CSR

BYTES_PER_ENTRY = 8
"""A stored CSR entry: an int32 column and a float32 value."""


def compact(matrix: sp.csr_array) -> Features:
    """Features [N, F] as `CSR` where that takes less than half of the bytes of the dense form, else as a float32 tensor."""
    matrix.eliminate_zeros()
    dense_bytes = matrix.shape[0] * matrix.shape[1] * 4
    if matrix.nnz * BYTES_PER_ENTRY < dense_bytes / 2:
        return CSR.from_scipy(matrix)
    return torch.from_numpy(matrix.astype(np.float32).toarray())


def normalise_rows(matrix: sp.csr_array) -> sp.csr_array:
    """Every row divided by its sum, or by 1 where the sum is smaller: what PyG's `NormalizeFeatures` does to features ≥ 0."""
    sums = np.maximum(matrix.sum(axis=1), 1.0).astype(matrix.dtype)
    data = matrix.data / np.repeat(sums, np.diff(matrix.indptr))
    return sp.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)
