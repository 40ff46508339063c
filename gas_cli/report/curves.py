"""`curves.png`: loss and metrics over the epochs (the plots extra)."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gas_cli.config.metrics import LOSS, SELECTABLE, record_key
from gas_cli.errors import UserError
from gas_cli.report.recorder import read_metrics
from gas_cli.report.summary import read_summary

log = logging.getLogger(__name__)


def plot_curves(metrics: Path, out: Path) -> bool:
    """Draw a metrics.jsonl; False, with a line in the log, where matplotlib is not installed or nothing was recorded.

    The summary.json next to it says what ran, the metric's name and the best epoch; without one they are left out.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        log.info("No %s: it needs an extra, pip install 'gas-cli[plots]'.", out.name)
        return False
    records = read_metrics(metrics)
    if not records:
        log.info("No %s: %s has no epochs.", out.name, metrics.name)
        return False
    summary: dict[str, Any] = {}
    with contextlib.suppress(UserError):  # missing or damaged
        summary = read_summary(metrics.with_name("summary.json"))
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    draw_curves(figure, records, summary)
    figure.savefig(out, dpi=120, format="png")
    return True


def draw_curves(figure: Any, records: list[dict[str, Any]], summary: Mapping[str, Any]) -> None:
    """The loss, and the metrics, into an empty figure of matplotlib."""
    loss, metric = figure.subplots(1, 2)
    _draw(loss, records, ("loss",))
    _draw(metric, records, ("train", "val", "test"))
    for name in SELECTABLE:  # the one of evaluation.select
        key = record_key(name)
        selected = [{"epoch": record["epoch"], f"val {name}": record[key]["val"]} for record in records if key in record]
        _draw(loss if name == LOSS else metric, selected, (f"val {name}",))
    for axes, name in ((loss, "loss"), (metric, str(summary.get("metric", "metric")))):
        _finish(axes, name, summary.get("best_epoch"))
    figure.suptitle(_title(summary))


def _title(summary: Mapping[str, Any]) -> str:
    """What ran: graph, model, method and seed, as far as they are known."""
    what = [str(summary[key]) for key in ("dataset", "model", "method") if key in summary]
    return ", ".join([*what, *([f"seed {summary['seed']}"] if "seed" in summary else [])]).replace("$", r"\$")  # between $ is mathematics


def _draw(axes: Any, records: list[dict[str, Any]], names: tuple[str, ...]) -> None:
    """One line per name, over the epochs in which it was measured."""
    for name in names:
        points = [(record["epoch"], record[name]) for record in records if record.get(name) is not None]
        if points:
            axes.plot(*zip(*points, strict=True), label=name)


def _finish(axes: Any, name: str, best: Any) -> None:
    """Names of the axes, the best epoch as a vertical line, and the legend."""
    if best and axes.lines:  # 0: nothing was evaluated
        axes.axvline(best, color="gray", linestyle="--", linewidth=1, label=f"best epoch {best}")
    axes.set_xlabel("epoch")
    axes.set_ylabel(name)
    if axes.lines:
        axes.legend()
    axes.grid(alpha=0.3)
