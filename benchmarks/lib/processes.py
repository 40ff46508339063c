"""Measurements in separate processes, so that each one's peak memory is its own; they take turns."""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Container, Sequence
from typing import Any

from benchmarks.lib.turns import Budget

KILLED = -9
"""The return code of a process that the system stopped, which it does to the largest one where memory runs out."""

Task = dict[str, Any]
Outcome = dict[str, Any]
"""What a process measured; `{"missing": why}` where it could not."""
Name = tuple[str, ...]
"""What is measured: a case, which takes its turn as a whole, and a variant of it where it has some."""
Outcomes = dict[Name, list[Outcome]]
"""Round by round."""


def parse(parser: argparse.ArgumentParser, work: Callable[[Task], Outcome]) -> argparse.Namespace:
    """The command line's options. Called by `in_process`, prints what `work` makes of the task instead, and ends the process."""
    parser.add_argument("--worker", type=json.loads, metavar="TASK", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(work(arguments.worker)))
        parser.exit()
    return arguments


def in_process(module: str, task: Task) -> Outcome:
    """What `python -m module --worker TASK` prints as its last line; `{"missing": why}` where the memory did not suffice.

    Raises SystemExit with the end of its error output where it fails otherwise.
    """
    command = [sys.executable, "-m", module, "--worker", json.dumps(task)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode == KILLED:
        return {"missing": "its process was killed, as happens where memory runs out"}
    if done.returncode:
        raise SystemExit(f"{module} {task} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])  # type: ignore[no-any-return]


def take_turns(
    module: str,
    names: Sequence[Name],
    task: Callable[[Name, int, str], Task],
    arguments: argparse.Namespace,
    said: Callable[[Outcome], str],
) -> tuple[Outcomes, dict[str, str]]:
    """What `module` measured of each name, in `--rounds` over all cases within `--minutes`, and why others are missing.

    `task(name, round, cache)` is what a process is asked for; `cache` is a folder that lasts as long as this. `said` is what is reported
    of an outcome. What is missing once is not tried again; what was measured of it before stays.
    """
    outcomes: Outcomes = {name: [] for name in names}
    missing: dict[str, str] = {}
    turns = Budget(arguments.minutes).turns(list(dict.fromkeys(case for case, *_ in names)), arguments.rounds)
    with tempfile.TemporaryDirectory(prefix="gas-bench-") as cache:
        for number, case in turns:
            for name in (name for name in outcomes if name[0] == case and label(name) not in missing):
                outcome = in_process(module, task(name, number, cache))
                if "missing" in outcome:
                    missing[label(name)] = outcome["missing"]
                    continue
                outcomes[name].append(outcome)
                print(f"{label(name)}, round {number + 1}: {said(outcome)}", file=sys.stderr, flush=True)
    return outcomes, missing


def label(name: Name) -> str:
    return ", ".join(name)


def by_case(outcomes: Outcomes, missing: Container[str]) -> dict[str, dict[str, list[Outcome]]]:
    """The outcomes of each variant of each case, without those that are missing: the others of a case have the same rounds."""
    found: dict[str, dict[str, list[Outcome]]] = {}
    for (case, variant), measured in outcomes.items():
        if label((case, variant)) not in missing:
            found.setdefault(case, {})[variant] = measured
    return found


def peak_memory(device: str) -> int:
    """Bytes: the allocator's peak on CUDA, the process' elsewhere."""
    import torch

    return torch.cuda.max_memory_allocated() if device == "cuda" else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
