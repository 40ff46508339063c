"""Builds batches out of the permuted graph in O(edges of the batch)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from gas_cli.batch.batch import Batch, Block
from gas_cli.batch.split import Entries, split_rows
from gas_cli.graph.graph import Features, Graph, Split
from gas_cli.ops.csr import CSR
from gas_cli.partition.partition import Partition

FEW = 0.25
"""Share of a batch's messages: where training targets receive fewer, they get a block of their own. Its transpose has to be built, which
the symmetric block of all targets is spared."""


class BatchBuilder:
    """Turns part ids into `Batch`es.

    `graph` is permuted so that the parts of `partition` are contiguous; `adj` is its adjacency as the model wants it (normalised,
    with or without self-loops). Where the graph has edge attributes, `adj.attr_row` leads to them. With `feature_sums` [N, F], A x of all
    nodes, batches carry those of their targets instead of the halo's features, and with `sums_alone` instead of the targets' as well; with
    `loss_blocks` they have a `loss_block` where it saves work. Holds O(N) scratch, so one builder serves one thread at a time.
    """

    def __init__(
        self,
        graph: Graph,
        adj: CSR,
        partition: Partition,
        split: Split,
        feature_sums: Tensor | None = None,
        *,
        loss_blocks: bool = False,
        sums_alone: bool = False,
    ) -> None:
        self.graph, self.adj, self.partition, self.split = graph, adj, partition, split
        self.feature_sums, self.loss_blocks = feature_sums, loss_blocks and graph.edge_attr is None
        self.sums_alone = sums_alone and feature_sums is not None
        assert graph.edge_attr is None or adj.attr_row is not None, "edge attributes are found by the row that each edge carries"
        attr_row = np.empty(0, np.int64) if graph.edge_attr is None or adj.attr_row is None else adj.attr_row.numpy()
        self._entries = Entries(*adj.arrays, attr_row)
        self._part_ptr: list[int] = partition.part_ptr.tolist()
        self._local = np.full(graph.num_nodes, -1, np.int32)
        self._identity = bool((partition.node_perm == torch.arange(graph.num_nodes)).all())

    @property
    def num_parts(self) -> int:
        return self.partition.num_parts

    def build(self, parts: list[int]) -> Batch:
        """The batch of these parts (any order; it is sorted, so that ranges and columns ascend)."""
        parts = sorted(parts)
        ranges = self._ranges(parts)
        starts, stops = np.array(ranges, np.int64).T.copy()
        inner_entries, outer_entries, halo_ids = split_rows(self._entries, starts, stops, self._local)
        halo = torch.from_numpy(halo_ids)
        num_targets = int((stops - starts).sum())
        inner = _csr(inner_entries, num_targets)
        inner.symmetric = self.adj.symmetric
        block = Block(
            inner,
            _csr(outer_entries, halo.numel()),
            _cut(self.partition.node_perm, ranges),
            halo if self._identity else self.partition.node_perm[halo],
        )
        if self.graph.edge_attr is not None:
            rows = torch.from_numpy(np.concatenate([inner_entries.attr_row, outer_entries.attr_row]))
            block = replace(block, edge_attr=edge_attributes(self.graph.edge_attr, rows, block.edge_target, num_targets))
        mask = _cut(self.split.train, ranges)
        return Batch(
            parts=tuple(parts),
            ranges=tuple(ranges),
            halo=halo,
            block=block,
            x_target=self._features_at(halo[:0]) if self.sums_alone else self._features_of(ranges),
            x_halo=self._features_at(halo if self.feature_sums is None else halo[:0]),
            y=_cut(self.graph.y, ranges),
            train_mask=mask,
            num_train=int(mask.sum()),
            x_summed=None if self.feature_sums is None else _cut(self.feature_sums, ranges),
            loss_block=loss_block(block, mask) if self.loss_blocks else None,
        )

    def _features_of(self, ranges: list[tuple[int, int]]) -> Features:
        """The targets' features: cut out of x where it is in the order of the parts, else gathered."""
        if self.graph.x_row is None:
            return cut_rows(self.graph.x, ranges)
        return gather_rows(self.graph.x, _cut(self.graph.x_row, ranges))

    def _features_at(self, positions: Tensor) -> Features:
        return gather_rows(self.graph.x, positions if self.graph.x_row is None else self.graph.x_row[positions])

    def _ranges(self, parts: list[int]) -> list[tuple[int, int]]:
        merged: list[tuple[int, int]] = []
        for part in parts:
            start, stop = self._part_ptr[part], self._part_ptr[part + 1]
            if merged and merged[-1][1] == start:
                merged[-1] = (merged[-1][0], stop)
            else:
                merged.append((start, stop))
        return merged


def loss_block(block: Block, train_mask: Tensor) -> Block | None:
    """The messages of the targets in `train_mask` [B]; None where they are more than a few of all."""
    targets = train_mask.nonzero().flatten()
    received = (block.inner.rowptr.diff() + block.outer.rowptr.diff())[targets].sum()
    if int(received) >= FEW * block.num_edges:
        return None
    few = block.messages_to(targets)
    few.inner.transpose()  # here and not in the backward pass, which would wait for it
    return few


def edge_attributes(table: Tensor, rows: Tensor, target: Tensor, num_targets: int) -> Tensor:
    """The rows [E_b, D] of `table` for edges to the nodes `target` [E_b]. An edge without one (`rows` is -1: a self-loop that the
    normalisation added) gets the mean of the others into its node: a block holds every edge of its targets, so that of the whole graph.
    """
    without = rows < 0
    if not bool(without.any()):
        return table.index_select(0, rows)
    known = torch.zeros(rows.numel(), table.shape[1])
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
    if len(ranges) == 1:
        return x[slice(*ranges[0])]
    return torch.cat([x[start:stop] for start, stop in ranges])


def _csr(entries: Entries, num_cols: int) -> CSR:
    rowptr, col, value = (torch.from_numpy(array) for array in entries[:3])
    return CSR(rowptr, col, value, num_cols)
