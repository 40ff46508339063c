"""Sweeps: every job in its own folder, failures contained, one table at the end."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gas_cli.config.compose import load_config
from gas_cli.report.summary import write_summary
from tests.cli.conftest import job_folder
from tests.end_to_end.runs import contents

Command = Callable[..., int]


def rows(sweep: str = "sweep") -> list[dict[str, str]]:
    with Path(sweep, "sweep.csv").open() as file:
        return list(csv.DictReader(file))


def test_all_combinations_with_their_table(gas_train: Command, capfd: pytest.CaptureFixture[str]) -> None:
    assert gas_train("-m", "hydra.sweep.dir=sweep", "model=gcn,appnp", "seed=0,2") == 0
    table = rows()
    found = [(row["model"], row["seed"], float(row["val"])) for row in table[:4]]
    assert found == [("appnp", "0", 0.5), ("appnp", "2", 0.52), ("gcn", "0", 0.5), ("gcn", "2", 0.52)]
    means = [row for row in table if row["job"] == "mean"]
    assert [row["model"] for row in means] == ["appnp", "gcn"]
    assert float(means[0]["val"]) == pytest.approx(0.51)
    assert float(means[0]["val_std"]) == pytest.approx(0.02 / 2**0.5)
    shown = capfd.readouterr().out
    assert Path("sweep/sweep.md").read_text() in shown and "0.5100 ± 0.0141" in shown
    assert load_config(job_folder("sweep", model="appnp", seed=2) / "config.yaml").seed == 2


def test_a_failed_job_keeps_its_traceback_and_the_others_finish(gas_train: Command, capfd: pytest.CaptureFixture[str]) -> None:
    assert gas_train("-m", "hydra.sweep.dir=sweep", "seed=1,13,14,2") == 1
    assert [row["status"] for row in rows()[:4]] == ["finished", "finished", "failed", "failed"]
    boom, nan = job_folder("sweep", seed=13), job_folder("sweep", seed=14)
    assert "RuntimeError: boom" in (boom / "gas-train.log").read_text()
    assert json.loads((boom / "summary.json").read_text())["status"] == "failed"
    assert "the loss is NaN" in (nan / "gas-train.log").read_text()
    out, err = capfd.readouterr()
    assert f"job {boom.name} failed: RuntimeError: boom" in out and "Traceback" not in out + err


def test_a_value_that_no_job_can_have_fails_in_its_folder(gas_train: Command) -> None:
    assert gas_train("-m", "hydra.sweep.dir=sweep", "trainer.epochs=1,-1") == 2
    assert [(row["trainer.epochs"], row["status"]) for row in rows()] == [("-1", "failed"), ("1", "finished")]
    assert "trainer.epochs=-1 is not valid" in rows()[0]["error"]


@pytest.mark.parametrize("mistake", ["dataset=cora,corra", "trainer.epochs=1,abc", "trainer.epoch=1,2", "seed=1,[", "seed=interval(0,1)"])
def test_a_mistake_starts_no_job(mistake: str, gas_train: Command, capfd: pytest.CaptureFixture[str]) -> None:
    assert gas_train("-m", "hydra.sweep.dir=sweep", mistake) == 2
    assert len(capfd.readouterr().err.splitlines()) == 1
    assert {path.name for path in Path("sweep").glob("*")} <= {"multirun.yaml"}


def test_an_interruption_ends_the_sweep_with_its_table(gas_train: Command) -> None:
    assert gas_train("-m", "hydra.sweep.dir=sweep", "seed=1,15,2") == 130
    assert [(row["seed"], row["status"]) for row in rows()] == [("1", "finished"), ("2", "not run"), ("15", "interrupted")]


def test_settings_of_a_swept_group_reach_the_jobs(gas_train: Command) -> None:
    assert gas_train("-m", "hydra.sweep.dir=sweep", "model=gcnii,appnp", "model.alpha=0.25") == 0
    jobs = [job_folder("sweep", model=model) for model in ("gcnii", "appnp")]
    assert [load_config(job / "config.yaml").model.alpha for job in jobs] == [0.25, 0.25]  # type: ignore[attr-defined]


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
    jobs = {job_folder(folder, seed=seed).name for seed in (1, 2)}
    assert {path.name for path in folder.iterdir()} == {*jobs, "multirun.yaml", "jobs.jsonl", "sweep.md", "sweep.csv"}


def test_a_sweep_is_continued_job_by_job(gas_train: Command, capfd: pytest.CaptureFixture[str]) -> None:
    """Finished jobs are kept to the last byte, interrupted ones go on, new ones begin; `resume=auto` may be typed, and changes nothing."""
    assert gas_train("-m", "hydra.sweep.dir=sweep", "seed=1,2") == 0
    done, stopped = job_folder("sweep", seed=1), job_folder("sweep", seed=2)
    write_summary(stopped / "summary.json", {"status": "interrupted"})
    before = contents(done)
    assert gas_train("-m", "hydra.sweep.dir=sweep", "seed=1,2,3") == 0
    assert "Already finished" in capfd.readouterr().out and contents(done) == before
    assert [(row["seed"], row["val"]) for row in rows()[:3]] == [("1", "0.51"), ("2", "0.9"), ("3", "0.53")]
    assert gas_train("-m", "hydra.sweep.dir=sweep", "seed=1,2,3", "resume=auto") == 0
    assert len(rows()) == 4 and [row["status"] for row in rows()] == ["finished"] * 3 + ["3 seeds"]


def test_an_extended_sweep_gives_no_job_its_neighbours_folder(gas_train: Command) -> None:
    """Jobs have other numbers the second time, another order, other spellings: it is what they run that finds the folder."""
    assert gas_train("-m", "hydra.sweep.dir=sweep", "seed=1", "model=gcn,sage") == 0
    first = {(row["model"], "1"): row["job"] for row in rows()}
    assert gas_train("-m", "hydra.sweep.dir=sweep", "model=appnp,sage,gcn", "seed=0,1", "optimizer.lr=0.0100") == 0
    second = {(row["model"], row["seed"]): (row["job"], row["val"]) for row in rows() if row["job"] != "mean"}
    assert len(second) == 6 and all(second[key][0] == name for key, name in first.items())
    assert all(val == str(0.5 + int(seed) / 100) for (_, seed), (_, val) in second.items())
    for (model, seed), (name, _) in second.items():
        config = load_config(Path("sweep", name, "config.yaml"))
        assert (config.model.name, str(config.seed)) == (model, seed)


def test_another_setting_in_a_used_folder_is_another_job(gas_train: Command) -> None:
    assert gas_train("-m", "hydra.sweep.dir=sweep", "optimizer.lr=0.0001") == 0
    assert gas_train("-m", "hydra.sweep.dir=sweep", "optimizer.lr=0.5", "seed=1") == 0
    assert [(row["optimizer.lr"], row["seed"], row["val"]) for row in rows()] == [("0.0001", "0", "0.5"), ("0.5", "1", "0.51")]


def test_a_job_refused_in_a_folder_of_ones_own_naming_is_listed_beside_its_owner(gas_train: Command) -> None:
    names = ("-m", "hydra.sweep.dir=sweep", "hydra.sweep.subdir='${model.name}'")
    assert gas_train(*names, "model=gcn,sage") == 0
    assert gas_train(*names, "model=gcn", "seed=3") == 2
    found = {(row["model"], row["seed"]): (row["job"], row["status"], row["val"]) for row in rows()}
    assert found.pop(("gcn", "3")) == ("-", "refused", "")
    assert found == {(model, "0"): (model, "finished", "0.5") for model in ("gcn", "sage")}


def test_a_job_that_was_made_longer_by_hand_is_left_as_it_is(gas_train: Command, capfd: pytest.CaptureFixture[str]) -> None:
    """The same line again would call the result of 400 epochs one of 200."""
    assert gas_train("-m", "hydra.sweep.dir=sweep", "seed=1,2") == 0
    longer = job_folder("sweep", seed=1)
    assert gas_train(f"resume={longer}", "trainer.epochs=400") == 0
    before = contents(longer)
    assert gas_train("-m", "hydra.sweep.dir=sweep", "seed=1,2") == 2
    assert "holds a run with trainer.epochs=400, and this job has trainer.epochs=200" in capfd.readouterr().err
    assert {name: content for name, content in contents(longer).items() if ".hydra" not in name} == {
        name: content for name, content in before.items() if ".hydra" not in name
    }
    found = [(row["trainer.epochs"], row["seed"], row["status"]) for row in rows() if row["job"] != "mean"]
    assert found == [("", "1", "refused"), ("200", "2", "finished"), ("400", "1", "finished")]


def test_jobs_that_cannot_be_composed_are_listed_in_a_used_folder(gas_train: Command) -> None:
    assert gas_train("-m", "hydra.sweep.dir=sweep", "model=appnp") == 0
    assert gas_train("-m", "hydra.sweep.dir=sweep", "model=gcnii,gcn", "model.alpha=0.25") == 2
    assert [(row["model"], row["status"]) for row in rows()] == [("appnp", "finished"), ("gcn", "not composed"), ("gcnii", "not run")]
    assert "model.alpha is not a setting" in rows()[1]["error"]


def test_jobs_after_one_that_cannot_be_composed_are_listed(gas_train: Command) -> None:
    words = ("model=appnp,gcn,gcnii", "model.alpha=0.25", "hydra.sweeper.max_batch_size=1")
    assert gas_train("-m", "hydra.sweep.dir=sweep", *words) == 2
    assert [(row["model"], row["status"]) for row in rows()] == [("appnp", "finished"), ("gcn", "not composed"), ("gcnii", "not run")]


def test_a_job_asked_for_twice_runs_once(gas_train: Command) -> None:
    assert gas_train("-m", "hydra.sweep.dir=sweep", "seed=0,0") == 0
    (row,) = rows()
    assert row["status"] == "finished" and row["job"].startswith("generated,gcn,seed=0-")


@pytest.mark.parametrize("name", ["ö" * 200, "a/b c:*?", ".."])
def test_any_value_makes_a_folder(name: str, gas_train: Command) -> None:
    assert gas_train("-m", "hydra.sweep.dir=sweep", f"partitioner.cache='{name}',other") == 0
    assert len(list(Path("sweep").glob("*/summary.json"))) == 2


def test_the_content_of_ones_own_file_belongs_to_the_job(gas_train: Command) -> None:
    own = "from torch_geometric.nn import SAGEConv\n\n\nclass Mine(SAGEConv):\n    pass\n"
    for content in (own, own + "\n\nCHANGED = True\n"):
        Path("mine.py").write_text(content)
        assert gas_train("-m", "hydra.sweep.dir=sweep", "model=custom", "model.module=mine.py") == 0
    assert len(list(Path("sweep").glob("*/config.yaml"))) == 2
