"""`resume=RUN_DIR`: continue a run in its own folder, with the configuration it was started with."""

from __future__ import annotations

import dataclasses
import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gas_cli.cli.job import LOG_NAME, guarded, has_checkpoint
from gas_cli.config.compose import load_config
from gas_cli.config.root import Config
from gas_cli.errors import UserError

# What a continued run may do differently: how long, how often, where; never what is computed.
CHANGEABLE = (
    "runs",
    "trainer.epochs",
    "trainer.patience",
    "trainer.checkpoint_every",
    "trainer.prefetch",
    "evaluation.every",
    "evaluation.monitor",
    "evaluation.monitor_every",
    "logger.name",
    "device",
    "history.placement",
    "history.pipeline",
    "dataset.root",
    "dataset.download",
    "partitioner.cache",
    "model.module",
)
REASONS = {
    "dataset": "the weights, histories and splits in the checkpoint belong to the graph",
    "partitioner": "the histories in the checkpoint are ordered by the partition",
    "model": "the weights in the checkpoint belong to the model",
    "history": "the histories in the checkpoint have this form",
    "optimizer": "the optimizer's state in the checkpoint belongs to it",
}
IGNORED = ("resume",)
log = logging.getLogger(__name__)


def resume_target(argv: Sequence[str]) -> str | None:
    """The folder named by `resume=`, or None for a new run (`resume=auto` is decided by each job in its own folder)."""
    named = [argument.partition("=")[2].strip("'\"") for argument in argv if argument.startswith("resume=")]
    if not named or named[-1] in ("", "auto"):
        return None
    if any(argument in ("-m", "--multirun") for argument in argv):
        raise UserError("resume=RUN_DIR continues one run. For a sweep: fix its folder with hydra.sweep.dir=DIR and use resume=auto.")
    return named[-1]


def resume_run(target: str, arguments: Sequence[str]) -> float:
    """Continue the run in `target` and return its best validation metric. Raises like `run_job`."""
    folder = Path(target)
    if not (folder / "config.yaml").is_file():
        raise UserError(f"resume={target}: expected the folder of a run, with config.yaml and checkpoints/ in it.")
    saved = load_config(folder / "config.yaml")
    config = load_config(folder / "config.yaml", _dotted(arguments))
    check_unchanged(saved, config)
    _log_to(folder)
    if not has_checkpoint(folder):
        log.info("The run stopped before its first checkpoint: it begins again.")
    from gas_cli.run import resume

    return guarded(folder, lambda: resume(folder, config), fresh=False)


def check_unchanged(saved: Config, config: Config) -> None:
    """Raise `UserError` for the first setting that differs and may not."""
    _check_runs(saved.runs, config.runs)
    before, after = _flat(saved), _flat(config)
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key) and key not in (*CHANGEABLE, *IGNORED):
            raise UserError(
                f"{key}={after.get(key)} cannot be changed in a run that is continued (it was started with {before.get(key)}): "
                f"{_reason(key)}. These can be changed: {', '.join(CHANGEABLE)}."
            )


def _check_runs(before: int, after: int) -> None:
    """Further seeds can be added to several runs; a single run has another layout of its folder."""
    if before == after or 1 < before < after:
        return
    single = "the folder holds a single run, and several ones have folders of their own. Start them in a new folder"
    fewer = f"the folder was started for {before}, and none is taken away. Ask for at least as many"
    raise UserError(f"runs={after} is not valid with resume: {single if before == 1 else fewer}.")


def _reason(key: str) -> str:
    return REASONS.get(key.partition(".")[0], "the result would be neither of the two runs")


def _dotted(arguments: Sequence[str]) -> list[str]:
    """Overrides as `key=value` of settings; of the groups only `logger=` makes sense here."""
    for argument in arguments:
        if argument.startswith(("-", "+", "~", "hydra")) or "=" not in argument:
            raise UserError(f"{argument!r} does not go with resume=RUN_DIR: expected only settings as key=value.")
    return [argument.replace("logger=", "logger.name=", 1) if argument.startswith("logger=") else argument for argument in arguments]


def _flat(config: Config) -> dict[str, Any]:
    """Settings by their dotted names."""
    return dict(_leaves(dataclasses.asdict(config)))


def _leaves(node: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in node.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _log_to(folder: Path) -> None:
    """The logging that Hydra sets up for a new run: plain lines on the terminal, dated ones in the folder's log."""
    try:
        file = logging.FileHandler(folder / LOG_NAME)
    except OSError as error:
        raise UserError(f"Cannot write {folder / LOG_NAME}: {error.strerror}. Make the folder writable, or copy it elsewhere.") from error
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    terminal = logging.StreamHandler(sys.stdout)
    terminal.setFormatter(logging.Formatter("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[terminal, file], force=True)
