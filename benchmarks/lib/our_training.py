"""A training of ours, taken apart: what is prepared, the steps of an epoch, the batches and their traffic."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.lib.bandwidth import measure_bandwidth
from benchmarks.lib.turns import device_seconds
from gas_cli.batch.batch import Reading
from gas_cli.config.compose import compose_config
from gas_cli.config.root import Config
from gas_cli.measure.seconds import take_seconds
from gas_cli.prepared.problem import Problem
from gas_cli.run import prepare
from gas_cli.training import assemble
from gas_cli.training.trainer import Trainer

PHASES = ("batch", "pull", "compute", "push")
REPEATS = 3


def measure_epochs(settings: Sequence[str], epochs: int) -> dict[str, Any]:
    """Training epochs after one of warm-up, by phase; then, by themselves, batches, traffic, evaluation. No epoch is evaluated."""
    config = compose_config([*settings, "evaluation.every=null", "history.refresh=null"])
    problem, prepared = prepare_timed(lambda: prepare(config))
    trainer = make_trainer(config, problem)
    timed = time_epochs(trainer, epochs)
    timed["peak_memory"] = peak(trainer)
    return {**timed, "prepared": prepared, **batches(trainer), "evaluation": evaluation(trainer), **speed(trainer)}


def prepare_timed(make: Callable[[], Problem]) -> tuple[Problem, dict[str, float]]:
    """The problem, and the seconds of `load`, of `metis` (0 where the partition came from the cache) and of the `rest`."""
    take_seconds()
    started = time.perf_counter()
    problem = make()
    total, taken = time.perf_counter() - started, take_seconds()
    seconds = {"load": taken.get("load", 0.0), "metis": taken.get("assign parts", 0.0)}
    return problem, {**seconds, "rest": total - sum(seconds.values())}


def peak(trainer: Trainer) -> int:
    """Bytes: the largest peak of the allocator on CUDA, of the process elsewhere, from the loading of the data on."""
    peaks = trainer.memory.peaks
    return max((peaks["device"] if "device" in peaks else {**trainer.problem.memory.stages, **peaks["resident"]}).values())


def make_trainer(config: Config, problem: Problem, seed: int = 0, reading: Callable[[Reading], Reading] | None = None) -> Trainer:
    """A trainer that keeps nothing."""
    return assemble.make_trainer(config, problem, Path(tempfile.gettempdir()) / "nothing-is-written-here", seed, reading)


def clock_for(device: torch.device) -> Callable[[], float]:
    return device_seconds if device.type == "cuda" else time.perf_counter


def time_epochs(trainer: Trainer, epochs: int) -> dict[str, Any]:
    """`seconds` of an epoch's steps and its `phases` (on CUDA: the host's), medians over `epochs` after one of warm-up."""
    now, taken = clock_for(trainer.device), []
    for _ in range(epochs + 1):
        trainer.clock.take()
        started = now()
        trainer.train_epoch()
        taken.append({"seconds": now() - started, **trainer.clock.take()})
        trainer.progress.next_epoch()
    median = {name: statistics.median(epoch[name] for epoch in taken[1:]) for name in ("seconds", *PHASES)}
    return {"seconds": median.pop("seconds"), "phases": median}


def batches(trainer: Trainer) -> dict[str, Any]:
    """An epoch's batches: seconds of the building thread, targets and halo nodes, bytes pulled from and pushed into the histories."""
    builder, groups, now = trainer.epochs.loader.builder, trainer.epochs.groups(1), time.perf_counter
    seconds, counts = [], (0, 0)
    for _ in range(REPEATS):
        started = now()
        blocks = [builder.build(group).blocks[-1] for group in groups]
        seconds.append(now() - started)
        counts = sum(block.num_targets for block in blocks), sum(block.num_halo for block in blocks)
    row = 0 if trainer.histories is None else trainer.histories.bytes_per_node
    moved = {"pulled": row * counts[1], "pushed": row * counts[0]}
    return {"building": statistics.median(seconds), "steps": len(groups), "targets": counts[0], "halo": counts[1], **moved}


def evaluation(trainer: Trainer) -> dict[str, float]:
    """Seconds of an exact evaluation and of one from histories, with batches already built: the smallest of some."""
    now, histories = clock_for(trainer.device), trainer.histories
    ways: dict[str, Callable[[], Any]] = {"exact": trainer.evaluator.exact}
    if histories is not None and not trainer.problem.graph.inductive:
        ways["history"] = lambda: trainer.evaluator.from_history(histories)
    seconds: dict[str, float] = {}
    for name, evaluate in ways.items():
        for _ in range(REPEATS - 1):
            started = now()
            evaluate()
            seconds[name] = min(seconds.get(name, float("inf")), now() - started)
    return seconds


def speed(trainer: Trainer) -> dict[str, float]:
    """The memory's `bandwidth` in bytes per second, where pulls and pushes use it and can be told from the computation."""
    if trainer.histories is None or trainer.device.type == "cuda":
        return {}
    return {"bandwidth": measure_bandwidth(trainer.device, clock_for(trainer.device), rounds=3)}
