"""python -m benchmarks.check_time --report FILE [--commits N] [--run K]: how long `make check` takes, for the last N commits.

FILE is what `make test REPORT=FILE` has written: seconds by test. Of every commit, the test files that `make check` selects and their
seconds by that table; K of the commits (spread evenly, by those seconds) are really checked, in a separate checkout; what fails there
is reported, and the exit code is 1. The table by file is what `make check` decides by from then on: benchmarks/results/check-time.json.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from scripts.lib import report
from scripts.lib.command_line import make_parser, run_script
from tests.touched import LIMIT, ROOT, SECONDS, Sources, check_command, choose

PROCESSES = 2
LINT = (
    ("-m", "ruff", "check", "."),
    ("-m", "ruff", "format", "--check", "."),
    ("-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"),
    ("-m", "mypy"),
)


def seconds_by_file(report: Path) -> dict[str, float]:
    """Seconds of every test file, fixtures included, of a JUnit report by pytest."""
    found: dict[str, float] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        file = case.get("classname", "").replace(".", "/") + ".py"
        found[file] = found.get(file, 0.0) + float(case.get("time", 0))
    return {file: round(seconds, 2) for file, seconds in sorted(found.items())}


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--report", type=Path, help="JUnit report of a run of all tests; without it the last table stays")
    parser.add_argument("--commits", type=int, default=30)
    parser.add_argument("--run", type=int, default=3)
    options = parser.parse_args()
    seconds = seconds_by_file(options.report) if options.report else report.read(SECONDS.stem)["settings"]["seconds"]
    mean = statistics.mean(seconds.values())
    rows = [row_of(commit, seconds, mean) for commit in git("rev-list", "--no-merges", f"-{options.commits}", "HEAD").split()]
    by_time = sorted((row for row in rows if row["run"]), key=lambda row: row["estimate"])
    for number in range(options.run):
        row = by_time[(2 * number + 1) * len(by_time) // (2 * options.run)]
        row["checked"], row["failed"] = check(row)
        print(f"{row['commit']}: {row['checked']} s", *row["failed"], sep="\n  failed: ", flush=True)
    report.write(SECONDS.stem, rows, table, {"seconds": seconds, "limit": LIMIT, "processes": PROCESSES})
    if any(row.get("failed") for row in rows):
        sys.exit(1)


def row_of(commit: str, seconds: dict[str, float], mean: float) -> dict[str, Any]:
    """What `make check` would select for a commit, were it not committed yet."""
    with unpacked(commit) as folder:
        sources = Sources.of(folder)
    changed = git("diff", "--name-only", "--no-renames", f"{commit}~1", commit).splitlines()
    by_name = {file.rpartition("/")[2]: number for file, number in seconds.items()}  # a file may have moved since
    choice = choose(
        sources.tests(),
        sources.steps(changed),
        lambda test: seconds.get(test, by_name.get(test.rpartition("/")[2], mean)),
        LIMIT,
        PROCESSES,
    )
    return {
        "commit": commit[:7],
        "subject": git("log", "-1", "--format=%s", commit).strip(),
        "changed": len(changed),
        "run": choice.run,
        "left": len(choice.left),
        "estimate": round(choice.seconds, 1),
    }


@contextmanager
def unpacked(commit: str) -> Iterator[Path]:
    """The files of a commit, in a folder that goes."""
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=True).stdout
    with tempfile.TemporaryDirectory(prefix="check-time-") as folder:
        with tarfile.open(fileobj=BytesIO(archive)) as files:
            files.extractall(folder, filter="data")
        yield Path(folder)


def check(row: dict[str, Any]) -> tuple[dict[str, float], list[str]]:
    """Seconds of lint and types, and of the tests, for a commit, and what failed. The caches are warm, as after an earlier check."""
    tests = tuple(check_command(row["run"], row["estimate"], PROCESSES))
    with unpacked(row["commit"]) as folder:
        timed(folder, *LINT)  # a first check makes the caches
        parts = {"lint and types": timed(folder, *LINT), "tests": timed(folder, tests)}
    return {name: seconds for name, (seconds, _) in parts.items()}, [failure for _, failures in parts.values() for failure in failures]


def timed(folder: Path, *commands: tuple[str, ...]) -> tuple[float, list[str]]:
    """Seconds of the commands, which are arguments of Python, in `folder`; of each that failed, its code and last line of output."""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    failures = list[str]()
    started = time.monotonic()
    for command in commands:
        words = [sys.executable, *command]
        done = subprocess.run(words, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            last = next((line for line in reversed(done.stdout.splitlines()) if line.strip()), "no output")
            failures.append(f"{' '.join(command)[:60]}: exit code {done.returncode}: {last.strip()}")
    return round(time.monotonic() - started, 1), failures


def table(content: report.Content) -> str:
    rows, settings = content["rows"], content["settings"]
    checked = [row for row in rows if "checked" in row]
    over = statistics.median(sum(row["checked"].values()) - row["estimate"] for row in checked) if checked else 0.0
    totals = [row["estimate"] + over for row in rows]
    lines = [
        "# Seconds of `make check`",
        "",
        f"The last {len(rows)} commits: what the check would have run before each, with seconds by file from a run of the whole suite on "
        f"{settings['processes']} processes, coverage included. Tests may take {settings['limit']:.0f} s by that table; what is touched "
        "and does not fit in is left to `make test`. `checked`: really run, without coverage; lint and types + tests; then what "
        "failed, which may have ended early.",
        "",
        f"Median {statistics.median(totals):.0f} s, longest {max(totals):.0f} s"
        + (f", {over:+.0f} s included: the median of what the checked ones took beyond the table." if checked else ", by the table only."),
        "",
        "| commit | | files changed | test files run | left | tests by the table | checked |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        took = " + ".join(f"{number:.0f}" for number in row.get("checked", {}).values())
        took += "".join(f"; failed: {failure}" for failure in row.get("failed", ())).replace("|", "/")
        lines.append(
            f"| {row['commit']} | {row['subject'][:60].replace('|', '/')} | {row['changed']} | {len(row['run'])} | {row['left']} "
            f"| {row['estimate']:.0f} | {took} |"
        )
    return "\n".join(lines)


def git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    run_script(main)
