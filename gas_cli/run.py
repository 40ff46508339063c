"""A run from end to end: config → graph → partition → batch → history ⇄ model → train → report."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from gas_cli.config.compose import save_config
from gas_cli.config.partitioner import PartitionerConfig
from gas_cli.config.root import Config
from gas_cli.errors import Interrupted, UserError
from gas_cli.graph.graph import Split
from gas_cli.graph.load import load_graph
from gas_cli.graph.normalize import normalize
from gas_cli.model.registry import build_model
from gas_cli.partition.make import make_partition
from gas_cli.partition.permute import permute_adjacency, permute_graph
from gas_cli.report.curves import plot_curves
from gas_cli.report.phases import summarize_records
from gas_cli.report.progress import ProgressRecorder
from gas_cli.report.recorder import JsonlRecorder, Recorder, Recorders, read_metrics
from gas_cli.report.summary import aggregate_runs, read_summary, write_summary
from gas_cli.train.checkpoint import load_checkpoint
from gas_cli.train.problem import Problem
from gas_cli.train.progress import Progress
from gas_cli.train.trainer import Trainer

log = logging.getLogger(__name__)


def run(config: Config, folder: Path) -> dict[str, Any]:
    """Train what `config` describes and leave everything in `folder`; the summary that is also in its summary.json.

    With `config.runs` > 1, run r has seed `config.seed` + r and its own folder `runs/r`. Raises UserError, Interrupted; the summary on the
    disk then says `failed` or `interrupted` and why.
    """
    _write_first(config, folder)
    return _run_all(config, folder)


def resume(folder: Path, config: Config) -> dict[str, Any]:
    """Continue the run in `folder` from its last checkpoint; finished runs of several stay as they are."""
    return _run_all(config, folder)


def prepare(config: Config, progress: bool = False) -> Problem:
    """Load, partition, permute and normalise: what every run of `config` shares."""
    graph = load_graph(config.dataset, progress)
    partition = make_partition(graph.adj, _partitioner(config), progress)
    if config.partitioner.name == "file" and config.method.name == "gas" and config.trainer.batch_parts > partition.num_parts:
        raise UserError(f"trainer.batch_parts={config.trainer.batch_parts} is more than the {partition.num_parts} parts of {config.partitioner.file}.")
    fingerprint = hashlib.blake2b((graph.fingerprint() + partition.fingerprint()).encode(), digest_size=16).hexdigest()
    adj = permute_adjacency(normalize(graph.adj, config.model.normalization, config.model.self_loops), partition.node_perm)
    return Problem(permute_graph(graph, partition), adj, partition, fingerprint)


def train_once(config: Config, problem: Problem, folder: Path, seed: int) -> dict[str, Any]:
    """One training run on a prepared problem, continued where `folder` holds a checkpoint; its summary."""
    device, graph = pick_device(config.device), problem.graph
    split = pick_split(config, problem, seed)
    torch.manual_seed(seed)
    model = build_model(config.model, graph.num_features, graph.num_classes, seed)
    trainer = Trainer(config, problem, split, model, seed, device, folder)
    if trainer.last_checkpoint.exists():
        trainer.restore(load_checkpoint(trainer.last_checkpoint))
    recorder = _recorder(config, folder, after=trainer.progress.epoch - 1)
    with _summarized(folder, _describe(config, problem, trainer, seed), trainer.progress) as summary:
        try:
            trainer.fit(recorder)
        finally:
            recorder.close()
    plot_curves(folder / "metrics.jsonl", folder / "curves.png")
    return summary


@contextlib.contextmanager
def _summarized(folder: Path, summary: dict[str, Any], progress: Progress) -> Iterator[dict[str, Any]]:
    """summary.json tells the truth at every moment: `running` at first, then how the work in this context ended, and why."""
    started = time.monotonic()
    write_summary(folder / "summary.json", summary)
    end = {"status": "failed", "error": "unknown"}
    try:
        yield summary
        end = {"status": "finished"}
    except (Interrupted, KeyboardInterrupt) as stopped:
        end = {"status": "interrupted", "error": str(stopped) or "interrupted"}
        raise
    except Exception as failure:
        end = {"status": "failed", "error": str(failure) if isinstance(failure, UserError) else f"{type(failure).__name__}: {failure}"}
        raise
    finally:
        summary |= _result(progress) | summarize_records(read_metrics(folder / "metrics.jsonl"))
        summary |= end | {"seconds": time.monotonic() - started}
        write_summary(folder / "summary.json", summary)


def pick_device(name: str) -> torch.device:
    """`auto` takes CUDA where there is one. Raises UserError for `cuda` without a device."""
    if name == "cuda" and not torch.cuda.is_available():
        built = "this torch is built without CUDA" if torch.version.cuda is None else "torch sees no CUDA device"
        raise UserError(f"device=cuda: {built}. Use device=cpu (or auto), or install a CUDA build of torch and check `nvidia-smi`.")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def pick_split(config: Config, problem: Problem, seed: int) -> Split:
    """The split with number `dataset.split`, or number `seed` modulo how many there are."""
    splits = problem.graph.splits
    number = config.dataset.split
    if number >= len(splits):
        raise UserError(f"dataset.split={number}: {problem.graph.name} has {len(splits)} split(s), numbered from 0. Use -1 to follow the seed.")
    return splits[seed % len(splits) if number < 0 else number]


def _run_all(config: Config, folder: Path) -> dict[str, Any]:
    pick_device(config.device)  # before minutes of loading, not after
    with _environment(config):
        problem = prepare(config, progress=True)
        _log_problem(problem)
        if config.runs == 1:
            return train_once(config, problem, folder, config.seed)
        return _run_many(config, problem, folder)


def _run_many(config: Config, problem: Problem, folder: Path) -> dict[str, Any]:
    summaries: list[dict[str, Any]] = []
    combined: dict[str, Any] = {}
    for number in range(config.runs):
        log.info("Run %d of %d", number + 1, config.runs)
        summaries.append(_one_of_many(config, problem, folder / "runs" / f"{number:02d}", config.seed + number))
        combined = _combine(summaries, "finished" if len(summaries) == config.runs else "running")
        write_summary(folder / "summary.json", combined)
    return combined


def _combine(summaries: list[dict[str, Any]], status: str) -> dict[str, Any]:
    """What the runs share, with mean and standard deviation of what differs."""
    phases = [s["seconds_per_epoch"] for s in summaries]
    return {
        **summaries[0],
        **aggregate_runs(summaries),
        "status": status,
        "seconds": sum(s["seconds"] for s in summaries),
        "seconds_per_epoch": {name: sum(p[name] for p in phases) / len(phases) for name in phases[0]},
        "peak_memory": max(s["peak_memory"] for s in summaries),
        "num_runs": len(summaries),
    }


def _one_of_many(config: Config, problem: Problem, folder: Path, seed: int) -> dict[str, Any]:
    """One of several runs; a finished one of a resumed set is not trained again unless it is to train longer."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "summary.json").exists():
        done = read_summary(folder / "summary.json")
        if done.get("status") == "finished" and done.get("epochs") == config.trainer.epochs:
            return done
    return train_once(config, problem, folder, seed)


