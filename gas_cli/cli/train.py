"""`gas-train`: train from a configuration. See `gas-train --help`."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import gas_cli
from gas_cli.cli.environment import prepare_process
from gas_cli.cli.job import JobFailed, run_job
from gas_cli.cli.resume import resume_run, resume_target
from gas_cli.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE, Interrupted, UserError


def main() -> None:
    """The console script."""
    prepare_process()
    sys.exit(command_line(sys.argv[1:]))


def command_line(argv: Sequence[str]) -> int:
    """Run the command and return its exit code: 0 done, 1 a failure of ours, 2 a user error, 130 interrupted."""
    try:
        with _quiet_log_files():
            _run(list(argv))
    except UserError as error:
        return _fail(str(error), EXIT_USAGE)
    except JobFailed as error:
        return _fail(str(error), EXIT_FAILED)
    except (KeyboardInterrupt, Interrupted):
        return _fail("interrupted.", EXIT_INTERRUPTED)
    return 0


def _run(argv: list[str]) -> None:
    if "--help" in argv or "-h" in argv:
        from gas_cli.cli.help import train_help

        print(train_help())
    elif "--version" in argv:
        print(f"gas-train {gas_cli.__version__}")
    elif argv[:1] == ["doctor"] or "--doctor" in argv:
        from gas_cli.cli.doctor import report

        print(report())
    elif (target := resume_target(argv)) is not None:
        resume_run(target, [argument for argument in argv if not argument.startswith("resume=")])
    else:
        _launch(argv)


def _launch(argv: list[str]) -> None:
    """One job, or a sweep that ends with its table whatever becomes of the jobs."""
    from gas_cli.config.launch import launch, prepare

    command = prepare(argv)
    if command.sweep_dir is None:
        launch(command, run_job)
        return
    from gas_cli.cli.sweep import run_sweep

    run_sweep(command, command.sweep_dir)


@contextmanager
def _quiet_log_files() -> Iterator[None]:
    """Where a log file cannot be written (a full disk), `logging` would print a traceback for every line."""
    before, logging.raiseExceptions = logging.raiseExceptions, False
    try:
        yield
    finally:
        logging.raiseExceptions = before


def _fail(message: str, code: int) -> int:
    print(f"gas-train: {message}", file=sys.stderr)
    return code
