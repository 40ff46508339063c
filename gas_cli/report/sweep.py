"""The table of a multirun: one row per job, then mean ± std over the jobs that differ by their seed alone.

Everything is read from the jobs' folders, so it is the same for every launcher, and complete when jobs failed or were interrupted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gas_cli.config.compose import load_overrides
from gas_cli.errors import UserError
from gas_cli.files import write_atomically
from gas_cli.report.summary import mean_and_std, read_summary
from gas_cli.report.table import comma_separated, markdown

COLUMNS = ("job", "overrides", "status", "val", "test", "seconds")
CSV_COLUMNS = ("job", "overrides", "status", "val", "val_std", "test", "test_std", "seconds", "error")
MEASURES = ("val", "test")


@dataclass(frozen=True)
class JobRow:
    """One job. `std` is that of its own repetitions (`runs` > 1)."""

    name: str
    overrides: list[str]
    status: str
    val: float | None = None
    test: float | None = None
    seconds: float | None = None
    error: str = ""
    std: dict[str, float] | None = None


def report_sweep(folder: Path) -> str:
    """Write sweep.md and sweep.csv into `folder` and return the text for the terminal; nothing for a sweep
    that started no job. Raises `UserError` if they cannot be written."""
    jobs = read_jobs(folder)
    if not jobs:
        return ""
    means = seed_means(jobs)
    rows = [_row(job) for job in jobs]
    table = markdown(COLUMNS, [_shown(row) for row in [*rows, *means]])
    errors = "".join(f"- job {job.name} {job.status}: {' '.join(job.error.split())}\n" for job in jobs if job.error)
    try:
        write_atomically(folder / "sweep.md", f"{table}\n{errors}" if errors else table)
        write_atomically(folder / "sweep.csv", comma_separated(CSV_COLUMNS, [*rows, *means]))
    except OSError as error:
        raise UserError(f"Cannot write the table of the sweep into {folder}: {error.strerror}.") from error
    return f"\n{table}\n{errors}Sweep folder: {folder}\n"


def read_jobs(folder: Path) -> list[JobRow]:
    """The jobs in the subfolders of a sweep, in the order of their numbers."""
    folders = [path.parent.parent for path in folder.rglob(".hydra/overrides.yaml")]
    return [_read_job(path, str(path.relative_to(folder))) for path in sorted(folders, key=_by_number)]


def seed_means(jobs: Sequence[JobRow]) -> list[dict[str, Any]]:
    """One row per set of at least two finished jobs whose overrides differ by `seed=` alone."""
    groups: dict[tuple[str, ...], list[JobRow]] = {}
    for job in jobs:
        key = tuple(item for item in job.overrides if not item.startswith("seed="))
        if job.status == "finished" and len(key) < len(job.overrides):
            groups.setdefault(key, []).append(job)
    return [_mean_row(key, group) for key, group in groups.items() if len(group) > 1]


def _read_job(folder: Path, name: str) -> JobRow:
    overrides = load_overrides(folder / ".hydra" / "overrides.yaml")
    try:
        summary = read_summary(folder / "summary.json")
    except UserError:  # killed before it could write one
        return JobRow(name, overrides, "unfinished", error=f"no summary.json in {folder}")
    measures = {key: summary.get(key) for key in (*MEASURES, "seconds")}
    status = str(summary.get("status", "unfinished"))
    error = "" if status == "finished" else str(summary.get("error", ""))
    return JobRow(name, overrides, status, error=error, std=summary.get("std"), **measures)


def _row(job: JobRow) -> dict[str, Any]:
    std = job.std or {}
    measured = {"val": job.val, "val_std": std.get("val"), "test": job.test, "test_std": std.get("test"), "seconds": job.seconds}
    return {"job": job.name, "overrides": " ".join(job.overrides), "status": job.status, "error": job.error, **measured}


def _mean_row(key: tuple[str, ...], jobs: Sequence[JobRow]) -> dict[str, Any]:
    row: dict[str, Any] = {"job": "mean", "overrides": " ".join(key), "status": f"{len(jobs)} seeds"}
    for name in MEASURES:
        row[name], row[f"{name}_std"] = mean_and_std(getattr(job, name) for job in jobs)
    row["seconds"], _ = mean_and_std(job.seconds for job in jobs)
    return row


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """A row for people: `0.8123 ± 0.0045` in one cell."""
    cells = dict(row)
    for name in MEASURES:
        if row[name] is not None:
            cells[name] = f"{row[name]:.4f}" + (f" ± {row[f'{name}_std']:.4f}" if row[f"{name}_std"] is not None else "")
    cells["seconds"] = None if row["seconds"] is None else f"{row['seconds']:.1f}"
    return cells


def _by_number(folder: Path) -> tuple[int, str]:
    return (int(folder.name), "") if folder.name.isdigit() else (1 << 62, str(folder))
