"""`curves.png`: loss and metrics over the epochs (the plots extra)."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from gas_cli.config.metrics import METRICS
from gas_cli.report.recorder import read_metrics

log = logging.getLogger(__name__)


def plot_curves(metrics: Path, out: Path) -> bool:
    """Draw a metrics.jsonl; False, with a line in the log, where matplotlib is not installed or nothing was recorded."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        log.info("No %s: it needs an extra, pip install 'gas-cli[plots]'.", out.name)
        return False
    records = read_metrics(metrics)
    if not records:
        log.info("No %s: %s has no epochs.", out.name, metrics.name)
        return False
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    loss, metric = figure.subplots(1, 2)
    _draw(loss, records, ("loss",), "loss")
    _draw(metric, records, ("train", "val", "test"), "metric")
    for name in METRICS:  # the one of evaluation.select
        selected = [{"epoch": record["epoch"], f"val {name}": record[name]["val"]} for record in records if name in record]
        _draw(metric, selected, (f"val {name}",))
    figure.savefig(out, dpi=120, format="png")
    return True


def _draw(axes: Any, records: list[dict[str, Any]], names: tuple[str, ...], title: str = "metric") -> None:
    """One line per name, over the epochs in which it was measured."""
    for name in names:
        points = [(record["epoch"], record[name]) for record in records if record.get(name) is not None]
        if points:
            axes.plot(*zip(*points, strict=True), label=name)
    axes.set_xlabel("epoch")
    axes.set_title(title)
    if axes.lines:
        axes.legend()
    axes.grid(alpha=0.3)
