"""A sweep from its plan to its table: what was asked for is written down first, so that no job is missing from the table."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from gas_cli.cli.job import run_job
from gas_cli.config.compose import load_config
from gas_cli.config.continued import as_decided, has_checkpoint
from gas_cli.config.flat import flat
from gas_cli.config.launch import Command, job_overrides, launch, uncomposable
from gas_cli.config.root import Config
from gas_cli.errors import NotStarted, UserError
from gas_cli.report.plan import NOT_COMPOSED, NOT_RUN, REFUSED, STARTED, PlannedJob, note, read_plan, write_plan
from gas_cli.report.summary import read_summary
from gas_cli.report.sweep import report_sweep


def run_sweep(command: Command, folder: Path) -> None:
    """Run the jobs of `command` in `folder` and print their table, whatever becomes of them. Raises like `launch`."""
    try:
        write_plan(folder, command.jobs)
    except OSError as error:
        raise UserError(f"Cannot write the sweep's folder {folder}: {error.strerror}. Choose another with hydra.sweep.dir=DIR.") from error
    try:
        launch(command, SweepJob(folder.absolute()))
    finally:
        _note_uncomposed(command, folder)
        print(report_sweep(folder), end="", flush=True)


@dataclass(frozen=True)
class SweepJob:
    """`run_job`, with a note in the plan: launchers call it in other processes."""

    folder: Path

    def __call__(self, make_config: Callable[[], Config], folder: Path) -> float:
        job = PlannedJob(tuple(job_overrides()), STARTED)
        self._note(job)
        try:
            return run_job(lambda: _not_anothers(make_config(), folder), folder)
        except UserError as error:
            if not _tells(folder, str(error)):
                self._note(replace(job, status=REFUSED, error=str(error)))
            raise

    def _note(self, job: PlannedJob) -> None:
        with contextlib.suppress(OSError):  # a full disk: the job itself reports it
            note(self.folder, job)


def _not_anothers(config: Config, folder: Path) -> Config:
    """`config`, unless the folder holds a run of other settings: one that was continued with them, or that has the same name."""
    if has_checkpoint(folder):
        saved = load_config(folder / "config.yaml")
        here, wanted = (flat(asdict(c)) for c in (saved, as_decided(saved, config)))
        different = [key for key in wanted if key != "resume" and here.get(key) != wanted[key]]
        if different:
            key = different[0]
            raise NotStarted(
                f"{folder} holds a run with {key}={here.get(key)}, and this job has {key}={wanted[key]}: a sweep continues a job "
                "only with the same settings. Choose another folder with hydra.sweep.dir=DIR."
            )
    return config


def _tells(folder: Path, error: str) -> bool:
    """Whether the folder is the job's own and holds its failure; otherwise it holds another run, and the job was refused."""
    try:
        return read_summary(folder / "summary.json").get("error") == error
    except UserError:
        return False


def _note_uncomposed(command: Command, folder: Path) -> None:
    """Of the jobs that did not start: those that no command could start."""
    with contextlib.suppress(OSError, UserError):
        for job in read_plan(folder):
            if job.status == NOT_RUN and (error := uncomposable(command, job.overrides)):
                note(folder, replace(job, status=NOT_COMPOSED, error=error))
