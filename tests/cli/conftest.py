"""The command line in this process, in an empty folder, with a training run that takes no time."""

from __future__ import annotations

import logging
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gas_cli.config.compose import save_config
from gas_cli.config.jobs import flat_settings
from gas_cli.config.root import Config
from gas_cli.errors import Interrupted, UserError
from gas_cli.report.summary import write_summary

FAILURES: dict[int, BaseException] = {13: RuntimeError("boom"), 14: UserError("the loss is NaN"), 15: Interrupted("SIGTERM")}


def fake_run(config: Config, folder: Path) -> dict[str, Any]:
    """Writes what a run writes; seeds 13 to 15 fail in their ways, after the configuration was written."""
    save_config(config, folder / "config.yaml")
    if config.seed in FAILURES:
        raise FAILURES[config.seed]
    (folder / "checkpoints").mkdir(exist_ok=True)
    (folder / "checkpoints" / "last.pt").write_bytes(b"")
    return _finish(folder, config, val=0.5 + config.seed / 100)


def fake_resume(folder: Path, config: Config) -> dict[str, Any]:
    if config.trainer.epochs == 666:
        raise UserError("the checkpoint is of another graph")
    save_config(config, folder / "config.yaml")
    return _finish(folder, config, val=0.9)


def _finish(folder: Path, config: Config, val: float) -> dict[str, Any]:
    summary = {"status": "finished", "val": val, "test": val - 0.1, "epochs": config.trainer.epochs, "seconds": 2.0}
    write_summary(folder / "summary.json", summary)
    return summary


@pytest.fixture
def gas_train(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., int]]:
    """`gas_train("seed=1", ...)` is the exit code of the command, run in `tmp_path`."""
    from gas_cli.cli.train import command_line

    module = types.ModuleType("gas_cli.run")
    module.run, module.resume = fake_run, fake_resume  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gas_cli.run", module)
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield lambda *argv: command_line(list(argv))
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers, root.level = handlers, level


def job_folder(sweep: str | Path, **settings: Any) -> Path:
    """The folder of the only job with these settings, as in `seed=1, model="gcn"`; dots are written as two underscores."""
    wanted = {key.replace("__", "."): value for key, value in settings.items()}
    (found,) = (path for path in Path(sweep).iterdir() if path.is_dir() and wanted.items() <= settings_of(path).items())
    return found


def settings_of(job: Path) -> dict[str, Any]:
    flat = flat_settings(job / ".hydra" / "config.yaml")
    return flat | {"model": flat["model.name"], "dataset": flat["dataset.name"]}
