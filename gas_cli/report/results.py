"""The table at the end of a run: each metric at the best epoch and at the last one, as mean ± std over several runs, and the classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gas_cli.report.classes import class_table
from gas_cli.report.summary import mean_and_std

SPLITS = ("train", "val", "test")


def last_evaluation(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """`epoch`, `train`, `val` and `test` of the last record in metrics.jsonl that was evaluated; empty without one."""
    evaluated = next((record for record in reversed(records) if "val" in record), None)
    return {} if evaluated is None else {key: evaluated.get(key) for key in ("epoch", *SPLITS)}


def is_last(value: Any) -> bool:
    """Whether `value`, read from a file, is what `last_evaluation` gives."""
    if not isinstance(value, dict) or not value:
        return value == {}
    metrics = [value.get(split) for split in SPLITS]
    return type(value.get("epoch")) is int and all(metric is None or type(metric) in (int, float) for metric in metrics)


def combine_last(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """`last`: the mean of several runs' last evaluations, `last_std` its sample standard deviation; the epoch is the highest."""
    if not runs:
        return {}
    found = {split: mean_and_std(run[split] for run in runs) for split in SPLITS}
    last = {"epoch": max(run["epoch"] for run in runs), **{split: mean for split, (mean, _) in found.items()}}
    return {"last": last, "last_std": {split: std for split, (_, std) in found.items()}}


def combine_selected(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """`selected`: the mean of several runs' values of `evaluation.select` at their best epochs, `selected_std` its standard deviation."""
    if not runs:
        return {}
    found = {split: mean_and_std(run.get(split) for run in runs) for split in SPLITS}
    means, stds = ({split: values[index] for split, values in found.items()} for index in (0, 1))
    return {"selected": means, "selected_std": stds}


def chosen_by(summary: Mapping[str, Any]) -> float | None:
    """The validation metric that chose the best epoch of a run, or its mean over several; None where it was not measured."""
    value = (summary.get("selected") or summary).get("val")
    return None if value is None else float(value)


def results_table(summary: Mapping[str, Any]) -> str:
    """Aligned lines, each ending with a line break; empty for a run that was never evaluated. `summary` is that of summary.json."""
    last = summary.get("last")
    if not last:
        return ""
    runs = summary.get("num_runs", 0)
    best, at_last = f"best epoch {summary.get('best_epoch')}", f"last epoch {last['epoch']}"
    if runs:  # each at an epoch of its own
        best, at_last = f"best epoch, mean ± std of {runs} {'folds' if summary.get('folds') else 'runs'}", "last epoch, mean ± std"
    rows = [(str(summary.get("metric", "metric")), best, at_last)]
    std, last_std = summary.get("std") or {}, summary.get("last_std") or {}
    rows += [(split, _result(summary.get(split), std.get(split)), _result(last.get(split), last_std.get(split))) for split in SPLITS]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines) + "\n" + _selection(summary) + class_table(summary)


def _selection(summary: Mapping[str, Any]) -> str:
    """One line about the metric that chose the best epoch, where that is not the one of the table."""
    selected, std = summary.get("selected"), summary.get("selected_std") or {}
    if not selected:
        return ""
    values = ", ".join(f"{split} {_result(selected.get(split), std.get(split))}" for split in SPLITS)
    return f"Best epoch by {summary.get('select')} on the validation nodes: {values}\n"


def _result(value: float | None, std: float | None) -> str:
    if value is None:
        return "-"  # no nodes in this part of the split
    return f"{value:.4f}" + ("" if std is None else f" ± {std:.4f}")
