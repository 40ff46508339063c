"""Neighbour sampling (GraphSAGE: Hamilton, Ying, Leskovec, NeurIPS 2017).

A step computes the scores of some training nodes, the seeds. A layer sums over a few neighbours of each node that it computes, drawn
anew in every step, and not over all of them:

    s_v = Â_vv h_v + (n_v / k_v) Σ_{w ∈ S_v} Â_vw h_w,    S_v of k_v = min(k, n_v) of the n_v neighbours of v,    E[s_v] = Σ_w Â_vw h_w

Nothing outlives a step, and evaluation is exact. With all neighbours it is the full batch's loss on the seeds; with fewer, sums have no
bias, but what a layer makes of them does, where it is not linear.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gas_cli.batch.batch import Batch, Rows
from gas_cli.batch.data import GraphData
from gas_cli.batch.loader import BatchLoader
from gas_cli.batch.make import host_loader
from gas_cli.batch.sampling_builder import SamplingBuilder
from gas_cli.config.method import MethodConfig, SamplingConfig
from gas_cli.method.method import Alone, Link, Method, Phase, Through, Training, itself, untimed
from gas_cli.partition.groups import Units


class Sampling(Method):
    """Mini-batches of training nodes, each with a sample of its neighbourhood."""

    reads_sums = False

    def __init__(self, config: MethodConfig, training: Training) -> None:
        super().__init__(config, training)
        assert isinstance(config, SamplingConfig)
        self.batch_size, self.fan_outs = config.batch_size, config.fan_outs(self.model.num_layers)
        self.seeds: Tensor = self.split.train.nonzero().flatten()

    @property
    def units(self) -> Units:
        """Training nodes."""
        return Units(self.seeds.numel(), self.batch_size, drawn=True)

    def loader(self, whole: BatchLoader) -> BatchLoader:
        problem, means = self.problem, self.training.layers.normalization == "mean"
        data = GraphData.of(problem.graph, problem.adj, problem.partition, self.split, None, own=True)
        builder = SamplingBuilder(data, self.seeds, self.fan_outs, means, self.training.seed)
        return host_loader(builder, self.training.loop.prefetch, self.device)

    def link(self, phase: Phase = untimed, through: Through = itself) -> Link:
        return Computed()


class Computed(Alone):
    """The halo's rows are outputs of the layer before: those behind the rows of the next block's targets."""

    def begin(self, batch: Batch, upcoming: Batch | None) -> None:
        self._blocks = batch.blocks

    def between(self, layer: int, h: Tensor) -> Rows:
        block = self._blocks[layer]
        target, halo = torch.split(h, [block.num_targets, block.num_halo])
        return Rows(target, halo)
