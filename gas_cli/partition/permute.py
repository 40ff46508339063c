"""Relabelling a graph so that every part is a contiguous range of node ids."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from gas_cli.graph.graph import Features, Graph, Split
from gas_cli.ops.csr import CSR
from gas_cli.partition.partition import Partition


def permute_graph(graph: Graph, partition: Partition) -> Graph:
    """The same graph with node `partition.node_perm[i]` called i: part p is `part_ptr[p]:part_ptr[p+1]`.

    Features, adjacency (rows, columns, weights), labels and the masks of every split move along. Edge attributes stay where they are:
    the edges carry the number of their row (`CSR.attr_row`).
    Mapping results back: `original[node_perm] = permuted`.
    """
    order = partition.node_perm
    return replace(
        graph,
        x=_permute_features(graph.x, order),
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
    rows = adj.rows(order)
    sorted_transpose = CSR(rows.rowptr, place[rows.col], rows.value, adj.num_cols).transpose()
    permuted = sorted_transpose if adj.symmetric else sorted_transpose.transpose()
    return CSR(permuted.rowptr, permuted.col, permuted.value, adj.num_cols, adj.symmetric)


def _permute_features(x: Features, order: Tensor) -> Features:
    return x.rows(order) if isinstance(x, CSR) else x[order]
