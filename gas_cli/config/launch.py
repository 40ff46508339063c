"""Hydra's command line: `launch` runs one job or a sweep, and says where the sweep's jobs are.

Everything that can be known to be wrong is found by composing first, so that a mistake leaves no run folder behind.
"""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gas_cli.config.arguments import check_arguments
from gas_cli.config.compose import (
    CONFIG_NAME,
    VERSION_BASE,
    compose,
    config_directory,
    hydra_of,
    own_hydra,
    to_config,
    with_open_settings,
)
from gas_cli.config.jobs import planned_jobs, register_job_folders
from gas_cli.config.messages import translated
from gas_cli.config.root import Config
from gas_cli.config.schemas import register_schemas
from gas_cli.config.tuned import describe_tuned
from gas_cli.errors import UserError

log = logging.getLogger(__name__)

PROGRAM = "gas-train"
Job = Callable[[Callable[[], Any], Path], float]


@dataclass(frozen=True)
class Command:
    """What a command line asks for.

    `sweep_dir` is the folder of a multirun's jobs, None for a single run or for a mere display; `jobs` are the overrides of each of
    them, as far as they are known before the first one starts. `hydra` runs them and keeps what it has composed; None for a display.
    """

    argv: list[str]
    sweep_dir: Path | None
    jobs: list[list[str]] = field(default_factory=list)
    hydra: Any = None


def prepare(argv: Sequence[str]) -> Command:
    """Compose what `argv` asks for once, without running it. Raises `UserError` for anything wrong with it."""
    from hydra.types import RunMode

    argv = with_open_settings(argv)
    args = _parsed(argv)
    if args.cfg or args.info or args.shell_completion or args.hydra_help or args.help or args.experimental_rerun:
        return Command(list(argv), None)
    config_dirs = [_existing(args.config_dir)] if args.config_dir else []
    if args.config_path:
        raise UserError("--config-path would leave out the configs of gas-train: add your own folder with --config-dir DIR.")
    multirun = args.multirun or "hydra.mode=MULTIRUN" in args.overrides
    overrides = _for_folders(args.overrides) if multirun else args.overrides
    check_arguments(overrides)
    with translated():
        hydra = hydra_of(overrides, config_dirs)
        composed = hydra.compose_config(args.config_name or CONFIG_NAME, overrides, RunMode.RUN, from_shell=False)
    if multirun or (composed.hydra.mode is not None and composed.hydra.mode.name == "MULTIRUN"):
        folder = str(composed.hydra.sweep.dir)  # fixed now: it holds the time of day
        with translated():
            jobs = planned_jobs(_deferred(args.overrides), composed.hydra.sweeper)
        return Command([*_deferred(argv), "hydra.sweep.dir='" + folder.replace("'", "\\'") + "'"], Path(folder), jobs, hydra)
    to_config(_without_hydra(composed))
    return Command(list(argv), None, hydra=hydra)


def _parsed(argv: Sequence[str]) -> Any:
    """Hydra's flags and overrides. Its parser prints its usage and ends the process for what it does not know: a `UserError` instead."""
    from hydra._internal.utils import get_args

    said = io.StringIO()
    try:
        with redirect_stderr(said):
            return get_args(argv)
    except SystemExit as ending:
        reason = said.getvalue().strip().rpartition("error: ")[2]
        raise UserError(f"The command line is not valid: {reason}. Settings are key=value; gas-train --help shows the flags.") from ending


def launch(command: Command, job: Job) -> None:
    """Run `job(make_config, folder)` for every job of the command, in folders that Hydra makes and logs to.

    `make_config()` gives the job's `Config` or raises `UserError`. Errors of Hydra and unwritable folders become `UserError`;
    what `job` raises passes through (in a sweep: the first one, after all jobs have run).
    """
    single, failures = command.sweep_dir is None, []

    def task(composed: Any) -> float:
        from hydra.core.hydra_config import HydraConfig

        hydra_config = HydraConfig.get()
        log.info(describe_tuned(hydra_config))
        try:
            make_config = (lambda: to_config(composed)) if single else (lambda: _continuing(to_config(composed)))
            return job(make_config, Path(hydra_config.runtime.output_dir))
        except Exception as error:
            if not single:
                raise
            failures.append(error)  # raised below: Hydra would print a line of its own first
            return float("nan")

    register_schemas()
    register_job_folders(command.jobs)
    with translated(), _writable():
        if command.hydra is None:
            _display(command.argv, task)
        else:
            _run(command, task)
    if failures:
        raise failures[0]


