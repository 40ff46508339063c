"""From an edge list to the adjacency every later stage uses: by target, sorted, without self-loops and duplicates.

Written for 62 million undirected edges in about 1.5 GB: ids are int32 as early as possible, edges go straight to their rows, which are
sorted one by one, and there is no copy of the list in the other direction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gas_cli.errors import UserError
from gas_cli.ops.csr import CSR
from gas_cli.ops.kernels import csr_kernels, edge_kernels

IntArray = NDArray[np.integer[Any]]
FloatArray = NDArray[np.floating[Any]]
Ends = IntArray | Sequence[IntArray]
"""Sources and targets of edges: [2, E], or a pair of [E]."""


def build_adjacency(
    edge_index: Ends, num_nodes: int, weights: FloatArray | None = None, *, symmetrise: bool, number_edges: bool = False
) -> CSR:
    """The adjacency of `num_nodes` nodes from directed edges.

    edge_index    integer [2, E], or the two rows apart: row 0 the source w and row 1 the target v of the message w → v
    weights       numbers [E] of any type that float32 can hold; 1 for every edge where None
    symmetrise    also add v → w for every w → v
    number_edges  give the result `attr_row`: which of the E edges each entry comes from, for edge attributes

    Self-loops are dropped (the normalisation adds them where it wants them). Of parallel edges the largest weight stays, so a
    symmetrised graph equals its transpose, values included; `attr_row` is that of the first, and of the reverse edge only where an edge is
    not listed in its own direction. Raises `UserError` naming the first edge with an id outside 0..N-1 or a weight that is not finite.
    """
    weights = None if weights is None else _as_float32(weights)
    _check_edges(edge_index, num_nodes, weights)
    source, target = (np.ascontiguousarray(ends, np.int32) for ends in edge_index)
    if weights is None and not number_edges:
        adj = _pattern(source, target, num_nodes, symmetrise)
    else:
        adj = _numbered(source, target, num_nodes, np.empty(0, np.float32) if weights is None else weights, symmetrise, number_edges)
    adj.symmetric = symmetrise or is_symmetric(adj)
    return adj


def is_symmetric(adj: CSR) -> bool:
    """Whether `adj`, whose rows are sorted, equals its transpose, values included."""
    return adj.num_rows == adj.num_cols and bool(edge_kernels.equals_transpose(*adj.arrays))


def check_node_ids(edge_index: Ends, num_nodes: int, first: int = 0) -> None:
    """Raise `UserError` naming the first edge of [2, E] with an id outside 0..N-1; positions are counted from `first`."""
    source, target = edge_index
    if not any(ends.size and (int(ends.min()) < 0 or int(ends.max()) >= num_nodes) for ends in (source, target)):
        return
    bad = (source < 0) | (source >= num_nodes) | (target < 0) | (target >= num_nodes)
    position = int(np.flatnonzero(bad)[0])
    raise UserError(
        f"Edge {first + position} joins nodes {source[position]} and {target[position]}: expected ids from 0 to {num_nodes - 1}. "
        f"Correct the edge list or the number of nodes."
    )


def _as_float32(weights: FloatArray) -> NDArray[np.float32]:
    """In the one type, byte order and layout that the kernels are compiled for."""
    with np.errstate(over="ignore"):  # a number beyond float32 becomes infinite, and is refused as that
        return np.ascontiguousarray(weights, np.float32)


def _check_edges(edge_index: Ends, num_nodes: int, weights: FloatArray | None) -> None:
    if num_nodes > np.iinfo(np.int32).max:
        raise UserError(f"The graph has {num_nodes} nodes: expected at most {np.iinfo(np.int32).max} (node ids are 32-bit integers).")
    check_node_ids(edge_index, num_nodes)
    if weights is not None and not np.isfinite(weights).all():
        position = int(np.flatnonzero(~np.isfinite(weights))[0])
        raise UserError(f"Edge {position} has weight {weights[position]}: expected a finite number. Clean the edge weights first.")


def _pattern(source: IntArray, target: IntArray, num_nodes: int, both: bool) -> CSR:
    """Every edge once, with weight 1."""
    counts = np.zeros(num_nodes, np.int64)
    (csr_kernels.count_ends if both else edge_kernels.count_targets)(source, target, counts)
    rowptr = _cumulated(counts)
    cursor, col = rowptr[:-1].copy(), np.empty(int(rowptr[-1]), np.int32)
    if both:
        csr_kernels.place_ends(source, target, 0, num_nodes, cursor, col)
    else:
        edge_kernels.place_sources(source, target, cursor, col)
    rowptr = _cumulated(csr_kernels.sort_unique_rows(rowptr, col))
    _shrink(col, rowptr)
    return CSR(torch.from_numpy(rowptr), torch.from_numpy(col), torch.ones(col.shape[0], dtype=torch.float32), num_nodes)


def _numbered(source: IntArray, target: IntArray, num_nodes: int, weights: FloatArray, both: bool, with_rows: bool) -> CSR:
    """Every edge once, with the largest of its weights and, `with_rows`, the position of the first."""
    counts = np.zeros(num_nodes, np.int64)
    (csr_kernels.count_ends if both else edge_kernels.count_targets)(source, target, counts)
    rowptr = _cumulated(counts)
    cursor, col = rowptr[:-1].copy(), np.empty(int(rowptr[-1]), np.int32)
    number = np.empty(col.shape[0], np.int32 if 2 * source.shape[0] <= np.iinfo(np.int32).max else np.int64)
    edge_kernels.place_numbered(source, target, 0, cursor, col, number)
    if both:
        edge_kernels.place_numbered(target, source, source.shape[0], cursor, col, number)
    value, attr_row = np.empty(col.shape[0], np.float32), np.empty(col.shape[0] if with_rows else 0, np.int64)
    rowptr = _cumulated(edge_kernels.merge_rows(rowptr, col, number, weights, source.shape[0], value, attr_row))
    _shrink(col, rowptr)
    _shrink(value, rowptr)
    if with_rows:
        _shrink(attr_row, rowptr)
    rows = torch.from_numpy(attr_row) if with_rows else None
    return CSR(torch.from_numpy(rowptr), torch.from_numpy(col), torch.from_numpy(value), num_nodes, attr_row=rows)


def _cumulated(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    rowptr = np.zeros(counts.shape[0] + 1, np.int64)
    np.cumsum(counts, out=rowptr[1:])
    return rowptr


def _shrink(array: NDArray[Any], rowptr: NDArray[np.int64]) -> None:
    """Give back, in place, what duplicates have left empty at the end. Nothing else refers to these arrays yet."""
    array.resize(int(rowptr[-1]), refcheck=False)
