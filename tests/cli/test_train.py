"""Exit codes, messages and what a single run leaves behind."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import gas_cli
from gas_cli.cli.train import main
from gas_cli.config.compose import compose_config, load_config

Command = Callable[..., int]
MISTAKES = ["dataset=corra", "trainer.epoch=3", "trainer.epochs=abc", "trainer.epochs=-1", "seed=[1,", "+x=1", "model=null"]


def test_a_run_gets_a_folder_of_its_own(gas_train: Command, tmp_path: Path) -> None:
    assert gas_train("dataset=cora", "seed=3") == 0
    assert gas_train("dataset=cora", "seed=3") == 0
    folders = list((tmp_path / "runs").iterdir())
    assert len(folders) == 2
    for folder in folders:
        assert folder.name.endswith("-cora-gcn")
        assert load_config(folder / "config.yaml") == compose_config(["dataset=cora", "seed=3", f"dataset.root={tmp_path / 'data'}"])
        assert f"Run folder: runs/{folder.name}" in (folder / "gas-train.log").read_text()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["dataset=cora", "model=gcn"], "Published hyper-parameters of model=gcn on dataset=cora (tuned/cora/gcn.yaml)."),
        (["dataset=cora", "model=sage"], "No published hyper-parameters of model=sage on dataset=cora: it starts from the defaults"),
        (["dataset=cora", "~tuned"], "Published hyper-parameters are left out: model=gcn on dataset=cora starts from the defaults."),
        ([], "No published hyper-parameters of model=gcn on dataset=generated"),
        (
            ["--config-dir", "mine", "model=sage"],
            "Published hyper-parameters of model=sage on dataset=generated (tuned",
        ),
    ],
)
def test_a_run_says_whether_its_hyper_parameters_are_published(words: list[str], sentence: str, gas_train: Command) -> None:
    Path("mine/tuned/generated").mkdir(parents=True)
    Path("mine/tuned/generated/sage.yaml").write_text("# @package _global_\ntrainer:\n  epochs: 7\n")
    assert gas_train(*words, "hydra.run.dir=here") == 0
    assert sentence in Path("here/gas-train.log").read_text()


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_exits_2_with_one_message_and_no_folder(
    mistake: str, gas_train: Command, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert gas_train(mistake) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1 and err.startswith("gas-train: ")
    assert list(tmp_path.iterdir()) == []


def test_an_unexpected_failure_names_the_log_with_the_traceback(gas_train: Command, capfd: pytest.CaptureFixture[str]) -> None:
    assert gas_train("seed=13", "hydra.run.dir=here") == 1
    out, err = capfd.readouterr()
    assert "Traceback" not in out + err
    assert err == "gas-train: failed unexpectedly (RuntimeError: boom). The traceback is in here/gas-train.log\n"
    text = Path("here/gas-train.log").read_text()
    assert "Traceback" in text and "RuntimeError: boom" in text
    summary = json.loads(Path("here/summary.json").read_text())
    assert (summary["status"], summary["error"]) == ("failed", "RuntimeError: boom")


def test_a_user_error_of_the_run_exits_2_and_is_recorded(gas_train: Command, capfd: pytest.CaptureFixture[str]) -> None:
    assert gas_train("seed=14", "hydra.run.dir=here") == 2
    assert capfd.readouterr().err == "gas-train: the loss is NaN\n"
    assert json.loads(Path("here/summary.json").read_text())["error"] == "the loss is NaN"


def test_an_interruption_exits_130_and_is_recorded(gas_train: Command) -> None:
    assert gas_train("seed=15", "hydra.run.dir=here") == 130
    assert json.loads(Path("here/summary.json").read_text())["status"] == "interrupted"


def test_a_folder_that_holds_a_run_is_left_alone(gas_train: Command, capfd: pytest.CaptureFixture[str]) -> None:
    assert gas_train("hydra.run.dir=here") == 0
    before = Path("here/summary.json").read_bytes(), Path("here/config.yaml").read_bytes()
    assert gas_train("hydra.run.dir=here", "seed=5") == 2
    assert "already holds a run" in capfd.readouterr().err
    assert (Path("here/summary.json").read_bytes(), Path("here/config.yaml").read_bytes()) == before


def test_a_run_that_failed_before_its_first_checkpoint_can_be_started_again(gas_train: Command) -> None:
    assert gas_train("hydra.run.dir=here", "seed=14") == 2
    assert gas_train("hydra.run.dir=here", "seed=1") == 0


def test_a_folder_that_cannot_be_made(gas_train: Command, capfd: pytest.CaptureFixture[str]) -> None:
    Path("file").write_text("")
    assert gas_train("hydra.run.dir=file/run") == 2
    assert "hydra.run.dir=DIR" in capfd.readouterr().err


def test_version_is_ours(gas_train: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert gas_train("--version") == 0
    assert capsys.readouterr().out == f"gas-train {gas_cli.__version__}\n"


@pytest.mark.parametrize("word", ["doctor", "--doctor"])
def test_doctor_reports_versions_and_the_device(word: str, gas_train: Command, capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    assert gas_train(word) == 0
    text = capsys.readouterr().out
    assert torch.__version__ in text or torch.__version__.split("+")[0] in text
    for name in ("pymetis", "numba", "hydra-core", "CPU cores", "device=auto"):
        assert name in text


def test_cfg_and_info_still_work(gas_train: Command, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert gas_train("--cfg", "job", "dataset=cora") == 0
    assert "hidden_channels: 16" in capsys.readouterr().out
    assert gas_train("--info", "searchpath") == 0
    assert "main" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_completion_offers_choices(gas_train: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COMP_LINE", "gas-train dataset=cora")
    monkeypatch.setenv("COMP_POINT", "22")
    assert gas_train("-sc", "query=bash") == 0
    assert "dataset=cora" in capsys.readouterr().out


def test_own_configs_by_folder(gas_train: Command, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "my" / "experiment").mkdir(parents=True)
    (tmp_path / "my" / "experiment" / "mine.yaml").write_text("# @package _global_\ntrainer:\n  epochs: 7\n")
    assert gas_train("--config-dir", "my", "experiment=mine", "hydra.run.dir=here") == 0
    assert load_config(Path("here/config.yaml")).trainer.epochs == 7
    assert gas_train("--config-dir", "none") == 2
    assert gas_train("--config-path", "my") == 2
    assert "--config-dir" in capfd.readouterr().err


def test_the_process_is_left_as_it_was(gas_train: Command) -> None:
    argv, environment = list(sys.argv), dict(os.environ)
    gas_train("seed=13")
    assert sys.argv == argv and dict(os.environ) == environment


def test_main_exits_with_the_code(gas_train: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["gas-train", "dataset=corra"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2


def test_a_failure_is_reported_even_when_it_cannot_be_recorded(
    gas_train: Command, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from gas_cli.cli import job

    def full(path: Path, summary: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gas_cli.report.summary.write_summary", full)
    with caplog.at_level(logging.ERROR), pytest.raises(job.JobFailed, match="boom"):
        job.guarded(Path(), lambda: (_ for _ in ()).throw(RuntimeError("boom")))  # type: ignore[arg-type,return-value]
    assert "No space left" in caplog.text
