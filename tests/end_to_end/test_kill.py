"""Whatever ends a run, and whenever: resumed, it leaves what an uninterrupted run leaves, bit for bit."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from gas_cli.training.checkpoint import load_checkpoint
from tests.end_to_end.conftest import Command
from tests.end_to_end.processes import KilledBeforeRename, KilledWhileWriting, Program, Sabotage, endless_loading, slow_steps
from tests.end_to_end.runs import SMALL, assert_refused, differences, essence, lines, summary, train

SETTINGS = ("trainer.epochs=12", "trainer.checkpoint_every=2", "history.refresh=3", "optimizer.schedule=cosine", "trainer.edge_dropout=0.1")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted")
    train(folder, *SETTINGS)
    return folder


def start(folder: Path, *sabotage: Sabotage) -> Program:
    return Program(folder, *SMALL, *SETTINGS, "hydra.run.dir=here", sabotage=sabotage)


def test_kill_9_at_random_moments(tmp_path: Path, gas_train: Command, uninterrupted: Path) -> None:
    program = start(tmp_path, slow_steps)
    for _ in range(3):
        program.wait_for("here/checkpoints/last.pt")
        time.sleep(random.uniform(0, 0.15))
        program.kill(signal.SIGKILL)
        assert program.outcome().code in (-signal.SIGKILL, 0)
        program = Program(tmp_path, "resume=here", sabotage=(slow_steps,))
    program.kill(signal.SIGKILL)  # perhaps while it loads
    program.outcome()
    assert gas_train("resume=here").code == 0
    assert differences(essence(tmp_path / "here"), essence(uninterrupted)) == []


@pytest.mark.parametrize(
    ("kind", "number"), [(KilledWhileWriting, 1), (KilledWhileWriting, 4), (KilledBeforeRename, 2), (KilledBeforeRename, 5)]
)
def test_kill_9_while_a_checkpoint_is_written(
    kind: type[KilledWhileWriting | KilledBeforeRename], number: int, tmp_path: Path, gas_train: Command, uninterrupted: Path
) -> None:
    assert start(tmp_path, kind(number)).outcome().code == -signal.SIGKILL
    checkpoints = tmp_path / "here" / "checkpoints"
    assert list(checkpoints.glob("*.tmp")), "it was killed at another moment"
    for file in checkpoints.glob("*.pt"):
        load_checkpoint(file)
    assert summary(tmp_path / "here")["status"] == "running"
    assert gas_train("resume=here").code == 0
    assert differences(essence(tmp_path / "here"), essence(uninterrupted)) == []
    assert not list(checkpoints.glob("*.tmp"))


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_signals_save_and_exit_130(stop: signal.Signals, tmp_path: Path, gas_train: Command, uninterrupted: Path) -> None:
    program = start(tmp_path, slow_steps)
    program.wait_for("here/metrics.jsonl")
    program.kill(stop)
    outcome = program.outcome()
    assert (outcome.code, outcome.err) == (130, "gas-train: interrupted.\n")
    assert "resume=here" in outcome.out
    assert summary(tmp_path / "here")["status"] == "interrupted"
    saved = load_checkpoint(tmp_path / "here" / "checkpoints" / "last.pt")
    assert saved["progress"]["epoch"] == len(lines(tmp_path / "here")) + 1  # nothing that was recorded is lost
    assert gas_train("resume=here").code == 0
    assert differences(essence(tmp_path / "here"), essence(uninterrupted)) == []


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_signals_before_the_first_step(stop: signal.Signals, tmp_path: Path, gas_train: Command, uninterrupted: Path) -> None:
    program = start(tmp_path, endless_loading)
    program.wait_for("loading")
    program.kill(stop)
    outcome = program.outcome()
    assert (outcome.code, outcome.err) == (130, "gas-train: interrupted.\n")
    assert summary(tmp_path / "here")["status"] == "interrupted"
    assert gas_train("resume=here").code == 0
    assert differences(essence(tmp_path / "here"), essence(uninterrupted)) == []


def test_a_run_in_use_is_left_alone_and_a_killed_one_is_not_in_use(tmp_path: Path, gas_train: Command, uninterrupted: Path) -> None:
    program = start(tmp_path, slow_steps)
    program.wait_for("here/checkpoints/last.pt")
    program.kill(signal.SIGSTOP)  # it stays as long as this test needs it
    for words in (("resume=here",), (*SMALL, *SETTINGS, "hydra.run.dir=here", "resume=auto")):
        assert_refused(gas_train(*words), "here is in use: process", f"{program.process.pid} on ", "Wait until it ends, stop it")
    assert summary(tmp_path / "here")["status"] == "running"
    program.kill(signal.SIGKILL)
    assert program.outcome().code == -signal.SIGKILL, "it ended too early for this test"
    assert gas_train("resume=here").code == 0
    assert differences(essence(tmp_path / "here"), essence(uninterrupted)) == []
    assert not (tmp_path / "here" / "run.lock").exists()


def test_the_second_of_several_runs(tmp_path: Path, gas_train: Command) -> None:
    program = Program(tmp_path, *SMALL, *SETTINGS, "runs=2", "hydra.run.dir=here", sabotage=(slow_steps,))
    program.wait_for("here/runs/01/metrics.jsonl")
    program.kill(signal.SIGINT)
    assert program.outcome().code == 130
    interrupted = summary(tmp_path / "here")
    assert (interrupted["status"], interrupted["num_runs"]) == ("interrupted", 1)
    finished = tmp_path / "here" / "runs" / "00" / "checkpoints" / "last.pt"
    before = finished.stat().st_mtime_ns
    assert gas_train("resume=here").code == 0
    assert finished.stat().st_mtime_ns == before, "the finished run was trained again"
    train(tmp_path / "whole", *SETTINGS, "runs=2")
    for number in ("00", "01"):
        assert differences(essence(tmp_path / "here" / "runs" / number), essence(tmp_path / "whole" / "runs" / number)) == []
    resumed, whole = summary(tmp_path / "here"), summary(tmp_path / "whole")
    assert [resumed[key] for key in ("status", "val", "test", "std", "num_runs")] == [
        whole[key] for key in ("status", "val", "test", "std", "num_runs")
    ]
