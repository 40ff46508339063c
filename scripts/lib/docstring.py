"""Docstrings of the package as Markdown."""

from __future__ import annotations

import inspect
import re

ROW = re.compile(r"([A-Za-z_][\w.]*(?:, [A-Za-z_][\w.]*)*) {2,}(\S.*)")
"""A line of a table: one name or several, two spaces or more, what is to say about it."""


def as_markdown(docstring: str) -> str:
    """A docstring with its tables, lines `name  text` with the rest of the text indented, as lists; the other lines as they are."""
    lines: list[str] = []
    inside = False
    for line in inspect.cleandoc(docstring).splitlines():
        row = ROW.fullmatch(line)
        if row:
            names = ", ".join(f"`{name}`" for name in row[1].split(", "))
            lines += [""] * bool(lines and lines[-1] and not inside) + [f"- {names}: {row[2]}"]
        elif inside and line.startswith(" "):
            lines[-1] += f" {line.strip()}"
        else:
            lines += [""] * bool(inside and line) + [line]
        inside = row is not None or (inside and line.startswith(" "))
    return "\n".join(lines)
