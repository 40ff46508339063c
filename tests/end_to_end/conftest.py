"""The real commands, in this process and an empty folder; raw folders of datasets as the graph stage's tests write them."""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.end_to_end.runs import Outcome, train
from tests.graph.conftest import fake_npz, fake_ogb, real_data

__all__ = ["fake_npz", "fake_ogb", "real_data"]

Command = Callable[..., Outcome]


@pytest.fixture
def gas_train(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Iterator[Command]:
    """`gas_train("seed=1", ...)` runs the command in `tmp_path`, without drawing curves."""
    from gas_cli.cli.train import command_line

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("gas_cli.run.plot_curves", lambda metrics, out: False)
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level

    def call(*argv: str) -> Outcome:
        capfd.readouterr()
        return Outcome(command_line(argv), *capfd.readouterr())

    yield call
    for handler in set(root.handlers) - set(handlers):
        with contextlib.suppress(OSError):  # of a disk that a test has filled
            handler.close()
    root.handlers, root.level = handlers, level


@pytest.fixture
def gas_predict(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Command:
    """`gas_predict("run=here", ...)` runs the command in `tmp_path`."""
    from gas_cli.cli.predict import command_line

    monkeypatch.chdir(tmp_path)

    def call(*argv: str) -> Outcome:
        capfd.readouterr()
        return Outcome(command_line(argv), *capfd.readouterr())

    return call


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`mine`, stopped for good after 4 epochs, and others that differ from it in one thing."""
    folder = tmp_path_factory.mktemp("runs")
    for name, overrides in {"mine": (), "seed": ("seed=1",), "lr": ("optimizer.lr=0.02",), "split": ("dataset.split=0",)}.items():
        train(folder / name, "trainer.epochs=4", *overrides)
    return folder


@pytest.fixture
def here(runs: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(runs / "mine", tmp_path / "here"))
