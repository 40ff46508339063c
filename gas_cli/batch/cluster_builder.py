"""Batches of Cluster-GCN: the sub-graph of the batch's parts and nothing else."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from gas_cli.batch.batch import Batch, Block, Rows
from gas_cli.batch.builder import BatchBuilder, gather_rows, with_means
from gas_cli.batch.loader import Builder
from gas_cli.graph.graph import Graph, Split
from gas_cli.graph.normalize import normalize
from gas_cli.ops.csr import CSR
from gas_cli.partition.partition import Partition


class ClusterBuilder(Builder):
    """Turns part ids into batches without a halo (Chiang et al., KDD 2019, section 3.2).

    Edges between the batch's parts stay, every other edge of its nodes is dropped, and what is left is normalised by the degrees within
    the batch, as there and in PyG's ClusterLoader. One part that holds the whole graph drops nothing.
    """

    def __init__(
        self, graph: Graph, normalization: str | None, self_loops: bool, partition: Partition, split: Split, num_layers: int
    ) -> None:
        self.normalization, self.self_loops = normalization, self_loops
        # With the self-loops in it, normalising a batch changes weights and no longer the pattern.
        adj = normalize(graph.adj, None, self_loops or normalization == "sym")
        self._whole = BatchBuilder(graph, adj, partition, split, num_layers)

    @property
    def num_parts(self) -> int:
        return self._whole.num_parts

    def build(self, parts: list[int], inputs: bool = True) -> Batch:
        """The batch of these parts: H = 0."""
        batch = self._whole.build(parts, inputs)
        whole = batch.blocks[0]
        block = replace(whole.without_messages(), inner=self._normalized(whole))
        block = replace(block, edge_attr=_inner_attributes(whole, block))
        nobody = gather_rows(batch.x.halo, block.halo)
        return replace(batch, blocks=(block,) * len(batch.blocks), x=Rows(batch.x.target, nobody))

    def _normalized(self, block: Block) -> CSR:
        return normalize(block.inner, self.normalization, self.self_loops)


def _inner_attributes(whole: Block, block: Block) -> Tensor | None:
    """The attributes of the edges of `block`, which are the first of `whole`; self-loops get the mean of those alone."""
    if whole.edge_attr is None:
        return None
    loops = block.edge_source == block.edge_target
    return with_means(whole.edge_attr[: block.num_edges], loops, block.edge_target, block.num_targets)
