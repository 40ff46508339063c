"""A figure of differences: a row per cell, a mark per variant."""

from __future__ import annotations

import importlib.util
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from scripts.lib.spread import standard_error

MARKS = ("o", "s", "D", "^")


def draw_gaps(gaps: Mapping[str, Mapping[str, Sequence[float]]], label: str, path: Path) -> bool:
    """`gaps[variant][cell]` are the differences of single runs; drawn are their means with the standard error. `label` is that of the axis.

    False where matplotlib is not installed, or there is nothing to draw.
    """
    cells = list(dict.fromkeys(cell for of in gaps.values() for cell in of))
    if not cells or importlib.util.find_spec("matplotlib") is None:
        return False
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 1.2 + 0.3 * len(cells)), layout="constrained")
    axes = figure.subplots()
    axes.axvline(0, color="black", linewidth=0.8)
    for number, (variant, of) in enumerate(gaps.items()):
        rows = [cells.index(cell) + 0.16 * (number - (len(gaps) - 1) / 2) for cell in of]
        means = [statistics.fmean(values) for values in of.values()]
        errors = [standard_error(values) for values in of.values()]
        axes.errorbar(means, rows, xerr=errors, fmt=MARKS[number % len(MARKS)], markersize=5, linewidth=1.2, label=variant)
    axes.set_yticks(range(len(cells)), cells)
    axes.invert_yaxis()
    axes.set_xlabel(label)
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside upper center", ncols=len(gaps), frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, format="png")
    return True
