"""Peak memory by stage, as a run's summary and its last log line have it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gas_cli.measure.memory import can_restart
from gas_cli.prepared.problem import Problem
from gas_cli.training.trainer import Trainer

KINDS = ("resident", "device", "processes", "data")


def memory_summary(problem: Problem, trainer: Trainer) -> dict[str, Any]:
    """Bytes: `resident`, the process's peak in each stage so far, after its size at the `start`; on CUDA also `device`, the allocator's
    peaks in training; `processes`, the peak of METIS' own; `data`, what training reads and keeps.

    `cumulative` says that the system does not restart peaks: each is then the largest until the end of its stage.
    """
    peaks, tables = trainer.memory.peaks, {name: tables.nbytes for name, tables in trainer.method.tables.items()}
    return {
        "cumulative": not can_restart(),
        "resident": {**problem.memory.stages, **peaks["resident"]},
        **({"device": dict(peaks["device"])} if "device" in peaks else {}),
        "processes": dict(problem.memory.processes),
        "data": {**problem.nbytes, "histories": 0, **tables},
    }


def highest(memory: Mapping[str, Any]) -> int:
    """The largest peak: on the device where there is one, else of the process."""
    return max((memory.get("device") or memory["resident"]).values(), default=0)


def largest(memories: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of several runs, every figure's largest value."""
    kinds = {kind: [memory[kind] for memory in memories if kind in memory] for kind in KINDS}
    merged = {kind: {name: max(f.get(name, 0) for f in found) for name in _names(found)} for kind, found in kinds.items() if found}
    return {"cumulative": any(memory["cumulative"] for memory in memories), **merged}


def memory_line(memory: Mapping[str, Any]) -> str:
    """One line for the log."""
    kind = "cumulative, because this system cannot reset peaks" if memory["cumulative"] else "of the process"
    if any(memory["resident"].values()):
        line = f"Peak memory by stage, {kind}: {_mebibytes(memory['resident'])}"
    else:  # Windows
        line = "Peak memory by stage: this system does not tell the process's"
    if memory["processes"]:
        line += f"; other processes: {_mebibytes(memory['processes'])}"
    if memory.get("device"):
        line += f"; on the device: {_mebibytes(memory['device'])}"
    return f"{line}; the data is {_mebibytes(memory['data'])} MiB."


def _mebibytes(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {size / 2**20:.0f}" for name, size in sizes.items())


def _names(found: Sequence[Mapping[str, int]]) -> list[str]:
    """In the order of their first appearance."""
    return list(dict.fromkeys(name for figures in found for name in figures))
