"""Where the results of the measurements are written."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gas_cli.report.machine import describe_machine, machine_line

RESULTS = Path(__file__).parent / "results"

Content = dict[str, Any]
"""`machine` it was measured on, `settings` of the measurement, `rows`."""


def write(
    name: str, rows: list[dict[str, Any]], table: Callable[[Content], str], settings: Mapping[str, Any], results: Path = RESULTS
) -> None:
    """`<name>.json`, and `<name>.md` for people: the table that `table` makes of what the first file holds."""
    content = {"machine": describe_machine(), "settings": dict(settings), "rows": rows}
    results.mkdir(parents=True, exist_ok=True)
    (results / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    text = page(table, read(name, results))
    (results / f"{name}.md").write_text(text, encoding="utf-8")
    print(text)


def read(name: str, results: Path = RESULTS) -> Content:
    """A result; older files have no settings."""
    return {"settings": {}, **json.loads((results / f"{name}.json").read_text(encoding="utf-8"))}


def page(table: Callable[[Content], str], content: Content) -> str:
    """A table and where it was measured."""
    return f"{table(content)}\n\n{machine_line(content['machine'])}\n"


def left_out(missing: Mapping[str, str]) -> list[str]:
    """The lines below a table on what is not in it, and why."""
    return ["", *(f"Left out: {name}: {why}." for name, why in missing.items())] if missing else []


def rounds_of(counts: list[int]) -> str:
    """How often something was measured: `3 rounds`, `2 to 3 rounds`; `no rounds` where every case was left out."""
    if not counts:
        return "no rounds"
    low, high = min(counts), max(counts)
    return f"{low} round{'s' if low > 1 else ''}" if low == high else f"{low} to {high} rounds"
