"""`resume=RUN_DIR`: continue a run in its own folder, with the configuration it was started with."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from gas_cli.cli.job import LOG_NAME, guarded
from gas_cli.config.continued import as_decided, check_unchanged, has_checkpoint, load_continued
from gas_cli.errors import UserError

log = logging.getLogger(__name__)


def resume_target(argv: Sequence[str]) -> str | None:
    """The folder named by `resume=`, or None for a new run (`resume=auto` is decided by the job in its own folder)."""
    named = [argument.partition("=")[2].strip("'\"") for argument in argv if argument.startswith("resume=")]
    if not named or named[-1] in ("", "auto"):
        return None
    if any(argument in ("-m", "--multirun") for argument in argv):
        raise UserError("resume=RUN_DIR continues only one run. To continue a sweep, start it again with its hydra.sweep.dir=DIR.")
    return named[-1]


def resume_run(target: str, arguments: Sequence[str]) -> float:
    """Continue the run in `target` and return its best validation metric. Raises like `run_job`."""
    folder = Path(target)
    if not (folder / "config.yaml").is_file():
        raise UserError(f"resume={target}: expected the folder of a run, with config.yaml and checkpoints/ in it.")
    saved, config = load_continued(folder / "config.yaml", _dotted(arguments))
    check_unchanged(saved, as_decided(saved, config))  # `resume` does so too, after seconds of imports
    _log_to(folder)
    if not has_checkpoint(folder):
        log.info("No last.pt in %s: starting the run again.", folder / "checkpoints")
    from gas_cli.run import resume

    return guarded(folder, lambda: resume(folder, config), fresh=False)


def _dotted(arguments: Sequence[str]) -> list[str]:
    """Overrides as `key=value` of settings."""
    for argument in arguments:
        if argument.startswith(("-", "+", "~", "hydra")) or "=" not in argument:
            raise UserError(f"{argument!r} is not valid with resume=RUN_DIR: expected only settings as key=value.")
    return list(arguments)


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
