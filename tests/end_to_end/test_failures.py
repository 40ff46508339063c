"""Runs and sweeps that go wrong on the way: the status says so, and what was good is kept."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch

from gas_cli.training import assemble
from gas_cli.training.checkpoint import load_checkpoint
from tests.cli.conftest import job_folder
from tests.end_to_end.conftest import Command
from tests.end_to_end.runs import SMALL, assert_refused, differences, essence, lines, summary, train

ONE_STEP = ("trainer.batch_parts=6", "trainer.epochs=20")
EXPLODES_LATER, EXPLODES_AT_ONCE = "optimizer.lr=3e18", "optimizer.lr=1e30"


def test_a_loss_that_explodes_stops_and_keeps_the_best(gas_train: Command, tmp_path: Path) -> None:
    assert_refused(
        gas_train(*SMALL, *ONE_STEP, EXPLODES_LATER, "hydra.run.dir=here"), "The loss became", "(epoch 1) is kept", "optimizer.lr"
    )
    found = summary(tmp_path / "here")
    assert (found["status"], found["best_epoch"]) == ("failed", 1) and "The loss became" in found["error"]
    best = load_checkpoint(tmp_path / "here" / "checkpoints" / "best.pt")
    assert all(torch.isfinite(weight).all() for weight in best["model"].values())
    assert len(lines(tmp_path / "here")) == 1


@pytest.mark.parametrize("epochs", [1, 5])
def test_scores_that_explode_are_never_the_best(epochs: int, gas_train: Command, tmp_path: Path) -> None:
    """A metric of NaN scores is a number like any other; a run of one epoch would be finished with it."""
    outcome = gas_train(*SMALL, "trainer.batch_parts=6", f"trainer.epochs={epochs}", EXPLODES_AT_ONCE, "hydra.run.dir=here")
    assert_refused(outcome, "no earlier state exists")
    assert (summary(tmp_path / "here")["status"], summary(tmp_path / "here")["best_epoch"]) == ("failed", 0)
    assert not list(tmp_path.rglob("best.pt"))


def test_several_runs_end_with_the_one_that_fails(gas_train: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with_seed(monkeypatch, 1)
    outcome = gas_train(*SMALL, "runs=3", "hydra.run.dir=here")
    assert (outcome.code, "gas-train.log" in outcome.err) == (1, True)
    found = summary(tmp_path / "here")
    assert (found["status"], found["error"], found["num_runs"]) == ("failed", "RuntimeError: seed 1 cannot be had", 1)
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert gas_train("resume=here").code == 0
    train(tmp_path / "whole", "runs=3")
    for number in ("00", "01", "02"):
        assert differences(essence(tmp_path / "here" / "runs" / number), essence(tmp_path / "whole" / "runs" / number)) == []


def test_a_failed_job_of_a_sweep_keeps_its_traceback_and_the_others_finish(
    gas_train: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_with_seed(monkeypatch, 1)
    outcome = gas_train("-m", *SMALL, "hydra.sweep.dir=sweep", "seed=0,1,2")
    assert outcome.code == 1
    assert "Traceback" not in outcome.out + outcome.err
    assert [row["status"] for row in rows(tmp_path)[:3]] == ["finished", "failed", "finished"]
    log = (job_folder(tmp_path / "sweep", seed=1) / "gas-train.log").read_text()
    assert "Traceback" in log and "RuntimeError: seed 1 cannot be had" in log
    assert summary(job_folder(tmp_path / "sweep", seed=1))["status"] == "failed"
    for seed in (0, 2):
        train(tmp_path / f"alone{seed}", f"seed={seed}")
        assert differences(essence(job_folder(tmp_path / "sweep", seed=seed)), essence(tmp_path / f"alone{seed}")) == []


def test_a_sweep_in_which_a_job_has_bad_luck_and_another_a_bad_setting(gas_train: Command, tmp_path: Path) -> None:
    outcome = gas_train(
        "-m", *SMALL, *ONE_STEP, "trainer.epochs=3", "hydra.sweep.dir=sweep", "optimizer.lr=0.01,1e30", "partitioner.num_parts=6,301"
    )
    assert outcome.code == 2
    jobs = rows(tmp_path)[:4]
    for job in jobs:
        parts, diverges = job["partitioner.num_parts"] == "301", job["optimizer.lr"] == "1e+30"
        words = "larger than the number of nodes" if parts else "became" if diverges else ""
        assert words in job["error"] and job["status"] == ("failed" if words else "finished")
    assert len({(job["partitioner.num_parts"], job["optimizer.lr"]) for job in jobs}) == 4
    assert "Traceback" not in outcome.out + outcome.err


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "sweep" / "sweep.csv").open() as file:
        return list(csv.DictReader(file))


def fail_with_seed(monkeypatch: pytest.MonkeyPatch, bad: int) -> None:
    """A mistake of ours that shows in one of several runs."""
    build = assemble.build_model

    def build_or_fail(config: Any, num_features: int, num_classes: int, seed: int, *rest: Any) -> Any:
        if seed == bad:
            raise RuntimeError(f"seed {seed} cannot be had")
        return build(config, num_features, num_classes, seed, *rest)

    monkeypatch.setattr(assemble, "build_model", build_or_fail)
