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

    Features, adjacency (rows, columns, weights), labels and the masks of every split move along.
    Mapping results back: `original[node_perm] = permuted`.
    """
    order = partition.node_perm
    return replace(
        graph,
        x=_permute_features(graph.x, order),
        adj=permute_adjacency(graph.adj, order),
        y=graph.y[order],
        splits=tuple(Split(split.train[order], split.val[order], split.test[order]) for split in graph.splits),
    )


def permute_adjacency(adj: CSR, order: Tensor) -> CSR:
    """B with B[i, j] = A[order[i], order[j]] for a permutation `order` int64 [N]; columns ascend within each row.

    Relabelling unsorts the columns, and a transpose sorts them in linear time: one is enough where B equals its transpose.
    """
    place = torch.empty(adj.num_rows, dtype=torch.int32)
    place[order] = torch.arange(adj.num_rows, dtype=torch.int32)
    rows = adj.rows(order)
    sorted_transpose = CSR(rows.rowptr, place[rows.col], rows.value, adj.num_cols).transpose()
    permuted = sorted_transpose if adj.symmetric else sorted_transpose.transpose()
    return CSR(permuted.rowptr, permuted.col, permuted.value, adj.num_cols, adj.symmetric)


def _permute_features(x: Features, order: Tensor) -> Features:
    return x.rows(order) if isinstance(x, CSR) else x[order]
