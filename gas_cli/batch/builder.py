"""Builds batches out of the permuted graph in O(edges of the batch)."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor

from gas_cli.batch.batch import Batch, Block, Reading, Rows
from gas_cli.batch.data import GraphData
from gas_cli.batch.device_split import DeviceSplitter, joined
from gas_cli.batch.loader import Builder
from gas_cli.batch.split import HostSplitter, Splitter
from gas_cli.graph.graph import Features, Graph, Split
from gas_cli.ops.csr import CSR
from gas_cli.ops.csr_tensors import cut_ranges
from gas_cli.partition.partition import Partition

CPU = torch.device("cpu")

FEW = 0.25
"""Share of a batch's messages: where training targets receive fewer, the last layer gets a block of their messages alone. Its transpose
has to be built, which the symmetric block of all targets is spared."""


class BatchBuilder(Builder):
    """Turns part ids into `Batch`es for a model of `num_layers` layers; every block holds every edge of its targets.

    `graph` is permuted so that the parts of `partition` are contiguous; `adj` is its adjacency as the model wants it (normalised,
    with or without self-loops). Where the graph has edge attributes, `adj.attr_row` leads to them. `sums` [N, F] are A x of all nodes,
    for a model whose layer 0 reads nothing else of its sources (`reading`). On a `device` other than the CPU the graph's arrays are
    copied there, and batches are built there. Holds O(N) scratch, so one builder serves one thread at a time.
    """

    def __init__(
        self,
        graph: Graph,
        adj: CSR,
        partition: Partition,
        split: Split,
        num_layers: int,
        sums: Tensor | None = None,
        reading: Reading = Reading(),  # noqa: B008  # frozen
        device: torch.device = CPU,
    ) -> None:
        self.num_layers = num_layers
        self.own = reading.own or sums is None
        self.data = GraphData.of(graph, adj, partition, split, sums, self.own).to(device)
        self._split: Splitter = HostSplitter(self.data.adj) if device.type == "cpu" else DeviceSplitter(self.data.adj)
        self._part_ptr: list[int] = partition.part_ptr.tolist()
        self._identity = bool((partition.node_perm == torch.arange(graph.num_nodes)).all())

    @property
    def num_parts(self) -> int:
        return len(self._part_ptr) - 1

    @property
    def device(self) -> torch.device:
        return self.data.adj.device

    def build(self, parts: list[int], inputs: bool = True) -> Batch:
        """The batch of these parts (any order; it is sorted, so that ranges and columns ascend); without `inputs` it has no features."""
        parts = sorted(parts)
        data = self.data
        ranges = self._ranges(parts)
        cut = self._split(ranges)
        halo_ids = cut.halo if self._identity else data.node_ids[cut.halo]
        block = Block(cut.inner, cut.outer, _cut(data.node_ids, ranges), halo_ids, cut.halo)
        if data.edge_attr is not None and cut.attr_row is not None:
            attributes = edge_attributes(data.edge_attr, cut.attr_row, block.edge_target, block.num_targets)
            block = replace(block, edge_attr=attributes)
        first = block if data.sums is None else block.without_messages()
        return Batch(
            parts=tuple(parts),
            ranges=tuple(ranges),
            blocks=(first, *[block] * (self.num_layers - 1)),
            x=self._inputs(ranges, first.halo) if inputs else Rows(self._nothing, self._nothing),
            y=_cut(data.y, ranges),
            train_rows=_cut(data.train, ranges).nonzero().flatten(),  # host synchronisation on CUDA: of the thread that builds
        )

    def _inputs(self, ranges: list[tuple[int, int]], halo: Tensor) -> Rows:
        target = self._features_of(ranges) if self.own else self._nothing
        return Rows(target, self._features_at(halo), None if self.data.sums is None else _cut(self.data.sums, ranges))

    @cached_property
    def _nothing(self) -> Features:
        """Features of no node."""
        return self._features_at(self.data.node_ids[:0])

    def _features_of(self, ranges: list[tuple[int, int]]) -> Features:
        """The targets' features: cut out of x where it is in the order of the parts, else gathered."""
        if self.data.x_row is None:
            return cut_rows(self.data.x, ranges)
        return gather_rows(self.data.x, _cut(self.data.x_row, ranges))

    def _features_at(self, positions: Tensor) -> Features:
        return gather_rows(self.data.x, positions if self.data.x_row is None else self.data.x_row[positions])

    def _ranges(self, parts: list[int]) -> list[tuple[int, int]]:
        merged: list[tuple[int, int]] = []
        for part in parts:
            start, stop = self._part_ptr[part], self._part_ptr[part + 1]
            if merged and merged[-1][1] == start:
                merged[-1] = (merged[-1][0], stop)
            else:
                merged.append((start, stop))
        return merged


def with_loss_block(batch: Batch) -> Batch:
    """The batch for a loss on its training targets: its last block has their messages alone where they are few (host synchronisation on
    CUDA), since no other score has a meaning then. For models that do not read `others` there, and edges without attributes."""
    block, targets = batch.blocks[-1], batch.train_rows
    received = (block.inner.rowptr.diff() + block.outer.rowptr.diff())[targets].sum()
    if int(received) >= FEW * block.num_edges:
        return batch
    few = block.messages_to(targets)
    few.inner.transpose()  # here and not in the backward pass, which would wait for it
    return batch.last_block(few)


def edge_attributes(table: Tensor, rows: Tensor, target: Tensor, num_targets: int) -> Tensor:
    """The rows [E_b, D] of `table` for edges to the nodes `target` [E_b]. An edge without one (`rows` is -1: a self-loop that the
    normalisation added) gets the mean of the others into its node: a block holds every edge of its targets, so that of the whole graph.
    """
    without = rows < 0
    if not bool(without.any()):
        return table.index_select(0, rows)
    known = torch.zeros(rows.numel(), table.shape[1], device=table.device)
    known[~without] = table.index_select(0, rows[~without])
    return with_means(known, without, target, num_targets)


def with_means(attributes: Tensor, without: Tensor, target: Tensor, num_targets: int) -> Tensor:
    """`attributes` [E_b, D] with those of the edges `without` replaced by the mean of the others that share their `target`, zeros where
    there are none."""
    known = attributes.masked_fill(without.unsqueeze(1), 0.0)
    sums = known.new_zeros(num_targets, known.shape[1]).index_add_(0, target, known)
    counts = torch.bincount(target[~without], minlength=num_targets).clamp_(min=1)
    known[without] = (sums / counts.unsqueeze(1))[target[without]]
    return known


def cut_rows(x: Features, ranges: list[tuple[int, int]]) -> Features:
    """The rows of several ranges; a single range of a dense matrix is a view."""
    return x.row_ranges(ranges) if isinstance(x, CSR) else _cut(x, ranges)


def gather_rows(x: Features, index: Tensor) -> Features:
    return x.rows(index) if isinstance(x, CSR) else x.index_select(0, index)


def _cut(x: Tensor, ranges: list[tuple[int, int]]) -> Tensor:
    if x.is_cuda and len(ranges) > 1:  # few operations, each of which the host has to issue
        return x.index_select(0, joined(ranges, x.device))
    return cut_ranges(x, ranges)
