"""What batches are cut out of: the arrays of the permuted graph, on the host or on the computing device."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gas_cli.graph.graph import Features, Graph, Split
from gas_cli.ops.csr import CSR
from gas_cli.partition.partition import Partition


@dataclass(frozen=True)
class GraphData:
    """Positions count the permuted graph's nodes.

    adj        CSR [N, N], normalised as the model wants it; with `attr_row` where there are edge attributes
    x          features [N, F] (without rows where nobody reads them), of the node at position i in row x_row[i], or i without `x_row`
    sums       A x [N, F], or None
    y, train   labels and training mask
    node_ids   int64 [N]: ids as in the dataset
    """

    adj: CSR
    x: Features
    x_row: Tensor | None
    sums: Tensor | None
    y: Tensor
    train: Tensor
    node_ids: Tensor
    edge_attr: Tensor | None

    @classmethod
    def of(cls, graph: Graph, adj: CSR, partition: Partition, split: Split, sums: Tensor | None, own: bool) -> GraphData:
        """The arrays of `graph`, shared with it; without features where batches carry `sums` and not the targets' own."""
        if graph.edge_attr is None:
            adj = replace(adj, attr_row=None)
        else:
            assert adj.attr_row is not None, "edge attributes are found by the row that each edge carries"
        x = graph.x if own else _no_rows(graph.x)
        return cls(adj, x, graph.x_row if own else None, sums, graph.y, split.train, partition.node_perm, graph.edge_attr)

    def to(self, device: torch.device) -> GraphData:
        """A copy on `device`; itself on the CPU, where it lies."""
        if device.type == "cpu":
            return self

        def moved(x: Tensor | None) -> Tensor | None:
            return None if x is None else x.to(device)

        return GraphData(
            adj=replace(self.adj.to(device), attr_row=moved(self.adj.attr_row)),
            x=self.x.to(device),
            x_row=moved(self.x_row),
            sums=moved(self.sums),
            y=self.y.to(device),
            train=self.train.to(device),
            node_ids=self.node_ids.to(device),
            edge_attr=moved(self.edge_attr),
        )


def _no_rows(x: Features) -> Features:
    return x.rows(torch.empty(0, dtype=torch.int64)) if isinstance(x, CSR) else x[:0]