def _run(command: Command, task: Callable[[Any], float]) -> None:
    """What `hydra.main` does with a job or a sweep, without composing once more to find out which of them it is."""
    from hydra.core.global_hydra import GlobalHydra

    args = _parsed(command.argv)
    name = args.config_name or CONFIG_NAME
    with own_hydra():
        GlobalHydra.instance().initialize(command.hydra)
        if command.sweep_dir is None:
            command.hydra.run(name, task, args.overrides)
        else:
            command.hydra.multirun(name, task, [*args.overrides, "hydra.mode=MULTIRUN"])


def _display(argv: list[str], task: Callable[[Any], float]) -> None:
    """Hydra's own command line: `--cfg`, `--info`, completion."""
    import hydra

    with _command_line(argv):
        hydra.main(config_path=str(config_directory()), config_name=CONFIG_NAME, version_base=VERSION_BASE)(task)()


def job_overrides() -> list[str]:
    """The overrides of the job that runs."""
    from hydra.core.hydra_config import HydraConfig

    return [str(override) for override in HydraConfig.get().overrides.task]


def uncomposable(command: Command, job: Sequence[str]) -> str:
    """Why a planned job cannot be composed; empty where it can."""
    from hydra._internal.utils import get_args

    args = get_args(command.argv)
    config_dirs = [_existing(args.config_dir)] if args.config_dir else []
    try:
        compose(list(job), config_dirs, args.config_name or CONFIG_NAME)
    except UserError as error:
        return str(error)
    return ""


def _continuing(config: Config) -> Config:
    """The folder of a sweep's job belongs to its configuration, so a job that finds an earlier run there goes on with it."""
    return replace(config, resume=config.resume or "auto")


@contextmanager
def _command_line(argv: list[str]) -> Iterator[None]:
    """Hydra reads `sys.argv`, and re-raises errors instead of printing them only when this variable is set."""
    before, full_error = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv = [PROGRAM, *argv]
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        sys.argv = before
        if full_error is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = full_error


@contextmanager
def _writable() -> Iterator[None]:
    """Jobs name their own errors, so an `OSError` that arrives here is Hydra's, from making a folder or a file in it."""
    from hydra.errors import HydraException

    try:
        yield
    except HydraException:  # some of them are OSErrors as well
        raise
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        raise UserError(
            f"Cannot write the run's folder{where}: {error.strerror}. Choose another with hydra.run.dir=DIR (hydra.sweep.dir=DIR with -m)."
        ) from error


def _existing(folder: str) -> Path:
    path = Path(folder)
    if not path.is_dir():
        raise UserError(f"--config-dir {folder} is not a folder.")
    return path


def _for_folders(overrides: list[str]) -> list[str]:
    """Of a sweep's overrides those that can set its folder; Hydra composes every job with all of them before it starts the first."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    with translated():
        parsed = OverridesParser.create().parse_overrides(overrides)
    kept = zip(overrides, parsed, strict=True)
    return [
        text
        for text, override in kept
        if not override.is_sweep_override() and (override.is_hydra_override() or override.key_or_group == "experiment")
    ]


def _deferred(argv: Sequence[str]) -> list[str]:
    """`-m model=gcnii,appnp model.alpha=0.2`: Hydra would apply `model.alpha` to the default model before it looks at the jobs.

    As a sweep over one choice it is applied to the jobs alone.
    """
    swept = {argument.partition("=")[0] for argument in argv if "," in argument or "(" in argument} & {"dataset", "model"}

    def depends(argument: str) -> bool:
        key, separator, value = argument.partition("=")
        plain = bool(separator) and "," not in value and "(" not in value
        return plain and key.partition(".")[0] in swept and "." in key

    return [f"{arg.partition('=')[0]}=choice({arg.partition('=')[2]})" if depends(arg) else arg for arg in argv]


def _without_hydra(composed: Any) -> Any:
    from omegaconf import open_dict

    with open_dict(composed):
        del composed["hydra"]
    return composed
