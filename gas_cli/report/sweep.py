"""The table of a multirun: one row per job, then mean ± std over the jobs that differ only by their seed.

What a job ran and what came of it is read from its own config.yaml and summary.json, so the table is the same for every launcher and
never shows one job's result beside another's settings. Jobs without a run are listed from the plan (`jobs.jsonl`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gas_cli.config.compose import load_overrides
from gas_cli.config.dataset import FOLDER, name_of_path
from gas_cli.config.jobs import flat_settings
from gas_cli.config.metrics import LOSS, METRICS, SELECTABLE
from gas_cli.errors import UserError
from gas_cli.files import write_atomically
from gas_cli.report.plan import PLAN_NAME, STARTED, PlannedJob, read_plan
from gas_cli.report.summary import mean_and_std, read_summary
from gas_cli.report.table import comma_separated, markdown

MEASURES = ("val", "test")
SELECTED = "selected"
"""The validation metric of `evaluation.select`, which chose the best epochs: a column where a job has it."""
NOT_OF_THE_JOB = ("seed", "resume")
"""Settings that do not tell a mean's jobs apart."""


@dataclass(frozen=True)
class JobRow:
    """One job. `settings` by dotted name, `overrides` as typed, `std` of its own repetitions (`runs` > 1), `selected` the validation
    metric of `evaluation.select`, where that is not `metric`."""

    name: str
    overrides: list[str]
    status: str
    settings: dict[str, Any] = field(default_factory=dict)
    val: float | None = None
    test: float | None = None
    seconds: float | None = None
    error: str = ""
    std: dict[str, float] | None = None
    metric: str = "accuracy"
    selected: float | None = None

    def setting(self, key: str) -> Any:
        """The value of a setting, or of a group (`model`) the name in it; what was typed where the configuration does not say it. A user's
        graph is called by its path."""
        typed = dict(override.lstrip("+~").partition("=")[::2] for override in self.overrides)
        value = self.settings.get(key, self.settings.get(f"{key}.name", typed.get(key)))
        return name_of_path(str(self.setting("dataset.path") or "")) if (key, value) == ("dataset", FOLDER) else value

    @property
    def kind(self) -> tuple[Any, ...]:
        """What jobs that differ only by their seed have in common."""
        return tuple(sorted((key, repr(value)) for key, value in self.settings.items() if key not in NOT_OF_THE_JOB))

    @property
    def scale(self) -> Any:
        """Jobs whose results can be compared share it."""
        error = self.setting("trainer.loss") if self.chosen_by == LOSS else None  # squares and absolute values do not compare
        return self.setting("dataset"), self.setting("dataset.path"), self.chosen_by, error or "mse"

    @property
    def chosen_by(self) -> str:
        """The metric that chose the best epoch."""
        return str(self.setting("evaluation.select") or self.metric)


def report_sweep(folder: Path) -> str:
    """Write sweep.md and sweep.csv into `folder` and return the text for the terminal; nothing for a sweep
    that started no job. Raises `UserError` if they cannot be written."""
    jobs = read_jobs(folder)
    if not jobs:
        (folder / PLAN_NAME).unlink(missing_ok=True)
        return ""
    jobs += _without_a_run(folder)
    keys = columns(jobs)
    jobs.sort(key=lambda job: [_order(job.setting(key)) for key in keys] + [_order(job.name)])
    rows = _mark_best([*(_row(job, keys) for job in jobs), *seed_means(jobs, keys)])
    measures = MEASURES if all(row[SELECTED] is None for row in rows) else (*MEASURES, SELECTED)
    table = markdown(("job", *keys, "status", *measures, "seconds"), [_shown(row) for row in rows])
    errors = "".join(f"- job {_called(job)} {job.status}: {' '.join(job.error.split())}\n" for job in jobs if job.error)
    stds = [column for name in measures for column in (name, f"{name}_std")]
    try:
        write_atomically(folder / "sweep.md", f"{table}\n{errors}" if errors else table)
        write_atomically(folder / "sweep.csv", comma_separated(("job", *keys, "status", "best", *stds, "seconds", "error"), rows))
    except OSError as error:
        raise UserError(f"Cannot write the table of the sweep into {folder}: {error.strerror}.") from error
    return f"\n{table}\n{errors}Sweep folder: {folder}\n"


