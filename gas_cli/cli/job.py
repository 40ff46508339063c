"""One job in its folder: start or continue it, and leave a status and a traceback behind whatever happens.

A job never ends the process: in a sweep the others must go on.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from gas_cli.config.compose import load_config
from gas_cli.config.continued import as_decided, check_unchanged, has_checkpoint
from gas_cli.config.root import Config
from gas_cli.errors import Interrupted, NotStarted, UserCodeError, UserError, memory_ran_out, told
from gas_cli.measure.memory import release_free_memory

LOG_NAME = "gas-train.log"
log = logging.getLogger(__name__)


class JobFailed(Exception):
    """A failure that is no user's fault; the message names the log file that holds the traceback."""


def run_job(make_config: Callable[[], Config], folder: Path) -> float:
    """Run one job of the command line and return its best validation metric, that of `evaluation.select`.

    Raises `UserError`, `JobFailed`, or `KeyboardInterrupt` (also for `Interrupted`: that ends a sweep, an `Exception` would not).
    """
    return guarded(folder, lambda: _start_or_continue(make_config(), folder))


def guarded(folder: Path, work: Callable[[], dict[str, Any]], fresh: bool = True) -> float:
    """`work()`'s validation metric; its failures recorded in the folder.

    With `fresh=False` a `UserError` changes nothing there: a mistake in resuming must not mark a sound run as failed.
    """
    started = time.monotonic()
    try:
        summary = work()
    except (Interrupted, KeyboardInterrupt) as error:
        _record(folder, "interrupted", str(error) or "interrupted", started)
        if has_checkpoint(folder):
            log.info("Interrupted. Continue with: gas-train resume=%s", _shown(folder))
        raise KeyboardInterrupt from error
    except UserError as error:
        if fresh and not isinstance(error, NotStarted):
            _append_log(folder, traceback.format_exc() if isinstance(error, UserCodeError) else f"error: {error}")
            _record(folder, "failed", str(error), started)
        raise
    except Exception as error:
        _append_log(folder, traceback.format_exc())
        _record(folder, "failed", told(error), started)
        if message := memory_ran_out(error):
            raise UserError(message) from error
        raise JobFailed(f"failed unexpectedly ({told(error)}). The traceback is in {_shown(folder / LOG_NAME)}") from error
    finally:
        _release_memory()
    from gas_cli.report.results import chosen_by, results_table

    log.info("%sRun folder: %s", results_table(summary), _shown(folder))
    value = chosen_by(summary)
    return float("nan") if value is None else value


def _start_or_continue(config: Config, folder: Path) -> dict[str, Any]:
    again = config.resume == "auto"
    if config.resume not in ("", "auto"):
        raise UserError(f"resume={config.resume} is only valid on the command line of a single run; in config files use resume=auto.")
    config.resume = ""
    if again and (done := _finished(config, folder)) is not None:
        log.info("Already finished with the same settings, not run again: %s", _shown(folder))
        return done
    if again and has_checkpoint(folder):
        from gas_cli.run import resume

        saved = load_config(folder / "config.yaml")
        check_unchanged(saved, as_decided(saved, config))
        log.info("Continuing the run in %s", _shown(folder))
        return resume(folder, config)
    if not again and has_checkpoint(folder):
        raise NotStarted(
            f"{folder} already holds a run: continue it with resume={folder}, or choose another folder with hydra.run.dir=DIR."
        )
    from gas_cli.run import run

    return run(config, folder)


def _finished(config: Config, folder: Path) -> dict[str, Any] | None:
    """The summary of a finished run of exactly `config` in `folder`, or None."""
    from gas_cli.report.summary import read_summary

    if not ((folder / "summary.json").exists() and (folder / "config.yaml").exists()):
        return None
    try:
        summary, saved = read_summary(folder / "summary.json"), load_config(folder / "config.yaml")
        return summary if summary.get("status") == "finished" and saved == as_decided(saved, config) else None
    except UserError:  # damaged: the checkpoint decides
        return None


def _record(folder: Path, status: str, error: str, started: float) -> None:
    """Complete summary.json; what the run itself wrote about its end stays."""
    from gas_cli.report.summary import read_summary, write_summary

    path = folder / "summary.json"
    try:
        summary = read_summary(path) if path.exists() else {}
    except UserError:  # damaged: this failure is what there is to tell
        summary = {}
    if summary.get("status") in (None, "running"):
        summary |= {"status": status, "error": error}
    summary.setdefault("seconds", time.monotonic() - started)
    _attempt(lambda: write_summary(path, summary))


def _append_log(folder: Path, text: str) -> None:
    """To the job's log file only: a terminal gets the message, not the traceback."""

    def append() -> None:
        with (folder / LOG_NAME).open("a", encoding="utf-8") as file:
            file.write(f"{datetime.now():%Y-%m-%d %H:%M:%S} {text.rstrip()}\n")

    _attempt(append)


def _attempt(write: Callable[[], None]) -> None:
    """Notes about a failure must not hide the failure itself, say when the disk is full."""
    try:
        write()
    except OSError as error:
        log.error("Could not record the failure: %s", error)


def _release_memory() -> None:
    """Give memory back between the jobs of a sweep, which share a process."""
    gc.collect()
    release_free_memory()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _shown(path: Path) -> str:
    """Relative where that is shorter."""
    relative = os.path.relpath(path)
    return relative if len(relative) < len(str(path)) else str(path)
