"""Builds batches out of the permuted graph in O(edges of the batch)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gas_cli.batch.batch import Batch, Block
from gas_cli.graph.graph import Features, Graph, Split
from gas_cli.ops import kernels
from gas_cli.ops.csr import CSR
from gas_cli.partition.partition import Partition


class BatchBuilder:
    """Turns part ids into `Batch`es.

    `graph` is permuted so that the parts of `partition` are contiguous; `adj` is its adjacency as the model wants it (normalised,
    with or without self-loops). Holds O(N) scratch, so one builder serves one thread at a time.
    """

    def __init__(self, graph: Graph, adj: CSR, partition: Partition, split: Split) -> None:
        self.graph, self.adj, self.partition, self.split = graph, adj, partition, split
        self._arrays = adj.rowptr.numpy(), adj.col.numpy(), adj.value.numpy()
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
        inner_ptr, inner_col, inner_value, outer_ptr, outer_col, outer_value, halo_np = kernels.split_rows(
            *self._arrays, starts, stops, self._local
        )
        halo = torch.from_numpy(halo_np)
        num_targets = int((stops - starts).sum())
        inner = _csr(inner_ptr, inner_col, inner_value, num_targets)
        inner.symmetric = self.adj.symmetric
        block = Block(
            inner,
            _csr(outer_ptr, outer_col, outer_value, halo.numel()),
            _cut(self.partition.node_perm, ranges),
            halo if self._identity else self.partition.node_perm[halo],
        )
        mask = _cut(self.split.train, ranges)
        return Batch(
            parts=tuple(parts),
            ranges=tuple(ranges),
            halo=halo,
            block=block,
            x_target=cut_rows(self.graph.x, ranges),
            x_halo=gather_rows(self.graph.x, halo),
            y=_cut(self.graph.y, ranges),
            train_mask=mask,
            num_train=int(mask.sum()),
        )

    def _ranges(self, parts: list[int]) -> list[tuple[int, int]]:
        merged: list[tuple[int, int]] = []
        for part in parts:
            start, stop = self._part_ptr[part], self._part_ptr[part + 1]
            if merged and merged[-1][1] == start:
                merged[-1] = (merged[-1][0], stop)
            else:
                merged.append((start, stop))
        return merged


def cut_rows(x: Features, ranges: list[tuple[int, int]]) -> Features:
    """The rows of several ranges; a single range of a dense matrix is a view."""
    return x.row_ranges(ranges) if isinstance(x, CSR) else _cut(x, ranges)


def gather_rows(x: Features, index: Tensor) -> Features:
    return x.rows(index) if isinstance(x, CSR) else x.index_select(0, index)


def _cut(x: Tensor, ranges: list[tuple[int, int]]) -> Tensor:
    if len(ranges) == 1:
        return x[slice(*ranges[0])]
    return torch.cat([x[start:stop] for start, stop in ranges])


def _csr(rowptr: np.ndarray, col: np.ndarray, value: np.ndarray, num_cols: int) -> CSR:
    return CSR(torch.from_numpy(rowptr), torch.from_numpy(col), torch.from_numpy(value), num_cols)
