"""`resume=`: the same run goes on in its folder; what would make it another run is refused, and nothing is touched."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gas_cli.report.summary import write_summary

Command = Callable[..., int]


@pytest.fixture
def stopped(gas_train: Command) -> Command:
    """A run in the folder `here`."""
    assert gas_train("hydra.run.dir=here", "dataset=cora", "trainer.epochs=10") == 0
    return gas_train


def summary() -> dict[str, object]:
    content: dict[str, object] = json.loads(Path("here/summary.json").read_text())
    return content


def test_it_continues_in_place(stopped: Command) -> None:
    assert stopped("resume=here") == 0
    assert (summary()["val"], summary()["epochs"]) == (0.9, 10)
    assert [path.name for path in Path().iterdir()] == ["here"]
    assert (Path("here") / "gas-train.log").read_text().count("Run folder") == 2


@pytest.mark.parametrize(
    "change",
    [
        "trainer.epochs=20",
        "trainer.patience=3",
        "evaluation.every=2",
        "evaluation.live=true",
        "logger=tensorboard",
        "device=cpu",
        "history.pipeline=false",
        "method=gas",  # what it is
    ],
)
def test_what_does_not_change_the_run_can_be_changed(change: str, stopped: Command) -> None:
    assert stopped("resume=here", change) == 0
    if change.startswith("trainer.epochs"):
        assert summary()["epochs"] == 20


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("model.num_layers=3", "weights"),
        ("dataset.name=pubmed", "belong to the graph"),
        ("partitioner.num_parts=20", "partition"),
        ("history.dtype=float16", "histories"),
        ("optimizer.lr=0.1", "optimizer's state"),
        ("seed=1", "neither of the two runs"),
        ("runs=3", "holds a single run"),
        ("trainer.batch_parts=1", "neither of the two runs"),
        ("trainer.average=2", "neither of the two runs"),
        ("trainer.epochs=abc", "a whole number"),
        ("model=gcnii", "model=gcnii cannot be changed in a run that is continued (it was started with gcn)"),
        ("method=lmc", "belong to the method"),
        ("foo=1", "foo is not a setting"),
        ("hydra.run.dir=there", "is not valid with resume"),
        ("--cfg", "is not valid with resume"),
    ],
)
def test_what_would_change_the_run_is_refused(change: str, reason: str, stopped: Command, capfd: pytest.CaptureFixture[str]) -> None:
    before = summary()
    assert stopped("resume=here", change) == 2
    message = capfd.readouterr().err
    assert reason in message and len(message.splitlines()) == 1
    assert summary() == before


def test_an_error_in_resuming_does_not_mark_the_run_as_failed(stopped: Command) -> None:
    before = summary()
    assert stopped("resume=here", "trainer.epochs=666") == 2
    assert summary() == before


def test_folders_that_hold_no_run(gas_train: Command, capfd: pytest.CaptureFixture[str]) -> None:
    assert gas_train("resume=none") == 2
    assert "expected the folder of a run" in capfd.readouterr().err


def test_a_run_that_stopped_before_its_first_checkpoint_begins_again(gas_train: Command, capfd: pytest.CaptureFixture[str]) -> None:
    assert gas_train("hydra.run.dir=here", "seed=14") == 2
    assert gas_train("resume=here") == 0
    assert "starting the run again" in capfd.readouterr().out
    assert summary()["status"] == "finished"


def test_a_damaged_configuration(stopped: Command, capfd: pytest.CaptureFixture[str]) -> None:
    Path("here/config.yaml").write_text("model: {name: [")
    assert stopped("resume=here") == 2
    assert "not valid yaml" in capfd.readouterr().err


def test_a_folder_in_a_sweep_is_refused(stopped: Command, capfd: pytest.CaptureFixture[str]) -> None:
    assert stopped("-m", "resume=here", "seed=1,2") == 2
    assert "To continue a sweep, start it again" in capfd.readouterr().err
    assert stopped("-m", "hydra.sweep.dir=s", "++resume=here", "seed=1") == 2


def test_auto_continues_or_starts(gas_train: Command) -> None:
    words = ("hydra.run.dir=here", "dataset=cora", "resume=auto")
    assert gas_train(*words) == 0
    assert gas_train(*words) == 0
    assert summary()["val"] == 0.5  # finished: nothing to do
    write_summary(Path("here/summary.json"), {"status": "interrupted"})
    assert gas_train(*words) == 0
    assert summary()["val"] == 0.9
    assert gas_train(*words, "trainer.epochs=300") == 0
    assert gas_train(*words, "seed=1") == 2


def test_an_empty_value_starts_a_new_run(gas_train: Command) -> None:
    assert gas_train("resume=", "hydra.run.dir=here") == 0
    assert summary()["val"] == 0.5
