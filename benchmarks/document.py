"""Put the benchmarks into docs/benchmarks.md, between its marks, and draw its pictures; only from benchmarks/results/*.json.

    python -m benchmarks.document [--check]

A mark is a line `<!-- benchmark: NAME -->`, up to `<!-- end -->`; NAME is that of a result, `targets`, or `picture NAME`. `--check` changes
nothing and exits with 1 where page or pictures are not what the files say.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import (
    aggregation,
    attention,
    auto_memory,
    convert,
    growth,
    history_placement,
    layers,
    resident_memory,
    sampling,
    shortcuts,
    step_trace,
    time_to_accuracy,
)
from benchmarks.lib import epoch_table, targets
from benchmarks.lib.pictures import PICTURES, digest, digest_of
from scripts.lib import document
from scripts.lib.report import RESULTS, Content, page, read

FOLDER = document.DOCS / "benchmarks"
TABLES: dict[str, Callable[[Content], str]] = {
    "epoch-time": epoch_table.table,
    "aggregation": aggregation.table,
    "attention": attention.table,
    "growth": growth.table,
    "time-to-accuracy": time_to_accuracy.table,
    "layers": layers.table,
    "shortcuts": shortcuts.table,
    "history-placement": history_placement.table,
    "step-trace": step_trace.table,
    "resident-memory": resident_memory.table,
    "auto-memory": auto_memory.table,
    "convert": convert.table,
    "sampling": sampling.table,
}
"""By the name of a result without its device."""


def main(arguments: list[str]) -> int:
    wrong = outdated(RESULTS, FOLDER)
    pictures = [f"docs/benchmarks/{name}.png" for name in wrong]
    code = document.update(
        document.DOCS / "benchmarks.md", lambda page: filled(page, RESULTS), arguments, "python -m benchmarks.document", pictures
    )
    if "--check" not in arguments:
        for name in wrong:
            draw(name, RESULTS, FOLDER)
    return code


def filled(text: str, results: Path) -> str:
    """The page with everything marked as the results have it; what was never measured says so."""
    return document.filled(text, "benchmark", lambda name: body(name, results))


def body(name: str, results: Path) -> str:
    """What stands between a mark and its end."""
    if name == "targets":
        found = {path.stem: read(path.stem, results)["rows"] for path in results.glob("*.json") if path.stem in measured_targets()}
        return targets.table(found)
    if name.startswith("picture "):
        picture = PICTURES[name.removeprefix("picture ")]
        return f"![{picture.title}](benchmarks/{name.removeprefix('picture ')}.png)" if has(picture.result, results) else "No picture yet."
    if not has(name, results):
        return f"Not measured yet: {name}.json is not there."
    table = TABLES[re.sub("-(cpu|cuda)$", "", name)]
    return document.without_title(page(table, read(name, results)))


def measured_targets() -> set[str]:
    return {target.result for target in targets.TARGETS}


def has(name: str, results: Path) -> bool:
    return (results / f"{name}.json").exists()


def outdated(results: Path, folder: Path) -> list[str]:
    """The pictures that are missing, or show other numbers than the results hold."""
    found = []
    for name, picture in PICTURES.items():
        if has(picture.result, results):
            path = folder / f"{name}.png"
            wanted = digest(picture.numbers(read(picture.result, results)["rows"]))
            if not path.exists() or digest_of(path) != wanted:
                found.append(name)
    return found


def draw(name: str, results: Path, folder: Path) -> None:
    picture = PICTURES[name]
    picture.save(read(picture.result, results)["rows"], folder / f"{name}.png")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