def read_jobs(folder: Path) -> list[JobRow]:
    """The jobs in the subfolders of a sweep, by name."""
    summaries = {path.parent for path in folder.rglob("summary.json")}
    runs = {path for path in summaries if summaries.isdisjoint(path.parents)}  # several runs of a job have summaries below its own
    folders = runs | {path.parent.parent for path in folder.rglob(".hydra/overrides.yaml")}
    return [_read_job(path, str(path.relative_to(folder))) for path in sorted(folders, key=lambda path: _order(str(path)))]


def columns(jobs: Sequence[JobRow]) -> list[str]:
    """The overridden settings whose values differ, `seed` last; then as many others as it takes to tell different jobs apart."""
    typed = dict.fromkeys(override.lstrip("+~").partition("=")[0] for job in jobs for override in job.overrides)
    keys = [key for key in typed if key not in NOT_OF_THE_JOB and _differs(jobs, key)]
    while (key := _first_difference_unseen(jobs, keys)) is not None:
        keys.append(key)
    return [*keys, "seed"] if _differs(jobs, "seed") else keys


def seed_means(jobs: Sequence[JobRow], keys: Sequence[str]) -> list[dict[str, Any]]:
    """One row per set of at least two finished jobs that differ only by `seed`, with the settings in `keys`."""
    groups: dict[tuple[Any, ...], list[JobRow]] = {}
    for job in jobs:
        if job.status == "finished" and job.settings:
            groups.setdefault(job.kind, []).append(job)
    seeds = [(group, len({job.setting("seed") for job in group})) for group in groups.values()]
    return [_mean_row(group, keys) for group, count in seeds if count == len(group) > 1]


def _read_job(folder: Path, name: str) -> JobRow:
    typed, own = folder / ".hydra" / "overrides.yaml", folder / "config.yaml"
    overrides, settings, error = load_overrides(typed) if typed.exists() else [], {}, ""
    try:
        settings = flat_settings(own if own.exists() else folder / ".hydra" / "config.yaml")  # refused before it could write its own
    except UserError as unreadable:
        error = str(unreadable)
    try:
        summary = read_summary(folder / "summary.json")
    except UserError:  # killed before it could write one
        return JobRow(name, overrides, "unfinished", settings, error=error or f"no summary.json in {folder}")
    if error:  # a result whose settings nobody knows is no row of a table
        return JobRow(name, overrides, "unreadable", error=error)
    measures = {key: summary.get(key) for key in (*MEASURES, "seconds")}
    status = str(summary.get("status", "unfinished"))
    told = "" if status == "finished" else str(summary.get("error", ""))
    status = "unfinished" if status == "running" else status  # killed, or another process is at it
    selected, std = summary.get("selected") or {}, summary.get("std")
    if std is not None:
        std = {**std, SELECTED: (summary.get("selected_std") or {}).get("val")}
    metric, chosen = str(summary.get("metric", "accuracy")), selected.get("val")
    return JobRow(name, overrides, status, settings, error=told, std=std, metric=metric, selected=chosen, **measures)


def _without_a_run(folder: Path) -> list[JobRow]:
    return [_planned_row(job) for job in read_plan(folder) if job.status != STARTED]


def _planned_row(job: PlannedJob) -> JobRow:
    return JobRow("", list(job.overrides), job.status, error=job.error)


def _called(job: JobRow) -> str:
    return job.name or " ".join(job.overrides)


def _differs(jobs: Iterable[JobRow], key: str) -> bool:
    return len({_text(job.setting(key)) for job in jobs}) > 1


def _first_difference_unseen(jobs: Sequence[JobRow], keys: Sequence[str]) -> str | None:
    """A setting that differs between two jobs whose rows would look alike."""
    alike: dict[tuple[str, ...], JobRow] = {}
    for job in jobs:
        if job.settings:
            other = alike.setdefault(tuple(_text(job.setting(key)) for key in keys), job)
            names = [name for name in sorted(job.settings.keys() | other.settings.keys()) if name not in NOT_OF_THE_JOB]
            different = [name for name in names if job.settings.get(name) != other.settings.get(name)]
            if different:
                return different[0]
    return None


