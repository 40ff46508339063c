"""Edge weights for the aggregation: symmetric (GCN), mean, or as they are."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gas_cli.errors import UserError
from gas_cli.ops.csr import CSR
from gas_cli.ops.kernels import adjacency_kernels


def normalize(adj: CSR, kind: str | None, self_loops: bool) -> CSR:
    """Weights of the aggregation v ← Σ_w Â[v, w] · h_w, of the shape and sparsity of `adj` [N, N] (plus the diagonal).

    sym   Â = D^-1/2 (A + I) D^-1/2, D the in-degrees of A + I: Kipf and Welling 2017, which always adds the self-loops
    mean  Â = D^-1 A (of A + I with `self_loops`), D the sums of incoming weights
    None  Â = A (A + I with `self_loops`)

    A self-loop gets weight 1 and a node that already has one keeps it. A node without incoming weight gets zeros, never NaN. Edges keep
    their attributes (`attr_row`); an added self-loop has none of its own.
    Raises `UserError` for another `kind`, and for negative weights where they are summed to degrees (`check_weights`).
    """
    if kind not in ("sym", "mean", None):
        raise UserError(f"Normalisation {kind!r} is not known: expected 'sym', 'mean' or None.")
    check_weights(adj, kind)
    looped = add_self_loops(adj) if kind == "sym" or self_loops else adj
    if kind is None:
        return looped
    rowptr, col, value = looped.arrays
    degree = torch.from_numpy(adjacency_kernels.row_totals(rowptr, value))
    out = value if looped.value is not adj.value else np.empty_like(value)  # in place where the weights are a copy already
    if kind == "mean":
        adjacency_kernels.scale_rows(rowptr, value, _power(degree, -1.0).numpy(), out)
    else:
        adjacency_kernels.scale_both(rowptr, col, value, _power(degree, -0.5).numpy(), out)
    symmetric = adj.symmetric and kind == "sym"
    return CSR(looped.rowptr, looped.col, torch.from_numpy(out), adj.num_cols, symmetric, attr_row=looped.attr_row)


def check_weights(adj: CSR, kind: str | None, source: str = "") -> None:
    """Raise `UserError` naming `source` and the first negative weight, unless `kind` is None: sums of such weights may be zero or
    negative, so that dividing by them drops or inflates all messages of a node."""
    if kind is None or not adj.nnz or float(adj.value.min()) >= 0:
        return
    negative = (adj.value < 0).nonzero().view(-1)
    entry = int(negative[0])
    target = int(torch.searchsorted(adj.rowptr, entry, right=True)) - 1
    first = f"{float(adj.value[entry]):g} from node {int(adj.col[entry])} to node {target}"
    raise UserError(
        f"{source}{': ' if source else ''}{negative.numel():,} edge(s) have a negative weight, the first is {first}: "
        f"expected weights of at least 0, because model.normalization={kind} divides by their sums. "
        "Type model.normalization=null, which uses the weights as they are, or replace them in the file by absolute values."
    )


def add_self_loops(adj: CSR) -> CSR:
    """A + I: an entry of weight 1 on the diagonal of every row that has none; columns stay sorted."""
    rowptr, col, value = adj.arrays
    missing = adj.num_rows - int(adjacency_kernels.count_diagonal(rowptr, col))
    if missing == 0:
        return adj
    attr_row = np.empty(0, np.int64) if adj.attr_row is None else adj.attr_row.numpy()
    new_rowptr, total = np.zeros_like(rowptr), col.shape[0] + missing
    new_col, new_value = np.empty(total, np.int32), np.empty(total, value.dtype)
    new_attr = np.empty(0 if adj.attr_row is None else total, np.int64)
    adjacency_kernels.with_diagonal(rowptr, col, value, attr_row, new_rowptr, new_col, new_value, new_attr)
    rows = None if adj.attr_row is None else torch.from_numpy(new_attr)
    parts = [torch.from_numpy(array) for array in (new_rowptr, new_col, new_value)]
    return CSR(parts[0], parts[1], parts[2], adj.num_cols, adj.symmetric, attr_row=rows)


def _power(degree: Tensor, exponent: float) -> Tensor:
    """degree^exponent where the degree is positive, else 0."""
    return torch.where(degree > 0, degree.clamp(min=torch.finfo(degree.dtype).tiny).pow(exponent), degree.new_zeros(()))