def _write_first(config: Config, folder: Path) -> None:
    """The configuration, before anything that takes long: an unwritable folder shows at once."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_config(config, folder / "config.yaml")
    except OSError as error:
        raise UserError(f"Cannot write into the run's folder {folder}: {error.strerror}. Choose another one with hydra.run.dir=DIR.") from error


def _partitioner(config: Config) -> PartitionerConfig:
    """Full batch is the case of one part."""
    if config.method.name == "full_batch":
        return replace(config.partitioner, name="range", num_parts=1, file="", cache="")
    return config.partitioner


@contextlib.contextmanager
def _environment(config: Config) -> Iterator[None]:
    """Determinism for one run; left as it was found, since the jobs of a sweep share a process."""
    before = torch.are_deterministic_algorithms_enabled()
    if config.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what torch asks for before it calls cuBLAS deterministic
        torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def _recorder(config: Config, folder: Path, after: int) -> Recorder:
    """metrics.jsonl always, a bar or lines, and the logger of the configuration; epochs beyond `after` will be recorded anew."""
    recorders: list[Recorder] = [JsonlRecorder(folder / "metrics.jsonl", after), ProgressRecorder(config.trainer.epochs, start=after)]
    if config.logger.name == "tensorboard":
        from gas_cli.report.tensorboard import TensorBoardRecorder

        recorders.append(TensorBoardRecorder(folder / "tensorboard", after))
    return Recorders(recorders)


def _log_problem(problem: Problem) -> None:
    graph, partition = problem.graph, problem.partition
    log.info(
        "%s: %d nodes, %d edges, %d features, %d classes; %d parts, edge cut %.1f %%, halo ratio %.2f",
        graph.name, graph.num_nodes, graph.num_edges, graph.num_features, graph.num_classes,
        partition.num_parts, 100 * partition.quality.edge_cut, partition.quality.halo_ratio,
    )  # fmt: skip


def _describe(config: Config, problem: Problem, trainer: Trainer, seed: int) -> dict[str, Any]:
    """The part of the summary that is known before the first epoch."""
    graph, partition, store = problem.graph, problem.partition, trainer.store
    return {
        "status": "running",
        "dataset": config.dataset.name,
        "model": config.model.name,
        "method": config.method.name,
        "seed": seed,
        "metric": graph.metric.removeprefix("ogb:"),
        "device": str(trainer.device),
        "epochs": config.trainer.epochs,
        "num_nodes": graph.num_nodes,
        "num_edges": graph.num_edges,
        "num_parameters": sum(p.numel() for p in trainer.model.parameters()),
        "history_bytes": store.nbytes if store is not None else 0,
        "history_placement": store.placement if store is not None else "none",
        "partition": {
            "num_parts": partition.num_parts,
            "edge_cut": partition.quality.edge_cut,
            "halo_ratio": partition.quality.halo_ratio,
            "balance": partition.quality.balance,
        },
    }


def _result(progress: Progress) -> dict[str, Any]:
    best = progress.best
    return {"best_epoch": best.epoch, "train": best.train, "val": best.val, "test": best.test}
