"""Cases and their variants, measured in turns within the minutes, each variant in a process of its own."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.options import add_root
from benchmarks.processes import in_process
from benchmarks.turns import Budget

Outcomes = dict[str, list[dict[str, Any]]]
"""What was measured of each variant, round by round."""
Task = Callable[[str, str, int, str], dict[str, Any]]
"""What the worker is to do for (case, variant, round, folder of the partitions)."""


def add_cells(parser: argparse.ArgumentParser, cases: Sequence[str], variants: Sequence[str]) -> None:
    """`--root`, `--cases` and `--variants`, all of them unless told otherwise."""
    add_root(parser)
    parser.add_argument("--cases", nargs="+", default=list(cases), choices=list(cases))
    parser.add_argument("--variants", nargs="+", default=list(variants), choices=list(variants))


def without_data(arguments: argparse.Namespace, real: Callable[[str], bool]) -> dict[str, str]:
    """The cases that need the datasets' files where there are none, and why they are left out."""
    return {case: f"{arguments.root} does not exist" for case in arguments.cases if real(case) and not arguments.root.is_dir()}


def measure(
    module: str, cells: Mapping[str, Sequence[str]], task: Task, arguments: argparse.Namespace, told: Callable[[dict[str, Any]], str]
) -> tuple[dict[str, Outcomes], dict[str, str]]:
    """The outcomes of the variants of every case, and why the others are missing: one that is, is not tried again.

    `module` does its tasks as a worker (`--worker`); `told` says of an outcome what is printed of it.
    """
    measured: dict[str, Outcomes] = {case: {variant: [] for variant in variants} for case, variants in cells.items()}
    missing: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="gas-bench-") as cache:
        for number, case in Budget(arguments.minutes).turns(list(measured), arguments.rounds):
            for variant in list(measured[case]):
                outcome = in_process(module, task(case, variant, number, cache))
                if "missing" in outcome:
                    missing[f"{case}, {variant}"] = outcome["missing"]
                    del measured[case][variant]
                    continue
                measured[case][variant].append(outcome)
                print(f"{case}, round {number + 1}, {variant}: {told(outcome)}", file=sys.stderr, flush=True)
    return measured, missing
