"""Counts by kind and outcome as they grow, and every short case: benchmarks/results/fuzz.json and fuzz.md."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from scripts.lib import report
from tests.fuzz.cases import Result
from tests.fuzz.verdict import OUTCOMES, SHORT

NAME = "fuzz"
FIRST = 1_000_000
"""The first case; those of `make test` are below."""
SUBJECTS = {"inputs": r"\.(csv|npy|npz|parquet|pt)\b", "folders": r"^([\w.]+)", "checkpoints": r": (\w+)"}
"""What a case is about, in its description."""


class Report:
    """Rows by kind and subject; `next` is the first case that was not run."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.next, self.rows = folder, FIRST, list[dict[str, Any]]()
        if (folder / f"{NAME}.json").exists():
            content = report.read(NAME, folder)
            self.next, self.rows = content["settings"]["next"], content["rows"]

    def add(self, result: Result) -> None:
        row = self._row(result["kind"], subject(result))
        row["outcomes"][result["outcome"]] = row["outcomes"].get(result["outcome"], 0) + 1
        if result["outcome"] == SHORT:
            row["short"].append({key: result[key] for key in ("seed", "what", "why")})
        self.next = max(self.next, result["seed"] + 1)

    def shorts(self) -> Iterable[tuple[str, dict[str, Any]]]:
        """(kind, case) of every case that was short; `now` in it is what became of it since."""
        return [(row["kind"], case) for row in self.rows for case in row["short"]]

    def write(self) -> None:
        self.rows.sort(key=lambda row: (row["kind"], row["subject"]))
        report.write(NAME, self.rows, table, {"first": FIRST, "next": self.next}, self.folder)

    def _row(self, kind: str, about: str) -> dict[str, Any]:
        for row in self.rows:
            if (row["kind"], row["subject"]) == (kind, about):
                return row
        self.rows.append({"kind": kind, "subject": about, "outcomes": {}, "short": []})
        return self.rows[-1]


def subject(result: Result) -> str:
    found = re.search(SUBJECTS.get(result["kind"], "$^"), result["what"])
    return found[1] if found else ""


def table(content: report.Content) -> str:
    rows, columns = content["rows"], list(OUTCOMES)
    lines = [
        "# Fuzz suite",
        "",
        "`make fuzz N=5000` damages input files, settings, run folders and checkpoints, and kills trainings. How each case ended:",
        "",
        *(f"- {name}: {meaning}" for name, meaning in OUTCOMES.items()),
        "",
        f"| kind | subject | cases | {' | '.join(columns)} |",
        f"|---|---|---|{'---|' * len(columns)}",
    ]
    for kind in sorted({row["kind"] for row in rows}):
        own = [row for row in rows if row["kind"] == kind]
        lines += [_line(row["subject"], kind, [row], columns) for row in own] if len(own) > 1 else []
        lines.append(_line("all", f"**{kind}**", own, columns))
    shorts = [(row["kind"], case) for row in rows for case in row["short"]]
    lines += [
        "",
        f"Short cases: {len(shorts)}." + (" Run one again with `python -m tests.fuzz --kind KIND --seed SEED`." if shorts else ""),
    ]
    lines += [f"- {kind} {case['seed']}: {_plain(case['what'])}: {_plain(case['why'])}{_now(case)}" for kind, case in shorts]
    return "\n".join(lines)


def _line(about: str, kind: str, rows: list[dict[str, Any]], columns: list[str]) -> str:
    counts = [sum(row["outcomes"].get(name, 0) for row in rows) for name in columns]
    return f"| {kind} | {about} | {sum(counts)} | {' | '.join(map(str, counts))} |"


def _plain(text: str) -> str:
    return re.sub(r"[`*_<|\s]+", " ", text)[:300]


def _now(case: dict[str, Any]) -> str:
    return f" **Now: {case['now']}.**" if "now" in case else ""
