"""Batches of Cluster-GCN: the sub-graph of the batch's parts and nothing else."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from gas_cli.batch.batch import Batch, Block
from gas_cli.batch.builder import BatchBuilder, gather_rows, with_means
from gas_cli.graph.graph import Graph, Split
from gas_cli.graph.normalize import normalize
from gas_cli.ops.csr import CSR
from gas_cli.partition.partition import Partition


class ClusterBuilder:
    """Turns part ids into batches without a halo (Chiang et al., KDD 2019, section 3.2).

    Edges between the batch's parts stay, every other edge of its nodes is dropped, and what is left is normalised by the degrees within
    the batch, as there and in PyG's ClusterLoader. One part that holds the whole graph drops nothing.
    """

    def __init__(self, graph: Graph, normalization: str, self_loops: bool, partition: Partition, split: Split) -> None:
        self.normalization, self.self_loops = normalization, self_loops
        # With the self-loops in it, normalising a batch changes weights and no longer the pattern.
        adj = normalize(graph.adj, "none", self_loops or normalization == "sym")
        self._whole = BatchBuilder(graph, adj, partition, split)

    @property
    def num_parts(self) -> int:
        return self._whole.num_parts

    def build(self, parts: list[int]) -> Batch:
        """The batch of these parts: H = 0."""
        batch = self._whole.build(parts)
        nobody = torch.empty(0, dtype=torch.int64)
        block = replace(batch.block, inner=self._normalized(batch.block), outer=_no_columns(batch.block.num_targets), halo_ids=nobody)
        block = replace(block, edge_attr=_inner_attributes(batch.block, block))
        return replace(batch, halo=nobody, x_halo=gather_rows(self._whole.data.x, nobody), block=block)

    def _normalized(self, block: Block) -> CSR:
        return normalize(block.inner, self.normalization, self.self_loops)


def _inner_attributes(whole: Block, block: Block) -> Tensor | None:
    """The attributes of the edges of `block`, which are the first of `whole`; self-loops get the mean of those alone."""
    if whole.edge_attr is None:
        return None
    loops = block.edge_source == block.edge_target
    return with_means(whole.edge_attr[: block.num_edges], loops, block.edge_target, block.num_targets)


def _no_columns(num_rows: int) -> CSR:
    return CSR(torch.zeros(num_rows + 1, dtype=torch.int64), torch.empty(0, dtype=torch.int32), torch.empty(0), 0)
