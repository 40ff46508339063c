"""The memory of one training step, and the share of the data that it uses: what scripts/memory.py puts into a table."""

from __future__ import annotations

import argparse
import gc
import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gas_cli.config.compose import compose_config
from gas_cli.config.root import Config
from gas_cli.graph.graph import Graph
from gas_cli.prepared.problem import Problem
from gas_cli.run import prepare
from gas_cli.training.assemble import make_trainer, pick_device
from gas_cli.training.trainer import Trainer
from scripts.lib.live_bytes import LiveBytes, UncountedLoader, copied
from scripts.lib.sampled import INSTALL, SampledTraining, Share, can_sample, hops, neighbor_loader, share_of
from scripts.lib.twins import real, twin

FANOUTS = (15, 10, 5, 5)


class Case:
    """A graph of `scale` times a published size, loaded when the first cell needs it, in parts of `batch_nodes` nodes."""

    def __init__(self, name: str, arguments: argparse.Namespace, scale: float) -> None:
        self.name, self.arguments, self.scale = name, arguments, scale
        self.device = pick_device(arguments.device)
        self.batch_nodes = max(1, round(arguments.batch_nodes * arguments.scale))
        self._problem: tuple[str, Problem] | None = None

    @cached_property
    def _real(self) -> Graph | None:
        return real(self.name, self.arguments.root) if self.scale == 1 else None

    @cached_property
    def graph(self) -> Graph:
        return self._real or twin(self.name, self.scale)

    @property
    def is_twin(self) -> bool:
        return self._real is None

    @property
    def num_parts(self) -> int:
        return max(1, round(self.graph.num_nodes / self.batch_nodes))

    def config(self, method: str, layers: int) -> Config:
        """GCN as the paper's table has it, as far as that is known; histories stay on the host."""
        model = ["model=gcn", f"model.num_layers={layers}", f"model.hidden_channels={self.arguments.hidden}", "model.dropout=0.5"]
        trainer = ["trainer.batch_parts=1", "trainer.prefetch=0", f"trainer.max_steps={self.arguments.steps}"]
        placement = f"history.placement={'pinned' if self.device.type == 'cuda' else 'host'}"
        return compose_config([*model, *trainer, placement, f"method={method}", f"device={self.device.type}", *self._partitioner()])

    def _partitioner(self) -> list[str]:
        wanted, num_parts = self.arguments.partition, f"partitioner.num_parts={self.num_parts}"
        if wanted == "communities" or (wanted == "auto" and self.is_twin):
            return [num_parts, "partitioner=file", f"partitioner.file={self._parts_file}", "partitioner.cache=null"]
        return [num_parts, f"partitioner={'metis' if wanted == 'auto' else wanted}"]

    @cached_property
    def _parts_file(self) -> Path:
        """Parts of equal size along the classes: what a perfect clustering of a twin would find, in no time."""
        labels, n = self.graph.y, self.graph.num_nodes
        classes = (labels if labels.dim() == 1 else labels.argmax(1)).numpy()
        parts = np.empty(n, np.int32)
        parts[np.argsort(classes, kind="stable")] = np.arange(n, dtype=np.int64) * self.num_parts // n
        path = self.arguments.work / f"{self.name}-{n}-{self.num_parts}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, parts)
        return Path(path.absolute())

    def problem(self, method: str) -> Problem:
        """The same for every depth, and for the two methods that cut parts; only the latest is kept."""
        key = "whole" if method == "full_batch" else "parts"
        if self._problem is None or self._problem[0] != key:
            self._problem = None
            self._problem = key, prepare(self.config(method, 2), progress=True, graph=self.graph)
        return self._problem[1]


