"""Steps with controlled traffic, timed in turns: what scripts/overhead.py puts into a figure."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gas_cli.batch.batch import Batch, Rows
from gas_cli.config.compose import compose_config
from gas_cli.graph.graph import Graph, Split
from gas_cli.graph.topology import build_adjacency
from gas_cli.method.method import Link
from gas_cli.prepared.problem import Problem
from gas_cli.run import prepare
from gas_cli.training.assemble import make_trainer, pick_device
from gas_cli.training.trainer import Trainer

NOTHING = "none"
"""The exchange that moves nothing: what the others are compared with."""
WARM_UP = 2
FEATURES, CLASSES = 64, 10
PHASES = ("pull", "push", "compute")


class NoTraffic(Link):
    """Halo rows that are already where they are needed: zeros, made once for each batch. The computation is that of a GAS step."""

    def __init__(self, widths: tuple[int, ...], device: torch.device) -> None:
        self.widths, self.device = widths, device
        self._rows: dict[tuple[tuple[int, ...], int], Tensor] = {}
        self._batch: Batch

    def begin(self, batch: Batch, upcoming: Batch | None) -> None:
        self._batch = batch

    def between(self, layer: int, h: Tensor) -> Rows:
        key = (self._batch.parts, layer)
        if key not in self._rows:
            self._rows[key] = torch.zeros(self._batch.blocks[-1].num_halo, self.widths[layer], device=self.device)
        return Rows(h, self._rows[key])

    def end(self, step: int) -> None:
        """Nothing was stored."""

    def flush(self) -> None:
        """No traffic."""


def controlled_graph(num_parts: int, nodes: int, intra: int, ratio: float) -> Graph:
    """`num_parts` ranges of `nodes` nodes; each node sends to `intra` random ones of its own range. Into every range come as many messages
    from round(ratio * nodes) nodes of other ranges, each of which sends to `intra` of its nodes.

    So halo / batch and inter / intra are both `ratio`, and a history row that is pulled is used as often as a row computed. Directed.
    """
    rng = np.random.default_rng(0)
    n, halo = num_parts * nodes, round(ratio * nodes)
    edges = []
    for first in range(0, n, nodes):
        inside = np.arange(first, first + nodes)
        outside = rng.choice(np.setdiff1d(np.arange(n), inside), halo, replace=False)
        source = np.repeat(np.concatenate([inside, outside]), intra)
        edges.append(np.stack([source, rng.integers(first, first + nodes, source.size)]))
    adj = build_adjacency(np.concatenate(edges, axis=1), n, symmetrise=False)
    role = torch.from_numpy(rng.integers(0, 3, n))
    x, y = torch.from_numpy(rng.standard_normal((n, FEATURES), np.float32)), torch.from_numpy(rng.integers(0, CLASSES, n))
    return Graph("controlled", x, adj, y, (Split(role == 0, role == 1, role == 2),), CLASSES, "accuracy", adj.symmetric).validate()


def prepared(arguments: argparse.Namespace, ratio: float, folder: Path) -> dict[str, Trainer]:
    """A trainer for each exchange, on one problem; batches are built once and kept, so that nobody waits for them."""
    device = pick_device(arguments.device)
    graph = controlled_graph(arguments.parts, arguments.nodes, arguments.intra, ratio)
    problem: Problem | None = None
    placement = "pinned" if device.type == "cuda" else "host"
    pipelines = {"synchronous": False, NOTHING: False} | ({"pipelined": True} if device.type == "cuda" else {})
    trainers = {}
    for name, pipeline in pipelines.items():
        model = [f"model={arguments.model}", f"model.num_layers={arguments.layers}", f"model.hidden_channels={arguments.hidden}"]
        history = [f"history.placement={placement}", f"history.pipeline={str(pipeline).lower()}"]
        loop = ["trainer.batch_parts=1", "trainer.shuffle=false", "trainer.prefetch=0"]
        parts = ["partitioner=range", f"partitioner.num_parts={arguments.parts}", "partitioner.cache=null"]
        config = compose_config([*model, *history, *loop, *parts, f"device={device.type}"])
        problem = problem or prepare(config, graph=graph)
        trainers[name] = make_trainer(config, problem, folder)
        trainers[name].epochs.loader = trainers["synchronous"].epochs.loader
    trainers[NOTHING].link = NoTraffic(trainers[NOTHING].model.widths, device)
    return trainers


def time_in_turns(trainers: Mapping[str, Trainer], repeats: int) -> dict[str, dict[str, float]]:
    """Per exchange: milliseconds per step, its phases, and its overhead, all medians over `repeats` epochs."""
    for trainer in trainers.values():
        for _ in range(WARM_UP):
            epoch(trainer)
    turns = [{name: epoch(trainer) for name, trainer in trainers.items()} for _ in range(repeats)]
    return {
        name: {
            "milliseconds": statistics.median(turn[name]["milliseconds"] for turn in turns),
            "overhead": statistics.median(turn[name]["milliseconds"] / turn[NOTHING]["milliseconds"] for turn in turns) - 1,
            "traffic": statistics.median((turn[name]["pull"] + turn[name]["push"]) / turn[name]["compute"] for turn in turns),
            **{phase: statistics.median(turn[name][phase] for turn in turns) for phase in PHASES},
        }
        for name in trainers
        if name != NOTHING
    }


def epoch(trainer: Trainer) -> dict[str, float]:
    """Milliseconds per step of one epoch, between two synchronisations with the device, and by phase of the host."""
    synchronize(trainer.device)
    trainer.clock.take()
    started = time.perf_counter()
    trainer.train_epoch()
    synchronize(trainer.device)
    seconds, steps = time.perf_counter() - started, trainer.problem.partition.num_parts
    trainer.progress.next_epoch()
    phases = trainer.clock.take()
    return {"milliseconds": 1000 * seconds / steps} | {name: 1000 * phases[name] / steps for name in PHASES}


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def batch_counts(trainer: Trainer) -> dict[str, Any]:
    """Means over the batches: edges inside and from outside, nodes, halo; bytes pulled and pushed in a step."""
    blocks = [trainer.loader.builder.build([part]).blocks[-1] for part in range(trainer.problem.partition.num_parts)]
    mean = {
        "intra": statistics.fmean(block.inner.nnz for block in blocks),
        "inter": statistics.fmean(block.outer.nnz for block in blocks),
        "targets": statistics.fmean(block.num_targets for block in blocks),
        "halo": statistics.fmean(block.num_halo for block in blocks),
    }
    assert trainer.histories is not None
    row = trainer.histories.bytes_per_node
    return {**mean, "bytes": row * (mean["targets"] + mean["halo"])}
