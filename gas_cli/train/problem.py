"""What all runs of one configuration share: the permuted graph, its adjacency for the model, and the partition."""

from __future__ import annotations

from dataclasses import dataclass

from gas_cli.graph.graph import Graph
from gas_cli.ops.csr import CSR
from gas_cli.partition.partition import Partition


@dataclass(frozen=True)
class Problem:
    """A graph in the node order of a partition.

    graph        permuted: part p is the range part_ptr[p]:part_ptr[p+1]
    adj          the permuted adjacency, normalised for the model
    fingerprint  of graph and partition: checkpoints belong to it
    """

    graph: Graph
    adj: CSR
    partition: Partition
    fingerprint: str

    @property
    def multilabel(self) -> bool:
        return self.graph.y.dim() == 2
