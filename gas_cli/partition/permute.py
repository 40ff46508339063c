"""Relabelling a graph so that every part is a contiguous range of node ids."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from gas_cli.graph.graph import Features, Graph, Split
from gas_cli.ops.csr import CSR
from gas_cli.ops.kernels.adjacency_kernels import relabelled_transpose
from gas_cli.partition.partition import Partition

COPIED_BYTES = 1 << 30
"""Dense features up to this size are copied in the order of the parts, so that those of a part are a view; larger ones stay where they are
and batches gather their rows: memory, or the file, then holds them once."""


def permute_graph(graph: Graph, partition: Partition, adj: CSR | None = None) -> Graph:
    """The same graph with node `partition.node_perm[i]` called i: part p is `part_ptr[p]:part_ptr[p+1]`.

    Features, adjacency (rows, columns, weights), labels and the masks of every split move along. Edge attributes stay where they are:
    the edges carry the number of their row (`CSR.attr_row`); so do features of more than `COPIED_BYTES`, a mapped file among them, and the
    nodes carry theirs (`Graph.x_row`).
    Mapping results back: `original[node_perm] = permuted`. `adj` is the adjacency in that order, where it is at hand.
    """
    return order_features(permute_nodes(graph, partition, adj))


def permute_nodes(graph: Graph, partition: Partition, adj: CSR | None = None) -> Graph:
    """`permute_graph`, but all features stay where they are (`Graph.x_row`), sparse ones too, until `order_features`."""
    order = partition.node_perm
    return replace(
        graph,
        x_row=order if graph.x_row is None else graph.x_row[order],
        adj=permute_adjacency(graph.adjacency(), order) if adj is None else adj,
        y=graph.y[order],
        splits=tuple(Split(split.train[order], split.val[order], split.test[order]) for split in graph.splits),
    )


def order_features(graph: Graph) -> Graph:
    """The graph with its features in the order of the nodes, except those of more than `COPIED_BYTES`."""
    rows = graph.x_row
    if rows is None:
        return graph
    if isinstance(graph.x, CSR):
        return replace(graph, x=graph.x.rows(rows), x_row=None)
    if torch.equal(rows, torch.arange(rows.numel())):
        return replace(graph, x_row=None)
    return replace(graph, x=graph.x[rows], x_row=None) if fits_memory(graph.x) else graph


def fits_memory(x: Features) -> bool:
    """Whether features are copied in the order of the parts: sparse ones always."""
    return isinstance(x, CSR) or x.numel() * x.element_size() <= COPIED_BYTES


def permute_adjacency(adj: CSR, order: Tensor) -> CSR:
    """B with B[i, j] = A[order[i], order[j]] for a permutation `order` int64 [N]; columns ascend within each row.

    One pass gives the transpose of B with sorted rows. It is B itself where the two are equal; else, and where the entries of an edge's two
    directions have rows of attributes of their own, a second one transposes back.
    """
    place = np.empty(adj.num_rows, np.int32)
    place[order.numpy()] = np.arange(adj.num_rows, dtype=np.int32)
    attr_row = np.empty(0, np.int64) if adj.attr_row is None else adj.attr_row.numpy()
    rowptr, col, value = adj.arrays
    rowptr, col, value, attr_row = relabelled_transpose(rowptr, col, value, attr_row, order.numpy(), place)
    if not adj.symmetric or adj.attr_row is not None:
        same = np.arange(adj.num_rows)
        rowptr, col, value, attr_row = relabelled_transpose(rowptr, col, value, attr_row, same, same.astype(np.int32))
    rows = None if adj.attr_row is None else torch.from_numpy(attr_row)
    return CSR(torch.from_numpy(rowptr), torch.from_numpy(col), torch.from_numpy(value), adj.num_cols, adj.symmetric, attr_row=rows)
