"""How well a partition follows the graph: the figures that decide how much history traffic and error to expect."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gas_cli.ops.csr import CSR
from gas_cli.partition.partition import Quality


def measure_quality(adj: CSR, parts: NDArray[np.int32]) -> Quality:
    """Edge cut, halo ratio and balance of `parts` [N], whose ids 0..P-1 all occur.

    With V_p the nodes of part p and N(v) the sources of row v of `adj`:

        edge_cut   = |{(v, w) : w ∈ N(v), part(v) ≠ part(w)}| / E          (0 for a graph without edges)
        halo_ratio = 1/P Σ_p |∪_{v ∈ V_p} N(v) \\ V_p| / |V_p|
        balance    = max_p |V_p| / (N / P)

    One pass over the edges, 12 bytes of scratch memory per node.
    """
    sizes = np.bincount(parts)
    order = np.argsort(parts, kind="stable")
    cut, halo = _count_cut_and_halo(adj.rowptr.numpy(), adj.col.numpy(), parts, order, len(sizes))
    return Quality(
        edge_cut=float(cut / max(1, adj.nnz)),
        halo_ratio=float(np.mean(halo / sizes)),
        balance=float(sizes.max() / sizes.mean()),
    )


@njit(nogil=True, cache=True)
def _count_cut_and_halo(rowptr, col, parts, order, num_parts):  # type: ignore[no-untyped-def]
    """Cut edges, and the out-of-part neighbours of each part [P]; `order` lists the nodes part by part."""
    seen_by = np.full(parts.shape[0], -1, np.int32)  # the last part that counted this node in its halo
    halo = np.zeros(num_parts, np.int64)
    cut = 0
    for v in order:
        p = parts[v]
        for e in range(rowptr[v], rowptr[v + 1]):
            w = col[e]
            if parts[w] != p:
                cut += 1
                if seen_by[w] != p:
                    seen_by[w] = p
                    halo[p] += 1
    return cut, halo
