"""`summary.json`: what a sweep or a table reads about a run; strict JSON, replaced atomically."""

from __future__ import annotations

import json
import math
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gas_cli.errors import UserError
from gas_cli.files import write_atomically

NUMBERS = re.compile(r"\[\n[^\[\]{}\"]*\]")
"""A list of numbers in indented JSON; text in JSON has no line breaks, so that none of it can look like one."""


def write_summary(path: Path, summary: Mapping[str, Any]) -> None:
    """Replace the file. Numbers that JSON does not know (NaN, infinities) become null; a list of numbers is one line. Raises `OSError`."""
    text = json.dumps(plain(summary), indent=2)
    write_atomically(path, NUMBERS.sub(lambda found: " ".join(found[0].split()), text) + "\n")


def read_summary(path: Path) -> dict[str, Any]:
    """Raises `UserError` for a file that is missing, cut short or not a summary."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from error
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}): it was cut short or edited by mistake.") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is not a summary: expected a JSON object.")
    return content


def plain(value: Any) -> Any:
    """`value` with what strict JSON can hold: finite numbers, strings, lists and objects; 0-d arrays and tensors become numbers."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Path):
        return str(value)
    number = value if isinstance(value, float) else value.item()
    return number if not isinstance(number, float) or math.isfinite(number) else None


def mean_and_std(values: Iterable[float | None]) -> tuple[float | None, float | None]:
    """Mean and sample standard deviation (divisor n - 1; 0 for one value) of the values that exist; None without any."""
    present = [value for value in values if value is not None and math.isfinite(value)]
    if not present:
        return None, None
    return statistics.fmean(present), statistics.stdev(present) if len(present) > 1 else 0.0


def aggregate_runs(runs: Sequence[Mapping[str, Any]], keys: Sequence[str] = ("train", "val", "test")) -> dict[str, Any]:
    """For a run of several seeds: each key's mean under its own name, the standard deviations under `std`, all under `runs`."""
    statistics_of = {key: mean_and_std(run.get(key) for run in runs) for key in keys}
    means = {key: mean for key, (mean, _) in statistics_of.items()}
    return {**means, "std": {key: std for key, (_, std) in statistics_of.items()}, "runs": [dict(run) for run in runs]}
