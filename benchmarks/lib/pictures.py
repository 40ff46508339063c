"""The pictures of docs/benchmarks.md, drawn only from results. Each file carries a digest of the numbers that it shows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.lib.cases import VARIANTS

Rows = list[dict[str, Any]]
KEY = "Digest"
"""The text field of a PNG file under which the digest stands."""


@dataclass(frozen=True)
class Picture:
    """`numbers` of a result's rows (empty: nothing to draw), and how `draw` puts them onto a figure."""

    result: str
    title: str
    numbers: Callable[[Rows], dict[str, Any]]
    draw: Callable[[Any, dict[str, Any]], None]

    def save(self, rows: Rows, path: Path) -> None:
        from matplotlib.figure import Figure

        numbers = self.numbers(rows)
        figure = Figure(figsize=(8, 3.5), layout="constrained")
        self.draw(figure, numbers)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=110, format="png", metadata={KEY: digest(numbers), "Software": None})


def digest(numbers: dict[str, Any]) -> str:
    return hashlib.blake2b(json.dumps(numbers, sort_keys=True).encode(), digest_size=16).hexdigest()


def digest_of(path: Path) -> str:
    """That of the numbers in a picture's file."""
    from PIL import Image

    with Image.open(path) as image:
        return str(image.info[KEY])


def epoch_ratios(rows: Rows) -> dict[str, Any]:
    """Of every case, seconds of an epoch to those of PyG on edge_index, by variant."""
    cases: dict[str, dict[str, float]] = {}
    for row in rows:
        if "ratio_to_pyg" in row and row["variant"] != "pyg":
            cases.setdefault(row["case"], {})[row["variant"]] = round(row["ratio_to_pyg"], 4)
    return cases


def colour(variant: str) -> str:
    """The same in every picture."""
    return f"C{VARIANTS.index(variant)}"


def legend_below(figure: Any, axes: Any) -> None:
    """A legend of `axes` that hides none of the numbers."""
    handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4, fontsize="small")


def draw_ratios(figure: Any, cases: dict[str, Any]) -> None:
    figure.set_size_inches(8, 1 + 0.16 * sum(len(found) + 1 for found in cases.values()))
    axes, place, ticks = figure.subplots(), 0.0, []
    for found in cases.values():
        for variant, value in found.items():
            axes.barh(place, value, height=0.9, color=colour(variant), label=variant)
            place += 1
        ticks.append(place - 0.5 - len(found) / 2)
        place += 1
    axes.set_yticks(ticks, list(cases))
    axes.invert_yaxis()
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel("seconds per epoch, to PyG full batch on edge_index")
    axes.margins(y=0.01)
    axes.grid(axis="x", alpha=0.3)
    legend_below(figure, axes)


def grown(rows: Rows) -> dict[str, Any]:
    """Of every size: edges, nanoseconds per edge, MiB of a step."""
    return {
        "edges": [row["edges"] for row in rows],
        "epoch, ns per edge": [round(1e9 * row["seconds"] / row["edges"], 2) for row in rows],
        "memory of a step, MiB": [round(row["step_memory"] / 2**20, 2) for row in rows],
        "METIS, ns per edge": [round(1e9 * row["prepared"]["metis"] / row["edges"], 2) for row in rows],
        "building batches, ns per edge": [round(1e9 * row["building"] / row["edges"], 2) for row in rows],
    }


def draw_growth(figure: Any, numbers: dict[str, Any]) -> None:
    time, memory = figure.subplots(1, 2)
    for name in ("epoch, ns per edge", "METIS, ns per edge", "building batches, ns per edge"):
        time.plot(numbers["edges"], numbers[name], marker="o", label=name.partition(",")[0])
    time.set_ylabel("ns per edge")
    memory.plot(numbers["edges"], numbers["memory of a step, MiB"], marker="o")
    memory.set_ylabel("memory of a step, MiB")
    for axes in (time, memory):
        axes.set_xlabel("edges")
        axes.set_xscale("log", base=2)
        axes.set_ylim(0, 1.1 * axes.get_ylim()[1])
        axes.grid(alpha=0.3)
    time.legend(fontsize="small")


def accuracy_curves(rows: Rows) -> dict[str, Any]:
    """Of every case and variant, (seconds, validation accuracy) of the first seed's epochs."""
    curves: dict[str, dict[str, Any]] = {}
    for row in rows:
        points = [(round(seconds, 3), round(val, 4)) for seconds, val, _ in row["curves"][0]]
        curves.setdefault(row["case"], {"threshold": row["accuracy"]})[row["variant"]] = points
    return curves


def draw_curves(figure: Any, curves: dict[str, Any]) -> None:
    panels = figure.subplots(1, len(curves), squeeze=False)[0]
    for axes, (case, found) in zip(panels, curves.items(), strict=True):
        for variant, points in found.items():
            if variant != "threshold":
                axes.plot(*zip(*points, strict=True), label=variant, color=colour(variant))
        axes.axhline(found["threshold"], color="black", linewidth=0.8)
        axes.set_title(case, fontsize="small")
        axes.set_xscale("log")
        axes.set_xlabel("seconds of training")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("validation accuracy")
    legend_below(figure, panels[0])


PICTURES: dict[str, Picture] = {
    "epoch-ratios": Picture("epoch-time-cpu", "Seconds per epoch, to PyG full batch on edge_index", epoch_ratios, draw_ratios),
    "growth": Picture("growth-cpu", "Seconds per edge and memory of a step as the graph grows", grown, draw_growth),
    "time-to-accuracy": Picture("time-to-accuracy-cpu", "Validation accuracy over seconds of training", accuracy_curves, draw_curves),
}
