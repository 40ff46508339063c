"""A run in the spelling of an earlier version is predicted from and continued as if it had been written today."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from gas_cli.config.compose import load_config
from gas_cli.config.flat import flat
from gas_cli.config.removed import ADDED, renamed
from gas_cli.training.checkpoint import load_checkpoint
from tests.end_to_end.conftest import Command
from tests.end_to_end.runs import State, craft, differences, essence, train

CHECKPOINTS = ("last.pt", "best.pt")
OFF: dict[str, Any] = {
    "trainer.patience": 0,
    "trainer.max_steps": 0,
    "optimizer.grad_norm": 0.0,
    "optimizer.schedule": "none",
    "history.refresh": "never",
    "evaluation.monitor": False,
    "partitioner.cache": "",
    "logger": {"name": "none"},
}
"""What was written for null."""
GONE: dict[str, Any] = {
    "optimizer.name": "adam",
    "partitioner.recursive": False,
    "partitioner.order": "bfs",
    "evaluation.monitor_every": 1,
}
NO_LAYERS = {"model.batch_norm": False, "model.track_running_stats": True, "model.residual": False}
RUNS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "all-off": ((), {}),
    "appnp": (
        ("model=appnp", "history.refresh=1", "trainer.patience=50"),
        {**NO_LAYERS, "history.refresh": "epoch", "trainer.patience": 50},
    ),
    "monitored": (
        ("history.refresh=2", "evaluation.monitor=2", "optimizer.schedule=cosine", "model=sage", "model.normalization=null"),
        {
            "history.refresh": "2",
            "evaluation.monitor": True,
            "evaluation.monitor_every": 2,
            "optimizer.schedule": "cosine",
            "model.normalization": "none",
        },
    ),
}
"""Settings of a run, and how an earlier version spelled those that differ from OFF and GONE."""


@pytest.mark.parametrize("name", RUNS)
def test_it_is_predicted_from_and_continued(name: str, tmp_path: Path, gas_train: Command, gas_predict: Command) -> None:
    settings, spelled = RUNS[name]
    train(tmp_path / "today", *settings)
    shutil.copytree(tmp_path / "today", tmp_path / "earlier")
    spell(tmp_path / "earlier", OFF | GONE | spelled)

    for mode in ("exact", "history"):
        for folder in ("today", "earlier"):
            outcome = gas_predict(f"run={folder}", f"mode={mode}", "checkpoint=last", f"out={folder}.npz")
            assert outcome.code == 0, outcome.err
        np.testing.assert_array_equal(*(np.load(f"{folder}.npz")["probabilities"] for folder in ("earlier", "today")))

    for folder in ("today", "earlier"):
        outcome = gas_train(f"resume={folder}", "trainer.epochs=5")
        assert outcome.code == 0, outcome.err
    assert load_config(tmp_path / "earlier" / "config.yaml") == load_config(tmp_path / "today" / "config.yaml")
    assert (tmp_path / "earlier" / "config.yaml").read_text() == (tmp_path / "today" / "config.yaml").read_text()
    assert differences(*(in_todays_words(essence(tmp_path / folder)) for folder in ("earlier", "today"))) == []


def test_another_value_is_another_run_in_either_spelling(tmp_path: Path, gas_train: Command) -> None:
    """The translation of a checkpoint's settings does not pass over a difference."""
    train(tmp_path / "here")
    spell(tmp_path / "here", OFF | GONE | {"history.refresh": "epoch"}, only_checkpoints=True)
    outcome = gas_train("resume=here", "trainer.epochs=5")
    assert outcome.code == 2 and "it has history.refresh=1, and config.yaml has history.refresh=null" in outcome.err, outcome.err


def test_settings_that_did_not_exist_yet_are_those_of_today(tmp_path: Path, gas_train: Command, gas_predict: Command) -> None:
    """A checkpoint that does not have them is continued and predicted from; with another value than the earlier behaviour it is not."""
    train(tmp_path / "here")

    def forget(state: State) -> None:
        known = state["fingerprint"]["settings"]
        assert (found := known.keys() & ADDED.keys()) and all(known[key] == repr(ADDED[key]) for key in found)
        state["fingerprint"]["settings"] = {key: value for key, value in known.items() if key not in ADDED}
        del state["schema"], state["progress"]["past"]

    for checkpoint in CHECKPOINTS:
        craft(tmp_path / "here" / "checkpoints" / checkpoint, forget)
    assert gas_predict("run=here", "out=p.npz").code == 0 and gas_train("resume=here", "trainer.epochs=5").code == 0
    craft(tmp_path / "here" / "checkpoints" / "last.pt", forget)
    content = yaml.safe_load((tmp_path / "here" / "config.yaml").read_text())
    content["trainer"]["label_smoothing"] = 0.1
    (tmp_path / "here" / "config.yaml").write_text(yaml.safe_dump(content))
    outcome = gas_train("resume=here", "trainer.epochs=6")
    assert outcome.code == 2 and "it has trainer.label_smoothing=0.0" in outcome.err


def spell(run: Path, earlier: dict[str, Any], only_checkpoints: bool = False) -> None:
    """Write the settings `earlier` into config.yaml and the checkpoints, which know only those that decide what is computed."""
    saved = run / "config.yaml"
    content = yaml.safe_load(saved.read_text())
    for key, value in earlier.items():
        group, _, setting = key.rpartition(".")
        (content[group] if group else content)[setting] = value
    if not only_checkpoints:
        saved.write_text(yaml.safe_dump(content, sort_keys=False))
        assert flat(content).items() >= flat(earlier).items()
    unknown = set(earlier) - {"partitioner.recursive", "partitioner.order", "optimizer.name", *NO_LAYERS}

    def change(state: State) -> None:
        known = state["fingerprint"]["settings"]
        known |= {key: repr(value) for key, value in earlier.items() if key not in unknown or key in known}

    for checkpoint in CHECKPOINTS:
        craft(run / "checkpoints" / checkpoint, change)
        assert load_checkpoint(run / "checkpoints" / checkpoint)["fingerprint"]["settings"]["optimizer.schedule"].startswith("'")


def in_todays_words(left: dict[str, Any]) -> dict[str, Any]:
    """A best checkpoint that is not surpassed stays as it was written."""
    for checkpoint in CHECKPOINTS:
        left[checkpoint]["fingerprint"]["settings"] = renamed(left[checkpoint]["fingerprint"]["settings"])
    return left