def measure(case: Case, method: str, layers: int) -> dict[str, Any]:
    """`peak` bytes and the `Share` of a step with what describes it; or the `reason` why there is nothing."""
    if method == "sampling" and not can_sample():
        return {"reason": INSTALL}
    if method == "full_batch" and (reason := too_large(case, layers)):
        return {"reason": reason}
    try:
        measured = sampling(case, layers) if method == "sampling" else parts(case, method, layers)
    except torch.OutOfMemoryError:
        return {"reason": f"more than {torch.cuda.get_device_properties(case.device).total_memory / 2**30:.0f} GiB: out of memory"}
    return {**measured, "num_nodes": case.graph.num_nodes, "num_edges": case.graph.num_edges, "twin": case.is_twin}


def parts(case: Case, method: str, layers: int) -> dict[str, Any]:
    """Full batch, Cluster-GCN and GAS: the trainer itself."""
    config, problem = case.config(method, layers), case.problem(method)
    with tempfile.TemporaryDirectory() as folder:
        trainer = make_trainer(config, problem, Path(folder))
        peak = trainer_peak(trainer)
        used, needed = (loader.builder.build([0]).blocks[-1] for loader in (trainer.epochs.loader, trainer.loader))
        share = Share(used.num_targets + used.num_halo, needed.num_targets + needed.num_halo, used.num_edges, needed.num_edges)
        histories = 0 if trainer.histories is None else trainer.histories.nbytes
        counts = {"targets": used.num_targets, "halo": used.num_halo, "parts": problem.partition.num_parts}
        return {"peak": peak, "histories": histories, **asdict(share), **counts}


def trainer_peak(trainer: Trainer) -> int:
    """Bytes on the device at the worst moment of an epoch: parameters, gradients, optimizer, batches, activations."""
    if trainer.device.type == "cuda":
        return cuda_peak(trainer.train_epoch, trainer.device)
    counter = LiveBytes()
    counter.count([list(trainer.model.parameters()), list(trainer.model.buffers())])
    counter.ignore([] if trainer.histories is None else [table.state() for table in trainer.histories])
    loader = trainer.epochs.loader
    trainer.epochs.loader = UncountedLoader(loader, counter, copied)  # type: ignore[assignment]
    with counter:
        trainer.train_epoch()
    trainer.epochs.loader = loader
    return counter.peak


def cuda_peak(run: Callable[[], None], device: torch.device) -> int:
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    run()
    torch.cuda.synchronize(device)
    return int(torch.cuda.max_memory_allocated(device))


def sampling(case: Case, layers: int) -> dict[str, Any]:
    """GraphSAGE on sampled neighbourhoods, by PyG."""
    seeds = max(1, round(case.arguments.seeds * case.scale))
    batches = [batch for batch, _ in zip(neighbor_loader(case.graph, fanouts(layers), seeds), range(case.arguments.steps), strict=False)]
    sizes = [hops(batch.edge_index, batch.num_nodes, batch.batch_size, layers) for batch in batches]
    training = SampledTraining(case.graph, layers, case.arguments.hidden, case.device)

    def steps() -> None:
        for batch, (nodes, edges) in zip(batches, sizes, strict=True):
            x, y, edge_index = (tensor.to(case.device, copy=True) for tensor in (batch.x, batch.y, batch.edge_index))
            training.step(x, y, edge_index, nodes, edges)

    if case.device.type == "cuda":
        peak = cuda_peak(steps, case.device)
    else:
        counter = LiveBytes()
        counter.count(list(training.model.parameters()))
        with counter:
            steps()
        peak = counter.peak
    return {"peak": peak, "histories": 0, **asdict(share_of(batches[0], case.graph, layers)), "seeds": seeds}


def fanouts(layers: int) -> list[int]:
    """At most this many neighbours in hop 1, 2, ..."""
    return [FANOUTS[min(hop, len(FANOUTS) - 1)] for hop in range(layers)]


def too_large(case: Case, layers: int) -> str:
    """Why full batch is not tried in this machine's memory; empty where it fits. Four tables per layer are a low estimate."""
    if case.device.type == "cuda":  # there the allocator says so itself
        return ""
    needed = 4 * layers * case.graph.num_nodes * case.arguments.hidden * 4
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return f"not tried: more than {needed / 2**30:.0f} GiB, {free / 2**30:.0f} free" if needed > 0.5 * free else ""
