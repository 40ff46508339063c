"""Relabelling a graph so that every part is a contiguous range of node ids."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numba import njit
from torch import Tensor

from gas_cli.graph.graph import Features, Graph, Split
from gas_cli.ops.csr import CSR
from gas_cli.partition.partition import Partition

COPIED_BYTES = 1 << 30
"""Dense features up to this size are copied in the order of the parts, so that those of a part are a view; larger ones stay where they are
and batches gather their rows: memory, or the file, then holds them once."""


def permute_graph(graph: Graph, partition: Partition) -> Graph:
    """The same graph with node `partition.node_perm[i]` called i: part p is `part_ptr[p]:part_ptr[p+1]`.

    Features, adjacency (rows, columns, weights), labels and the masks of every split move along. Edge attributes stay where they are:
    the edges carry the number of their row (`CSR.attr_row`); so do features of more than `COPIED_BYTES`, a mapped file among them, and the
    nodes carry theirs (`Graph.x_row`).
    Mapping results back: `original[node_perm] = permuted`.
    """
    order = partition.node_perm
    x, x_row = _permute_features(graph, order)
    return replace(
        graph,
        x=x,
        x_row=x_row,
        adj=permute_adjacency(graph.adjacency(), order),
        y=graph.y[order],
        splits=tuple(Split(split.train[order], split.val[order], split.test[order]) for split in graph.splits),
    )


def permute_adjacency(adj: CSR, order: Tensor) -> CSR:
    """B with B[i, j] = A[order[i], order[j]] for a permutation `order` int64 [N]; columns ascend within each row.

    Relabelling unsorts the columns, and a transpose sorts them in linear time: one is enough where B equals its transpose.
    """
    if adj.attr_row is not None:
        # What moves is each entry's position, by which both weights and rows of attributes are looked up; positions are never symmetric.
        moved = permute_adjacency(CSR(adj.rowptr, adj.col, torch.arange(adj.nnz), adj.num_cols), order)
        value, attr_row = adj.value[moved.value], adj.attr_row[moved.value]
        return CSR(moved.rowptr, moved.col, value, adj.num_cols, adj.symmetric, attr_row=attr_row)
    place = torch.empty(adj.num_rows, dtype=torch.int32)
    place[order] = torch.arange(adj.num_rows, dtype=torch.int32)
    arrays = _transpose_of_permuted(*adj.arrays, order.numpy(), place.numpy())
    rowptr, col, value = (torch.from_numpy(array) for array in arrays)
    permuted = CSR(rowptr, col, value, adj.num_cols, adj.symmetric)
    return permuted if adj.symmetric else permuted.transpose()


@njit(nogil=True, cache=True)
def _transpose_of_permuted(rowptr, col, value, order, place):  # type: ignore[no-untyped-def]
    """CSR of the transpose of the permuted matrix; `place` int32 [N] is the inverse of `order`. One pass moves each entry once."""
    t_rowptr = np.zeros(order.shape[0] + 1, np.int64)
    for w in col:
        t_rowptr[place[w] + 1] += 1
    for i in range(order.shape[0]):
        t_rowptr[i + 1] += t_rowptr[i]
    cursor = t_rowptr[:-1].copy()
    t_col, t_value = np.empty_like(col), np.empty_like(value)
    for i in range(order.shape[0]):
        for e in range(rowptr[order[i]], rowptr[order[i] + 1]):
            row = place[col[e]]
            t_col[cursor[row]], t_value[cursor[row]] = i, value[e]
            cursor[row] += 1
    return t_rowptr, t_col, t_value


def _permute_features(graph: Graph, order: Tensor) -> tuple[Features, Tensor | None]:
    """x in the new order; or x as it is and the row of each node."""
    if isinstance(graph.x, CSR):
        return graph.x.rows(order), None
    rows = order if graph.x_row is None else graph.x_row[order]
    if torch.equal(rows, torch.arange(rows.numel())):
        return graph.x, None
    if graph.x.numel() * graph.x.element_size() > COPIED_BYTES:
        return graph.x, rows
    return graph.x[rows], None
