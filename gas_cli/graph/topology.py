"""From an edge list to the adjacency every later stage uses: by target, sorted, without self-loops and duplicates.

Written for 62 million undirected edges in about 4 GB: ids are int32 as early as possible, nothing is sorted by key,
and an unweighted graph carries one byte per edge until its weights are written.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

from gas_cli.errors import UserError
from gas_cli.ops.csr import CSR

IntArray = NDArray[np.integer[Any]]
FloatArray = NDArray[np.floating[Any]]


def build_adjacency(
    edge_index: IntArray, num_nodes: int, weights: FloatArray | None = None, *, symmetrise: bool, number_edges: bool = False
) -> CSR:
    """The adjacency of `num_nodes` nodes from directed edges.

    edge_index    integer [2, E], row 0 the source w and row 1 the target v of the message w → v
    weights       float [E]; 1 for every edge where None
    symmetrise    also add v → w for every w → v
    number_edges  give the result `attr_row`: which of the E edges each entry comes from, for edge attributes

    Self-loops are dropped (the normalisation adds them where it wants them). Of parallel edges the largest weight stays, so a
    symmetrised graph equals its transpose, values included; `attr_row` is that of the first, and of the reverse edge only where an edge is
    not listed in its own direction. Raises `UserError` naming the first edge with an id outside 0..N-1 or a weight that is not finite.
    """
    _check_edges(edge_index, num_nodes, weights)
    listed = np.flatnonzero(edge_index[0] != edge_index[1]) if number_edges else None
    edge_index, weights = _drop_self_loops(edge_index, weights)
    source, target = edge_index[0].astype(np.int32, copy=False), edge_index[1].astype(np.int32, copy=False)
    if listed is not None and weights is None:
        weights = np.ones(listed.shape[0], np.float32)
    if symmetrise:
        source, target = np.concatenate([source, target]), np.concatenate([target, source])
        weights, listed = None if weights is None else np.tile(weights, 2), None if listed is None else np.tile(listed, 2)
    adj = _pattern(source, target, num_nodes) if weights is None else _weighted(source, target, weights, listed, num_nodes)
    adj.symmetric = symmetrise or is_symmetric(adj)
    return adj


def is_symmetric(adj: CSR) -> bool:
    """Whether `adj` equals its transpose, values included."""
    matrix = adj.to_scipy()
    if matrix.shape[0] != matrix.shape[1]:
        return False
    transposed = matrix.T.tocsr()
    return (
        np.array_equal(matrix.indptr, transposed.indptr)
        and np.array_equal(matrix.indices, transposed.indices)
        and np.array_equal(matrix.data, transposed.data)
    )


def check_node_ids(edge_index: IntArray, num_nodes: int, first: int = 0) -> None:
    """Raise `UserError` naming the first edge of [2, E] with an id outside 0..N-1; positions are counted from `first`."""
    if edge_index.size and (int(edge_index.min()) < 0 or int(edge_index.max()) >= num_nodes):
        position = int(np.flatnonzero(((edge_index < 0) | (edge_index >= num_nodes)).any(axis=0))[0])
        source, target = edge_index[:, position].tolist()
        raise UserError(
            f"Edge {first + position} joins nodes {source} and {target}: expected ids from 0 to {num_nodes - 1}. "
            f"Correct the edge list or the number of nodes."
        )


def _check_edges(edge_index: IntArray, num_nodes: int, weights: FloatArray | None) -> None:
    if num_nodes > np.iinfo(np.int32).max:
        raise UserError(f"A graph of {num_nodes} nodes came in: expected at most {np.iinfo(np.int32).max} (node ids are 32-bit integers).")
    check_node_ids(edge_index, num_nodes)
    if weights is not None and not np.isfinite(weights).all():
        position = int(np.flatnonzero(~np.isfinite(weights))[0])
        raise UserError(f"Edge {position} has weight {weights[position]}: expected a finite number. Clean the edge weights first.")


def _drop_self_loops(edge_index: IntArray, weights: FloatArray | None) -> tuple[IntArray, FloatArray | None]:
    keep = edge_index[0] != edge_index[1]
    if keep.all():  # the common case keeps the caller's array
        return edge_index, weights
    return edge_index[:, keep], None if weights is None else weights[keep]


def _pattern(source: IntArray, target: IntArray, num_nodes: int) -> CSR:
    # scipy adds the ones of duplicates up, and int8 may overflow: only the pattern is kept
    matrix = sp.coo_array((np.ones(source.shape[0], np.int8), (target, source)), shape=(num_nodes, num_nodes)).tocsr()
    return _to_csr(matrix, np.ones(matrix.nnz, np.float32))


def _weighted(source: IntArray, target: IntArray, weights: FloatArray, listed: IntArray | None, num_nodes: int) -> CSR:
    key = target.astype(np.int64) * num_nodes + source
    order = np.argsort(key, kind="stable")  # stable: of parallel edges the first comes first
    key = key[order]
    starts = np.flatnonzero(np.diff(key, prepend=-1))
    value = np.maximum.reduceat(weights[order], starts) if starts.size else weights
    key = key[starts]
    rowptr = np.searchsorted(key, np.arange(num_nodes + 1, dtype=np.int64) * num_nodes)
    col = (key % max(num_nodes, 1)).astype(np.int32)
    attr_row = None if listed is None else torch.from_numpy(listed[order[starts]].astype(np.int64, copy=False))
    rowptr, value = rowptr.astype(np.int64, copy=False), value.astype(np.float32)
    return CSR(torch.from_numpy(rowptr), torch.from_numpy(col), torch.from_numpy(value), num_nodes, attr_row=attr_row)


def _to_csr(matrix: sp.csr_array, value: NDArray[np.float32]) -> CSR:
    """`matrix` with other values; its index arrays are taken over where their types allow it."""
    matrix.sort_indices()
    rowptr = torch.from_numpy(matrix.indptr.astype(np.int64, copy=False))
    return CSR(rowptr, torch.from_numpy(matrix.indices.astype(np.int32, copy=False)), torch.from_numpy(value), int(matrix.shape[1]))
