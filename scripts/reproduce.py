"""A ten-minute subset of every table and figure, and one report: what `make reproduce` runs.

    python -m scripts.reproduce [--root DIR] [--work runs/reproduce]

Goes on where it was stopped. A study whose data is not at hand is named in the report, the others go on.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from scripts.lib.command_line import add_choices, make_parser

SCRIPTS = Path(__file__).resolve().parent

# Few seeds, small graphs, few epochs: the shape of each table, not its figures.
SUBSETS: dict[str, tuple[str, ...]] = {
    "table1": ("--runs", "2", "--datasets", "cora", "citeseer", "--models", "gcn", "gat", "appnp"),
    "error": ("--models", "gcn", "appnp", "--depths", "2", "4", "8", "--epochs", "40", "--every", "5"),
    "memory": ("--graphs", "ogbn-arxiv", "--scale", "0.02"),
    "large": ("--datasets", "flickr", "ogbn-arxiv", "--scale", "0.01", "--epochs", "3"),
    "overhead": ("--ratios", "0", "1", "4", "--nodes", "1000", "--intra", "30", "--hidden", "64", "--repeats", "5"),
    "ablation": ("--runs", "1", "--cases", "appnp-cora", "gin-cluster", "--graphs", "48", "--set", "trainer.epochs=60"),
}


def main() -> int:
    parser = make_parser(__doc__, "--root", "--work", name="reproduce")
    add_choices(parser, "--only", SUBSETS)
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    outcomes = {name: study(name, arguments) for name in arguments.only}
    report = arguments.work / "report.md"
    report.write_text(text(outcomes, arguments.work), encoding="utf-8")
    print(f"\nReport: {report}")
    return int(any(code for code, _ in outcomes.values()))


def study(name: str, arguments: argparse.Namespace) -> tuple[int, float]:
    """Run one script on its subset; its exit code and seconds. Ctrl-C stops the whole: what is finished stays."""
    print(f"\n{name}: {' '.join(SUBSETS[name])}", flush=True)
    command = [sys.executable, str(SCRIPTS / f"{name}.py"), *SUBSETS[name], "--root", str(arguments.root)]
    started = time.monotonic()
    done = subprocess.run([*command, "--work", str(arguments.work / name), "--out", str(arguments.work)], check=False)
    if done.returncode == 130:
        sys.exit(130)
    return done.returncode, time.monotonic() - started


def text(outcomes: dict[str, tuple[int, float]], work: Path) -> str:
    """The report: every table that was made, and what failed."""
    parts = ["# A subset of every table and figure", "Few seeds, small graphs, few epochs: the shape of each, not its figures."]
    for name, (code, seconds) in outcomes.items():
        made = work / f"{name}.md"
        table = made.read_text(encoding="utf-8").replace("# ", "## ", 1).strip() if made.exists() else f"## {name}\n\nNothing was made."
        parts += [table, f"`{name}.py {' '.join(SUBSETS[name])}`: exit code {code}, {seconds:.0f} s."]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.exit(main())
