"""Put the tables of benchmarks/results into docs/results.md, between their marks.

    python scripts/document_results.py [--check]

A mark is a line `<!-- results: NAME -->`; what follows it up to `<!-- end -->` is NAME.md without its title. `--check` changes nothing and
exits with 1 where the page is not what the files say.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "results.md"
RESULTS = ROOT / "benchmarks" / "results"
MARKED = re.compile(r"(<!-- results: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main(arguments: list[str]) -> int:
    page = PAGE.read_text(encoding="utf-8")
    new = filled(page, RESULTS)
    if "--check" in arguments:
        print("up to date" if new == page else "docs/results.md is not what benchmarks/results says: run scripts/document_results.py")
        return int(new != page)
    PAGE.write_text(new, encoding="utf-8")
    return 0


def filled(page: str, results: Path) -> str:
    """The page with every marked table as its file has it; a table that was never made says so."""

    def table(match: re.Match[str]) -> str:
        return f"{match[1]}\n{body(results / f'{match[2]}.md')}\n\n{match[3]}"

    return MARKED.sub(table, page)


def body(file: Path) -> str:
    """A result's Markdown without its title, pictures found from docs/."""
    if not file.exists():
        return f"Not measured yet: {file.name} is not there."
    text = file.read_text(encoding="utf-8").partition("\n")[2].strip()
    return re.sub(r"(!\[[^]]*\]\()(?!https?:|/)", r"\1../benchmarks/results/", text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
