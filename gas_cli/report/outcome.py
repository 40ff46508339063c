"""How a run ended and what it brought: the contents of summary.json, kept true from the first moment to the last."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from gas_cli.config.dataset import GIVEN, DatasetConfig
from gas_cli.config.method import MethodConfig
from gas_cli.config.model import ModelConfig
from gas_cli.errors import Interrupted, UserError, told
from gas_cli.graph.graph import Graph
from gas_cli.prepared.problem import Problem
from gas_cli.report.classes import class_scores, pooled_classes, without_classes
from gas_cli.report.memory import highest, largest, memory_summary
from gas_cli.report.phases import summarize_records
from gas_cli.report.recorder import read_metrics
from gas_cli.report.results import combine_last, combine_selected, is_last, last_evaluation
from gas_cli.report.summary import aggregate_runs, plain, read_summary, write_summary
from gas_cli.training.progress import Best
from gas_cli.training.trainer import Trainer


@contextlib.contextmanager
def summarized(folder: Path, summary: dict[str, Any], result: Callable[[], dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """summary.json tells the truth at every moment: `running` at first, then how the work in this context ended, and why.

    `result` gives what the work has brought by then. `seconds` add to those that `summary` brings along. An OSError becomes a UserError.
    """
    started, path, before = time.monotonic(), folder / "summary.json", summary.get("seconds", 0.0)

    def end(status: str, **error: str) -> None:
        summary.update({"seconds": before + time.monotonic() - started} | result() | {"status": status} | error)
        write_summary(path, summary)

    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_summary(path, summary | {"status": "running"})
        yield summary
        end("finished")
    except (Interrupted, KeyboardInterrupt) as stopped:
        with contextlib.suppress(OSError):  # what happened matters more than that it cannot be written down
            end("interrupted", error=str(stopped) or "interrupted")
        raise
    except OSError as failure:
        unwritable = _unwritable(folder, failure)
        with contextlib.suppress(OSError):
            end("failed", error=str(unwritable))
        raise unwritable from failure
    except Exception as failure:
        with contextlib.suppress(OSError):
            end("failed", error=told(failure))
        raise


def _unwritable(folder: Path, error: OSError) -> UserError:
    """While a run trains it reads no file and writes only its own: an OSError is a full disk, or a folder taken away."""
    return UserError(
        f"Cannot write into the run's folder {folder}: {error.strerror or error}. Free space (or make the folder writable), "
        f"then continue with: gas-train resume={folder}"
    )


def named(dataset: DatasetConfig, model: ModelConfig, method: MethodConfig, graph: Graph, seed: int) -> dict[str, Any]:
    """The first part of the summary: what runs. A graph that a program has given has its own name, a user's graph that of its path."""
    return {
        "status": "running",
        "dataset": graph.name if dataset.name == GIVEN else dataset.title,
        "model": model.name,
        "method": method.name,
        "seed": seed,
    }


def describe(problem: Problem, trainer: Trainer) -> dict[str, Any]:
    """The further part of the summary that is known before the first epoch."""
    graph, partition, histories = problem.graph, problem.partition, trainer.histories
    return {
        "task": graph.task,
        "metric": "accuracy" if graph.metric.startswith("ogb:") else graph.metric,
        **({"select": trainer.evaluator.select} if trainer.evaluator.select else {}),
        "device": str(trainer.device),
        "epochs": trainer.config.trainer.epochs,
        "average": trainer.config.trainer.average,
        "num_nodes": graph.num_nodes,
        "num_edges": graph.num_edges,
        **({"classes": list(graph.class_names)} if graph.class_names else {}),
        "num_parameters": sum(p.numel() for p in trainer.model.parameters()),
        "history_bytes": histories.nbytes if histories is not None else 0,
        "history_bytes_per_node": histories.bytes_per_node if histories is not None else 0,
        "history_placement": histories.placement if histories is not None else "none",
        "memory": memory_summary(problem, trainer),
        "partition": {
            "num_parts": partition.num_parts,
            "train_parts": problem.train_parts,
            "edge_cut": partition.quality.edge_cut,
            "halo_ratio": partition.quality.halo_ratio,
            "balance": partition.quality.balance,
        },
    }


def seconds_before(folder: Path) -> float:
    """What earlier processes spent on the run in `folder`: by its summary, or where the last one was killed, at least by its epochs."""
    told, metrics = 0.0, folder / "metrics.jsonl"
    with contextlib.suppress(UserError, TypeError, ValueError):  # missing or damaged: it is about to be written anew
        told = float(read_summary(folder / "summary.json").get("seconds", 0.0))
    records = read_metrics(metrics) if metrics.exists() else []
    spent = sum(record["seconds"]["total"] for record in records)  # of lines that a checkpoint vouches for
    return max(told, spent) if math.isfinite(told) else float(spent)


def result(trainer: Trainer, metrics: Path) -> dict[str, Any]:
    """The part of the summary that is known at the end."""
    memory = memory_summary(trainer.problem, trainer)
    lines = read_metrics(metrics) if metrics.exists() else []
    records = summarize_records(lines) | {"last": last_evaluation(lines)}
    measured = _measured(trainer.progress.best, trainer.problem.graph.class_names)
    return measured | records | {"memory": memory, "peak_memory": max(highest(memory), records.get("peak_memory", 0))}


def is_result_of(summary: dict[str, Any], best: Best, class_names: Sequence[str]) -> bool:
    """Whether a finished run's summary says what its checkpoint says, and has all that `combine` reads."""
    phases = summary.get("seconds_per_epoch")
    numbers = [summary.get("seconds"), summary.get("peak_memory"), *(phases.values() if isinstance(phases, dict) else [None])]
    same = all(summary.get(key) == value for key, value in plain(_measured(best, class_names)).items()) and is_last(summary.get("last"))
    return same and all(type(number) in (int, float) for number in numbers) and isinstance(summary.get("memory"), dict)


def _measured(best: Best, class_names: Sequence[str]) -> dict[str, Any]:
    metrics: dict[str, Any] = {"best_epoch": best.epoch, "train": best.train, "val": best.val, "test": best.test}
    metrics |= {} if best.selected is None else {"selected": dict(best.selected)}
    return metrics | ({"test_classes": None} if best.counts is None else class_scores(best.counts, class_names))


def combine(summaries: list[dict[str, Any]]) -> dict[str, Any]:
    """What the runs share, with mean and standard deviation of what differs; nothing before the first has finished.

    The counts of the classes are added up; those of each run stand in its own summary.json only.
    """
    if not summaries:
        return {}
    phases = [s["seconds_per_epoch"] for s in summaries]
    return {
        **without_classes(summaries[0]),
        **pooled_classes(summaries),
        **aggregate_runs([without_classes(summary) for summary in summaries]),
        **combine_selected([s["selected"] for s in summaries if s.get("selected")]),
        **combine_last([s["last"] for s in summaries if s.get("last")]),
        "seconds": sum(s["seconds"] for s in summaries),
        "seconds_per_epoch": {name: sum(p[name] for p in phases) / len(phases) for name in phases[0]},
        "peak_memory": max(s["peak_memory"] for s in summaries),
        "memory": largest([s["memory"] for s in summaries if "memory" in s]),
        "num_runs": len(summaries),
    }
