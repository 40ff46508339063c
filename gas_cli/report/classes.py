"""Precision, recall and F1 of each class, and the confusion matrix: in summary.json, and in the table at the end of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # it needs torch, which a table of results does not
    from gas_cli.passes.class_counts import ClassCounts

KEYS = ("test_classes", "confusion", "confusion_left_out")
COUNTS = ("nodes", "predicted", "correct")
SHOWN, WORST = 20, 10
"""Up to SHOWN classes the table shows all of them, else the WORST by F1."""
LONGEST_NAME = 12


def class_scores(counts: ClassCounts, class_names: Sequence[str]) -> dict[str, Any]:
    """`test_classes`, one entry per class, and `confusion` [C, C], or null with the reason in `confusion_left_out`."""
    names = class_names or [str(number) for number in range(counts.num_classes)]
    columns = zip(names, counts.nodes.tolist(), counts.predicted.tolist(), counts.correct.tolist(), strict=True)
    classes = [_scored(*column) for column in columns]
    if counts.confusion is not None:
        return {"test_classes": classes, "confusion": counts.confusion.tolist()}
    return {"test_classes": classes, "confusion": None, "confusion_left_out": counts.left_out}


def _scored(name: str, nodes: int, predicted: int, correct: int) -> dict[str, Any]:
    """The entry of one class. A class without nodes has no scores; one that was never predicted has no precision."""
    return {
        "name": name,
        "nodes": nodes,
        "predicted": predicted,
        "correct": correct,
        "precision": correct / predicted if nodes and predicted else None,
        "recall": correct / nodes if nodes else None,
        "f1": 2 * correct / (nodes + predicted) if nodes else None,
    }


def pooled_classes(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The same over the test nodes of several runs together; empty where a run has none."""
    if not all(run.get("test_classes") for run in runs):
        return {}
    by_class = zip(*(run["test_classes"] for run in runs), strict=True)
    classes = [_scored(same[0]["name"], *(sum(one[key] for one in same) for key in COUNTS)) for same in by_class]
    if runs[0]["confusion"] is None:
        return {"test_classes": classes, "confusion": None, "confusion_left_out": runs[0]["confusion_left_out"]}
    rows = zip(*(run["confusion"] for run in runs), strict=True)
    return {"test_classes": classes, "confusion": [[sum(entries) for entries in zip(*same, strict=True)] for same in rows]}


def without_classes(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The summary without these entries."""
    return {key: value for key, value in summary.items() if key not in KEYS}


def class_table(summary: Mapping[str, Any]) -> str:
    """Aligned lines about the classes of the test nodes, each ending with a line break; empty where the summary has none.

    Up to 20 classes: all, and on the right the row of the confusion matrix. Else the ten worst, and where the others are.
    """
    classes = summary.get("test_classes")
    if not classes:
        return ""
    if len(classes) > SHOWN:
        scored = sorted((entry for entry in classes if entry["f1"] is not None), key=lambda entry: entry["f1"])
        rows = [_HEADER, *(_row(entry) for entry in scored[:WORST])]
        return _aligned(rows) + f"The {len(rows) - 1} classes of lowest F1 among {len(classes)}; all of them are in summary.json.\n"
    rows = [_row(entry) for entry in classes]
    header, matrix = _HEADER, summary.get("confusion")
    if matrix:
        header = [*_HEADER, "predicted:", *(_short(entry["name"]) for entry in classes)]
        rows = [[*row, "", *map(str, counts)] for row, counts in zip(rows, matrix, strict=True)]
    return _aligned([header, *rows])


_HEADER = ["class", "test nodes", "precision", "recall", "F1"]


def _row(entry: Mapping[str, Any]) -> list[str]:
    scores = ("-" if entry[key] is None else f"{entry[key]:.4f}" for key in ("precision", "recall", "f1"))
    return [_short(entry["name"]), str(entry["nodes"]), *scores]


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """The first column to the left, the others, which are numbers, to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.rjust(width) if number else cell.ljust(width) for number, (cell, width) in enumerate(zip(row, widths, strict=True)))
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines) + "\n"
