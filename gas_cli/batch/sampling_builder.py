"""Batches of neighbour sampling: blocks whose targets grow towards the first layer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gas_cli.batch.batch import Batch, Block, Control, Rows
from gas_cli.batch.builder import edge_attributes, gather_rows
from gas_cli.batch.data import GraphData
from gas_cli.batch.loader import Builder
from gas_cli.batch.sample import Sampler
from gas_cli.batch.split import Cut
from gas_cli.graph.graph import Features
from gas_cli.ops.dropout import Noise

SITE = 1 << 21
"""Beyond the sites that layers and edge dropout use."""
Drawn = tuple[NDArray[np.int64], Cut]
"""The targets of a layer and their messages."""


class SamplingBuilder(Builder):
    """Turns visits of `seeds` int64 [n] (positions) into batches; the visit of seed u in epoch e has the number e * n + u.

    The targets of the last block are the seeds of the batch, those of each block below are the nodes that the block above reads. Layer l
    reads `fan_outs[l]` neighbours of each of its targets, drawn for each target, layer and batch by itself: a function of `seed` and the
    visits. `means` says that weights are means (`Sampler`). Holds O(N) scratch: one thread at a time.
    """

    def __init__(self, data: GraphData, seeds: Tensor, fan_outs: list[int], means: bool, seed: int) -> None:
        self.data, self.seeds, self.fan_outs, self.seed = data, seeds, fan_outs, seed
        self._sampler = Sampler(data.adj, means)

    @property
    def num_parts(self) -> int:
        return self.seeds.numel()

    def build(self, parts: list[int], inputs: bool = True) -> Batch:
        """The batch of these visits, of one epoch."""
        visits = sorted(parts)
        seeds = self.seeds[torch.tensor(visits) % self.num_parts]
        noise, depth = Noise(self.seed, visits[0]), len(self.fan_outs)
        keys = [noise.key(SITE + layer) for layer in range(depth)]
        layers = self._sampler.layers(seeds.numpy(), self.fan_outs[::-1], keys[::-1])
        return self.assembled(visits, seeds, layers[::-1], inputs)

    def assembled(self, visits: list[int], seeds: Tensor, layers: list[Drawn], inputs: bool) -> Batch:
        """The batch of these visits of `seeds`, from what was drawn for each layer, the first one first."""
        blocks = [self._block(torch.from_numpy(targets), cut) for targets, cut in layers]
        for block in blocks[1:]:  # here and not in the backward pass, which would wait for them
            block.inner.transpose()
            block.outer.transpose()
        targets, cut = layers[0]
        first, halo = (torch.from_numpy(targets), cut.halo) if inputs else (seeds[:0], seeds[:0])
        return self._batch(visits, seeds, blocks, self._inputs(first, halo))

    def _batch(
        self, visits: list[int], seeds: Tensor, blocks: list[Block], x: Rows, controls: tuple[Control | None, ...] | None = None
    ) -> Batch:
        return Batch(
            parts=tuple(visits),
            ranges=(),
            blocks=tuple(blocks),
            x=x,
            y=self.data.y[seeds],
            train_rows=torch.arange(seeds.numel()),
            controls=controls,
        )

    def _inputs(self, targets: Tensor, halo: Tensor) -> Rows:
        return Rows(self._features(targets), self._features(halo))

    def _block(self, targets: Tensor, cut: Cut) -> Block:
        ids = self.data.node_ids
        block = Block(cut.inner, cut.outer, ids[targets], ids[cut.halo], cut.halo)
        if self.data.edge_attr is None or cut.attr_row is None:
            return block
        return replace(block, edge_attr=edge_attributes(self.data.edge_attr, cut.attr_row, block.edge_target, block.num_targets))

    def _features(self, positions: Tensor) -> Features:
        return gather_rows(self.data.x, positions if self.data.x_row is None else self.data.x_row[positions])
