"""Sweeps: every job in its own folder, failures contained, one table at the end."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gas_cli.config.compose import load_config

Command = Callable[..., int]


def rows(sweep: str = "sweep") -> list[dict[str, str]]:
    with Path(sweep, "sweep.csv").open() as file:
        return list(csv.DictReader(file))


def test_all_combinations_with_their_table(gas_train: Command, capfd: pytest.CaptureFixture[str]) -> None:
    assert gas_train("-m", "hydra.sweep.dir=sweep", "model=gcn,appnp", "seed=0,2") == 0
    table = rows()
    assert [row["overrides"] for row in table[:4]] == ["model=gcn seed=0", "model=gcn seed=2", "model=appnp seed=0", "model=appnp seed=2"]
    assert [float(row["val"]) for row in table[:4]] == [0.5, 0.52, 0.5, 0.52]
    means = [row for row in table if row["job"] == "mean"]
    assert [row["overrides"] for row in means] == ["model=gcn", "model=appnp"]
    assert float(means[0]["val"]) == pytest.approx(0.51)
    assert float(means[0]["val_std"]) == pytest.approx(0.02 / 2**0.5)
    shown = capfd.readouterr().out
    assert Path("sweep/sweep.md").read_text() in shown and "0.5100 ± 0.0141" in shown
    assert load_config(Path("sweep/3/config.yaml")).seed == 2


def test_a_failed_job_keeps_its_traceback_and_the_others_finish(gas_train: Command, capfd: pytest.CaptureFixture[str]) -> None:
    assert gas_train("-m", "hydra.sweep.dir=sweep", "seed=1,13,14,2") == 1
    assert [row["status"] for row in rows()[:4]] == ["finished", "failed", "failed", "finished"]
    assert "RuntimeError: boom" in Path("sweep/1/gas-train.log").read_text()
    assert json.loads(Path("sweep/1/summary.json").read_text())["status"] == "failed"
    assert "the loss is NaN" in Path("sweep/2/gas-train.log").read_text()
    out, err = capfd.readouterr()
    assert "job 1 failed: RuntimeError: boom" in out and "Traceback" not in out + err


def test_a_value_that_no_job_can_have_fails_in_its_folder(gas_train: Command) -> None:
    assert gas_train("-m", "hydra.sweep.dir=sweep", "trainer.epochs=1,-1") == 2
    assert [row["status"] for row in rows()] == ["finished", "failed"]
    assert "trainer.epochs=-1 is not valid" in rows()[1]["error"]


@pytest.mark.parametrize("mistake", ["dataset=cora,corra", "trainer.epochs=1,abc", "trainer.epoch=1,2", "seed=1,[", "seed=interval(0,1)"])
def test_a_mistake_starts_no_job(mistake: str, gas_train: Command, capfd: pytest.CaptureFixture[str]) -> None:
    assert gas_train("-m", "hydra.sweep.dir=sweep", mistake) == 2
    assert len(capfd.readouterr().err.splitlines()) == 1
    assert not Path("sweep/0").exists() and not Path("sweep/sweep.md").exists()


def test_an_interruption_ends_the_sweep_with_its_table(gas_train: Command) -> None:
    assert gas_train("-m", "hydra.sweep.dir=sweep", "seed=1,15,2") == 130
    assert [row["status"] for row in rows()] == ["finished", "interrupted"]
    assert not Path("sweep/2").exists()


def test_settings_of_a_swept_group_reach_the_jobs(gas_train: Command) -> None:
    assert gas_train("-m", "hydra.sweep.dir=sweep", "model=gcnii,appnp", "model.alpha=0.25") == 0
    assert [load_config(Path(f"sweep/{job}/config.yaml")).model.alpha for job in (0, 1)] == [0.25, 0.25]  # type: ignore[attr-defined]


def test_the_mode_can_be_set_instead_of_the_flag(gas_train: Command) -> None:
    assert gas_train("hydra.mode=MULTIRUN", "hydra.sweep.dir=sweep", "seed=1,2") == 0
    assert len(rows()) == 3


def test_the_folder_can_be_chosen_by_a_config(gas_train: Command) -> None:
    Path("my/experiment").mkdir(parents=True)
    Path("my/experiment/mine.yaml").write_text('# @package _global_\nhydra:\n  sweep:\n    dir: "it\'s mine"\n')
    assert gas_train("--config-dir", "my", "-m", "experiment=mine", "seed=1,2") == 0
    assert len(rows("it's mine")) == 3


def test_without_a_chosen_folder_the_table_is_with_the_jobs(gas_train: Command) -> None:
    assert gas_train("-m", "seed=1,2") == 0
    (folder,) = Path("multirun").iterdir()
    assert {path.name for path in folder.iterdir()} == {"0", "1", "multirun.yaml", "sweep.md", "sweep.csv"}


def test_a_sweep_is_continued_job_by_job(gas_train: Command, capfd: pytest.CaptureFixture[str]) -> None:
    assert gas_train("-m", "hydra.sweep.dir=sweep", "seed=1,15") == 130
    assert gas_train("-m", "hydra.sweep.dir=sweep", "seed=1") == 2
    assert "resume=auto" in capfd.readouterr().err
    assert gas_train("-m", "hydra.sweep.dir=sweep", "resume=auto", "seed=1,2") == 0
    assert [float(row["val"]) for row in rows()[:2]] == [0.9, 0.52]  # continued, started
