"""Cluster-GCN (Chiang et al., KDD 2019): mini-batches of parts without the edges that leave them."""

from __future__ import annotations

from gas_cli.batch.cluster_builder import ClusterBuilder
from gas_cli.batch.loader import BatchLoader
from gas_cli.batch.make import host_loader
from gas_cli.method.method import Alone, Link, Method, Phase, Through, itself, untimed


class ClusterGCN(Method):
    """A step sees the sub-graph of its parts; evaluation sees the graph."""

    reads_sums = False

    def loader(self, whole: BatchLoader) -> BatchLoader:
        model, problem, layers = self.training.layers, self.problem, self.model.num_layers
        builder = ClusterBuilder(problem.graph, model.normalization, model.self_loops, problem.partition, self.split, layers)
        return host_loader(builder, self.training.loop.prefetch, self.device)

    def link(self, phase: Phase = untimed, through: Through = itself) -> Link:
        return Alone()