def _row(job: JobRow, keys: Sequence[str]) -> dict[str, Any]:
    std = job.std or {}
    measured = {"val": job.val, "val_std": std.get("val"), "test": job.test, "test_std": std.get("test"), "seconds": job.seconds}
    measured |= {SELECTED: job.selected, f"{SELECTED}_std": std.get(SELECTED)}
    described = {"job": job.name or "-", "status": job.status, "error": job.error, "finished": job.status == "finished"}
    compared = {"scale": job.scale, "kind": job.kind, "chosen_by": job.chosen_by}
    return {key: _text(job.setting(key)) for key in keys} | described | measured | compared


def _mean_row(jobs: Sequence[JobRow], keys: Sequence[str]) -> dict[str, Any]:
    row: dict[str, Any] = {key: _text(jobs[0].setting(key)) for key in keys if key != "seed"}
    row |= {"job": "mean", "status": f"{len(jobs)} seeds", "finished": True, "scale": jobs[0].scale, "kind": jobs[0].kind}
    row["chosen_by"] = jobs[0].chosen_by
    for name in (*MEASURES, SELECTED):
        row[name], row[f"{name}_std"] = mean_and_std(getattr(job, name) for job in jobs)
    row["seconds"], _ = mean_and_std(job.seconds for job in jobs)
    return row


def _mark_best(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give the rows with the best validation metric of their dataset `best`: of those whose best epochs the same metric has chosen.

    Settings are compared, not seeds: jobs that a mean stands for are left to it, unless the mean has nothing to be compared with.
    """
    means = {row["kind"] for row in rows if row["job"] == "mean"}
    for scale in {row["scale"] for row in rows}:
        measured = [row for row in rows if row["scale"] == scale and row["finished"] and _chosen(row) is not None]
        settings = [row for row in measured if row["job"] == "mean" or row["kind"] not in means]
        compared = settings if len(settings) > 1 else [row for row in measured if row["job"] != "mean"]
        for row in compared:
            better = SELECTABLE.get(row["chosen_by"], METRICS["accuracy"]).better
            beaten = any(better(_chosen(other), _chosen(row)) for other in compared)
            row["best"] = "best" if not beaten and len(compared) > 1 else ""
    return rows


def _chosen(row: dict[str, Any]) -> Any:
    """The validation metric that chose the best epoch of a row."""
    return row["val"] if row[SELECTED] is None else row[SELECTED]


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """A row for people: `0.8123 ± 0.0045` in one cell."""
    cells = dict(row)
    for name in (*MEASURES, SELECTED):
        if row[name] is not None:
            cells[name] = f"{row[name]:.4f}" + (f" ± {row[f'{name}_std']:.4f}" if row[f"{name}_std"] is not None else "")
    if row.get("best"):
        cells["val" if row[SELECTED] is None else SELECTED] += " (best)"
    cells["seconds"] = None if row["seconds"] is None else f"{row['seconds']:.1f}"
    return cells


def _text(value: Any) -> str:
    """A setting as it is typed, the same whether it was read from yaml or from the command line."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{','.join(map(_text, value))}]"
    for number in (int, float):
        try:
            exact = number(str(value))
        except ValueError:
            continue
        return str(int(exact) if float(exact).is_integer() and abs(exact) < 2**53 else exact)
    return str(value)


def _order(value: Any) -> list[tuple[int, float, str]]:
    """Numbers by value, inside names, too: job 9 before job 10. Their digits tell those apart that are equal as floating-point numbers."""
    text = _text(value)
    try:
        number = float(text)
        return [(1, 0.0, text)] if math.isnan(number) else [(0, number, text)]
    except ValueError:
        parts = [part for part in re.split(r"(\d+)", text) if part]
        return [(0, float(part), part) if part.isdecimal() else (1, 0.0, part) for part in parts]
