"""`jobs.jsonl` in a sweep's folder: which jobs the latest command asked for, and what became of those that have no run to show.

One line per event, appended whole, so that jobs in several processes can write at once; a job's last line counts.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from gas_cli.errors import UserError
from gas_cli.files import write_atomically

PLAN_NAME = "jobs.jsonl"
NOT_RUN, STARTED, REFUSED, NOT_COMPOSED = "not run", "started", "refused", "not composed"
STATUSES = (NOT_RUN, STARTED, REFUSED, NOT_COMPOSED)


@dataclass(frozen=True)
class PlannedJob:
    """One job by its overrides. `started` jobs have a folder that tells the rest."""

    overrides: tuple[str, ...]
    status: str = NOT_RUN
    error: str = ""


def write_plan(folder: Path, jobs: Sequence[Sequence[str]]) -> None:
    """Begin the file anew: an earlier command's jobs are their folders now. Raises `OSError`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / PLAN_NAME, "".join(_line(PlannedJob(tuple(job))) for job in jobs))


def note(folder: Path, job: PlannedJob) -> None:
    """Append what became of a job. Raises `OSError`."""
    with (folder / PLAN_NAME).open("a", encoding="utf-8") as file:
        file.write(_line(job))


def read_plan(folder: Path) -> list[PlannedJob]:
    """Every job once, in the order of the plan; empty without a plan. Raises `UserError` for a damaged one."""
    path = folder / PLAN_NAME
    if not path.exists():
        return []
    jobs: dict[tuple[str, ...], PlannedJob] = {}
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            job = PlannedJob(tuple(map(str, entry["overrides"])), str(entry["status"]), str(entry["error"]))
            if job.status not in STATUSES:
                raise ValueError(f"unknown status {job.status!r}")
            jobs[job.overrides] = job
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error}). Remove it; then only jobs that have a folder are listed.") from error
    return list(jobs.values())


def _line(job: PlannedJob) -> str:
    return json.dumps(asdict(job)) + "\n"
