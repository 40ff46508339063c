"""The order of the nodes within their parts: neighbours stand close together, so that a product finds their rows in the cache."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gas_cli.ops.csr import CSR


def order_nodes(adj: CSR, parts: NDArray[np.int32]) -> NDArray[np.int64]:
    """Node ids [N] part by part: `node_perm` of the partition that the part ids `parts` [N] make.

    The nodes of a part stand as a breadth-first search inside it meets them. It begins at the part's lowest id, and again at the lowest
    one not yet met; neighbours of one node come in the order of their ids. Linear in the edges; the same graph and parts give the same
    order. Sources are followed, not targets: what counts is which rows are read together. On symmetric graphs there is no difference.
    """
    by_id = np.argsort(parts, kind="stable").astype(np.int64, copy=False)
    return _breadth_first(adj.rowptr.numpy(), adj.col.numpy(), parts, by_id)  # type: ignore[no-any-return]


@njit(nogil=True, cache=True)
def _breadth_first(rowptr, col, parts, by_id):  # type: ignore[no-untyped-def]
    """`by_id` lists the nodes part by part; the result is its own queue, in which a part is finished before the next one begins."""
    met = np.zeros(by_id.shape[0], np.bool_)
    queue = np.empty_like(by_id)
    head = tail = 0
    for start in by_id:
        if met[start]:
            continue
        met[start] = True
        queue[tail] = start
        tail += 1
        while head < tail:
            v = queue[head]
            head += 1
            for e in range(rowptr[v], rowptr[v + 1]):
                w = col[e]
                if parts[w] == parts[v] and not met[w]:
                    met[w] = True
                    queue[tail] = w
                    tail += 1
    return queue
