"""Studies go on where they stopped, keep what is finished, and report what they saw."""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gas_cli.errors import UserError
from scripts.lib.study import Trial, codes, finished, records, run_trials
from tests.scripts.lib.small_study import TRIALS

ROOT = Path(__file__).resolve().parents[3]


def study(work: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        str(ROOT / "tests" / "scripts" / "lib" / "small_study.py"),
        "--work",
        str(work),
        "--out",
        str(work / "out"),
        *options,
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    work = tmp_path_factory.mktemp("study")
    return work, study(work, "--jobs", "2")


def test_a_failing_trial_is_told_and_the_others_are_reported(done) -> None:
    work, process = done
    assert process.returncode == 0, process.stderr
    assert "impossible: failed: dataset.split=7" in process.stdout
    report = json.loads((work / "out" / "small.json").read_text())
    assert [row["trial"] for row in report["rows"]] == ["first", "second"]
    for row in report["rows"]:
        assert row["test"] == json.loads((work / row["trial"] / "summary.json").read_text())["test"]
    assert {"cpu", "versions", "code"} <= report["machine"].keys()


def test_the_three_files_hold_the_same_rows(done) -> None:
    work, _ = done
    rows = json.loads((work / "out" / "small.json").read_text())["rows"]
    with (work / "out" / "small.csv").open() as file:
        assert [(row["trial"], float(row["test"])) for row in csv.DictReader(file)] == [(row["trial"], row["test"]) for row in rows]
    text = (work / "out" / "small.md").read_text()
    assert all(f"| {row['trial']}" in text for row in rows)


def test_the_same_command_again_goes_on_and_ends_as_if_never_stopped(done, tmp_path) -> None:
    work, _ = done
    stopped = tmp_path / "stopped"
    shutil.copytree(work, stopped)
    untouched = (stopped / "second" / "checkpoints" / "last.pt").stat().st_mtime_ns
    # As after a kill -9 between two checkpoints: fewer epochs, no summary of the end.
    shutil.rmtree(stopped / "first")
    interrupted = tuple("trainer.epochs=4" if s == "trainer.epochs=6" else s for s in TRIALS[0].settings)
    train_here(Trial("first", interrupted), stopped)
    (stopped / "first" / "trial.json").write_text((work / "first" / "trial.json").read_text())
    (stopped / "first" / "summary.json").write_text('{"status": "running"}')
    again = study(stopped, "--jobs", "1")  # as many as before would import everything twice
    assert again.returncode == 0, again.stderr
    assert "3 runs, 1 of them finished" in again.stdout
    assert (stopped / "second" / "checkpoints" / "last.pt").stat().st_mtime_ns == untouched
    assert metrics(stopped / "first") == metrics(work / "first")


def train_here(trial: Trial, work: Path) -> None:
    from gas_cli.config.compose import compose_config
    from gas_cli.run import run

    settings = (*trial.settings, "dataset.root=data")
    run(compose_config(settings), work / trial.name)


def metrics(folder: Path) -> list[tuple[float, ...]]:
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [tuple(record[key] for key in ("epoch", "loss", "train", "val", "test")) for record in records if "epoch" in record]


def test_a_report_trains_nothing(tmp_path) -> None:
    process = study(tmp_path, "--report")
    assert process.returncode == 0, process.stderr
    assert not list(tmp_path.glob("*/metrics.jsonl"))


def test_a_folder_with_a_run_of_other_settings_is_refused(tmp_path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "trial.json").write_text(json.dumps({"settings": ["seed=0"], "code": ""}))
    with pytest.raises(UserError, match=r"there seed=0, here seed=1.*remove that folder, or choose another with --work"):
        finished(tmp_path, Trial("a", ("seed=1",)))


def test_a_kept_report_stands_for_its_runs_where_the_settings_are_the_same(tmp_path) -> None:
    trials = [Trial("a", ("seed=1",)), Trial("b", ("seed=2",)), Trial("c", ("seed=3",))]
    arguments = argparse.Namespace(root="here", set=[], report=True, keep=True, work=tmp_path / "work", out=tmp_path, name="small")
    folder = arguments.work / "a"
    folder.mkdir(parents=True)
    (folder / "trial.json").write_text(json.dumps({"settings": ["seed=1", "dataset.root=here"], "code": "one"}))
    (folder / "summary.json").write_text(json.dumps({"status": "finished", "test": 0.5, "val": 0.6, "seconds": 7.0}))
    first = run_trials(trials, arguments)
    other = {"settings": ["seed=4"], "code": "two", "test": 0.1}
    (tmp_path / "small.json").write_text(json.dumps({"trials": records(arguments, first) | {"b": other}}))
    elsewhere = argparse.Namespace(**vars(arguments) | {"root": "there", "work": tmp_path / "empty"})
    again = run_trials(trials, elsewhere)
    assert {name: summary["test"] for name, summary in again.items()} == {"a": 0.5}, "b had other settings, c was never run"
    assert records(elsewhere, again) == records(arguments, first)
    assert codes(elsewhere.work, again) == ["one"]
