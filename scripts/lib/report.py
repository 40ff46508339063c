"""The files of results: JSON for programs, Markdown for people, CSV where a table is for spreadsheets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gas_cli.files import write_atomically
from gas_cli.report.machine import describe_machine, machine_line
from gas_cli.report.table import comma_separated, markdown

REPOSITORY = Path(__file__).resolve().parents[2]
RESULTS = REPOSITORY / "benchmarks" / "results"

Content = dict[str, Any]
"""`machine` it was measured on, `settings` of the measurement, `rows`; `title` and more from a study."""


def write(
    name: str,
    rows: Sequence[Mapping[str, Any]],
    table: Callable[[Content], str],
    settings: Mapping[str, Any] | None = None,
    results: Path = RESULTS,
    **extra: Any,
) -> None:
    """`<name>.json`, which holds `extra` too, and `<name>.md`: the table that `table` makes of what the first file holds."""
    from gas_cli.report.summary import plain

    head = {"title": extra.pop("title")} if "title" in extra else {}
    given = {} if settings is None else {"settings": dict(settings)}
    content = plain({**head, "machine": describe_machine(), **given, "rows": rows, **extra})
    results.mkdir(parents=True, exist_ok=True)
    write_atomically(results / f"{name}.json", json.dumps(content, indent=1) + "\n")
    text = page(table, read(name, results))
    write_atomically(results / f"{name}.md", text)
    print(text)


def write_report(
    out: Path, name: str, title: str, columns: Sequence[str], rows: Sequence[Mapping[str, Any]], notes: Iterable[str] = (), **extra: Any
) -> None:
    """A study's result: Markdown with the shown `columns` and `notes`, JSON and `<name>.csv` with every column; `extra` is for the JSON."""
    blocks = [f"# {title}", markdown(columns, rows).rstrip(), *notes]
    write(name, rows, lambda content: "\n\n".join(blocks), results=out, title=title, **extra)
    every = list(dict.fromkeys(key for row in rows for key, value in row.items() if not isinstance(value, list | dict)))
    write_atomically(out / f"{name}.csv", comma_separated(every, rows))
    print(f"Written: {', '.join(str(out / f'{name}.{kind}') for kind in ('md', 'csv', 'json'))}")


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
