"""The undirected structure that METIS requires: on directed input it crashes or returns negative cuts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gas_cli.ops.csr import CSR


def undirected_structure(adj: CSR) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """`rowptr` [N+1] and `col` of A ∪ Aᵀ without self-loops and duplicates; weights play no part.

    A graph that is symmetric already is passed through without a copy (adjacency has neither loops nor duplicates by contract).
    """
    if adj.symmetric:
        return adj.rowptr.numpy(), adj.col.numpy()
    pattern = adj.to_scipy().astype(np.bool_)
    pattern.data[:] = True  # an edge of weight 0 is an edge
    pattern.sum_duplicates()
    both = pattern + pattern.T.tocsr()  # of booleans: or
    loops = np.flatnonzero(both.diagonal())
    if loops.size:
        both[loops, loops] = False
        both.eliminate_zeros()
    return both.indptr, both.indices
