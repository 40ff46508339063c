"""Pages of docs/ whose tables come from results: what stands between two marks is made anew.

A mark is a line `<!-- KIND: NAME -->`; what follows it up to `<!-- end -->` is what a function makes of NAME.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from scripts.lib.report import REPOSITORY

DOCS = REPOSITORY / "docs"


def filled(page: str, kind: str, body: Callable[[str], str]) -> str:
    """The page with `body(NAME)` after every mark of this kind."""

    def section(match: re.Match[str]) -> str:
        return f"{match[1]}\n{body(match[2])}\n\n{match[3]}"

    return re.sub(rf"(<!-- {kind}: ([\w -]+) -->\n).*?(<!-- end -->)", section, page, flags=re.DOTALL)


def without_title(text: str) -> str:
    """A result's Markdown as it stands in a page, which has a heading of its own for it."""
    return text.partition("\n")[2].strip()


def update(path: Path, fill: Callable[[str], str], arguments: list[str], command: str, others: list[str] | None = None) -> int:
    """Write the page anew; with --check only compare, and give 1 where the page, or one of the `others`, is not what `command` makes."""
    page = path.read_text(encoding="utf-8")
    new = fill(page)
    if "--check" not in arguments:
        path.write_text(new, encoding="utf-8")
        return 0
    outdated = [f"docs/{path.name}"] * (new != page) + (others or [])
    print("up to date" if not outdated else f"not what benchmarks/results says: {', '.join(outdated)}; run {command}")
    return int(bool(outdated))
