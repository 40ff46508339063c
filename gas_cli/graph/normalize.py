"""Edge weights for the aggregation: symmetric (GCN), mean, or as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gas_cli.errors import UserError
from gas_cli.ops.csr import CSR

ROWS_AT_A_TIME = 1 << 17
"""Self-loops are placed for this many rows at once, which bounds the scratch memory."""


def normalize(adj: CSR, kind: str, self_loops: bool) -> CSR:
    """Weights of the aggregation v ← Σ_w Â[v, w] · h_w, of the shape and sparsity of `adj` [N, N] (plus the diagonal).

    sym   Â = D^-1/2 (A + I) D^-1/2, D the in-degrees of A + I: Kipf and Welling 2017, which always adds the self-loops
    mean  Â = D^-1 A (of A + I with `self_loops`), D the sums of incoming weights
    none  Â = A (A + I with `self_loops`)

    A self-loop gets weight 1 and a node that already has one keeps it. A node without incoming weight gets zeros, never NaN. Edges keep
    their attributes (`attr_row`); an added self-loop has none of its own.
    Raises `UserError` for another `kind`.
    """
    if kind not in ("sym", "mean", "none"):
        raise UserError(f"Normalisation {kind!r} is not known: expected 'sym', 'mean' or 'none'.")
    if kind == "sym" or self_loops:
        adj = add_self_loops(adj)
    if kind == "none":
        return adj
    degree = _row_sums(adj)
    if kind == "mean":
        scale = _power(degree, -1.0)
        value = _per_entry(adj, scale).mul_(adj.value)
        return CSR(adj.rowptr, adj.col, value, adj.num_cols, attr_row=adj.attr_row)
    scale = _power(degree, -0.5)
    # the two scales are multiplied first, so that the weights of v → w and w → v are equal to the last bit
    value = _per_entry(adj, scale).mul_(scale.index_select(0, adj.col)).mul_(adj.value)
    return CSR(adj.rowptr, adj.col, value, adj.num_cols, adj.symmetric, attr_row=adj.attr_row)


def add_self_loops(adj: CSR) -> CSR:
    """A + I: an entry of weight 1 on the diagonal of every row that has none; columns stay sorted."""
    rowptr, col = adj.rowptr.numpy(), adj.col.numpy()
    position, present = _diagonal(rowptr, col)
    if present.all():
        return adj
    missing = np.flatnonzero(~present)
    attr_row = None if adj.attr_row is None else torch.from_numpy(np.insert(adj.attr_row.numpy(), position[missing], -1))
    added = np.zeros(rowptr.shape[0], np.int64)
    np.cumsum(~present, out=added[1:])
    return CSR(
        torch.from_numpy(rowptr + added),
        torch.from_numpy(np.insert(col, position[missing], missing.astype(np.int32))),
        torch.from_numpy(np.insert(adj.value.numpy(), position[missing], np.float32(1.0))),
        adj.num_cols,
        adj.symmetric,
        attr_row=attr_row,
    )


def _diagonal(rowptr: NDArray[np.int64], col: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Where in `col` each row's diagonal entry is or belongs, and whether it is there."""
    n = rowptr.shape[0] - 1
    position, present = np.empty(n, np.int64), np.zeros(n, np.bool_)
    for start in range(0, n, ROWS_AT_A_TIME):
        stop = min(start + ROWS_AT_A_TIME, n)
        bounds = rowptr[start : stop + 1]
        row = np.repeat(np.arange(start, stop, dtype=np.int32), np.diff(bounds))
        block = col[bounds[0] : bounds[-1]]
        position[start:stop] = bounds[:-1] + _count(block < row, bounds)
        present[row[block == row]] = True
    return position, present


def _count(flags: NDArray[np.bool_], bounds: NDArray[np.int64]) -> NDArray[Any]:
    """How many flags are set between each two neighbouring bounds."""
    total = np.zeros(flags.shape[0] + 1, np.int64)
    np.cumsum(flags, out=total[1:])
    return np.diff(total[bounds - bounds[0]])


def _row_sums(adj: CSR) -> Tensor:
    """Σ_w A[v, w], float32 [N]."""
    ones = np.ones(adj.num_cols, np.float32)
    return torch.from_numpy(adj.to_scipy() @ ones)


def _per_entry(adj: CSR, scale: Tensor) -> Tensor:
    """`scale` [N] of the row of each entry [nnz]; torch's `repeat_interleave` would make an index of 8 bytes per entry on the way."""
    return torch.from_numpy(np.repeat(scale.numpy(), np.diff(adj.rowptr.numpy())))


def _power(degree: Tensor, exponent: float) -> Tensor:
    """degree^exponent where the degree is positive, else 0."""
    return torch.where(degree > 0, degree.clamp(min=torch.finfo(degree.dtype).tiny).pow(exponent), degree.new_zeros(()))
