"""Put the tables of benchmarks/results into docs/results.md, between their marks.

    python -m scripts.document_results [--check]

A mark is a line `<!-- results: NAME -->`; what follows it up to `<!-- end -->` is NAME.md without its title. `--check` changes nothing and
exits with 1 where the page is not what the files say.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from scripts.lib import document
from scripts.lib.report import RESULTS


def main(arguments: list[str]) -> int:
    return document.update(
        document.DOCS / "results.md", lambda page: filled(page, RESULTS), arguments, "python -m scripts.document_results"
    )


def filled(page: str, results: Path) -> str:
    """The page with every marked table as its file has it; a table that was never made says so."""
    return document.filled(page, "results", lambda name: body(results / f"{name}.md"))


def body(file: Path) -> str:
    """A result's Markdown without its title, pictures found from docs/."""
    if not file.exists():
        return f"Not measured yet: {file.name} is not there."
    text = document.without_title(file.read_text(encoding="utf-8"))
    return re.sub(r"(!\[[^]]*\]\()(?!https?:|/)", r"\1../benchmarks/results/", text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
