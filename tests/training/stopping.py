"""A run from end to end, and one that a signal stops after some step and that then is continued."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gas_cli.config.compose import load_config
from gas_cli.config.root import Config
from gas_cli.errors import Interrupted
from gas_cli.run import resume, run
from gas_cli.training.checkpoint import load_checkpoint
from gas_cli.training.trainer import Trainer


def trained(config: Config, folder: Path) -> dict[str, Any]:
    """What the last checkpoint of a run in `folder` holds of what was trained."""
    run(config, folder)
    state = load_checkpoint(folder / "checkpoints" / "last.pt")
    return {name: state[name] for name in ("model", "optimizer", "method")}


def stopped_and_resumed(config: Config, folder: Path, step: int) -> dict[str, Any]:
    """The last checkpoint of a run in `folder` that was stopped after `step` steps and resumed to its end."""
    train_step = Trainer._train_step

    def stopping(self: Trainer, *arguments: Any) -> None:
        train_step(self, *arguments)
        self.stop.requested = self.progress.step == step

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Trainer, "_train_step", stopping)
        with pytest.raises(Interrupted):
            run(config, folder)
    resume(folder, load_config(folder / "config.yaml"))
    return load_checkpoint(folder / "checkpoints" / "last.pt")
