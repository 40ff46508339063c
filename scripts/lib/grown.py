"""The runs of a report that grows: what it holds already, and what further trials add to it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from scripts.lib.report import read
from scripts.lib.study import records, run_trials


def kept(arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Of every run in the report in --out, by name: its record, with `figures` and `run`, the fields of what was trained."""
    try:
        found: dict[str, dict[str, Any]] = read(arguments.name, arguments.out).get("trials", {})
    except OSError:  # no report yet
        return {}
    return found


def add(
    runs: dict[str, dict[str, Any]], wanted: Sequence[Any], arguments: argparse.Namespace, figures: Callable[[Path], dict[str, Any]]
) -> None:
    """Train those of the `wanted` runs, dataclasses with a `trial`, that are missing, and put them into `runs`. `figures` reads a run's
    folder, which does not last."""
    found = records(arguments, run_trials([run.trial for run in wanted], arguments))
    for run in wanted:
        name = run.trial.name
        if name in found and "figures" not in found[name]:
            runs[name] = found[name] | {"run": asdict(run), "figures": figures(arguments.work / name)}
