"""`gas-predict`: its settings, messages and exit codes."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest

from gas_cli.cli.predict import command_line, main
from gas_cli.errors import Interrupted, UserError


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[Any, ...]]:
    """The arguments that reach `predict`, and the file that is written; `out=` names its failures."""
    received: list[tuple[Any, ...]] = []
    failures = {"user.npz": UserError("no checkpoint"), "bug.npz": RuntimeError("boom"), "stop.npz": Interrupted("stop")}

    class Found:
        def save(self, out: str, top: int | None) -> str:
            received[-1] += (out,)
            if out in failures:
                raise failures[out]
            return out

    def predict(run: Path, nodes: Any, mode: str, checkpoint: str, device: str, settings: list[str], source: str) -> Found:
        received.append((run, nodes, mode, checkpoint, device, settings, source))
        return Found()

    module = types.ModuleType("gas_cli.prediction")
    module.embed = module.predict = predict  # type: ignore[attr-defined]
    module.read_nodes = lambda path: f"read from {path}"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gas_cli.prediction", module)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("")
    (tmp_path / "ids.txt").write_text("0\n1\n")
    return received


def test_defaults_and_settings_reach_the_program(calls: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line(["run=run"]) == 0
    data = ["dataset=folder", "dataset.path=there"]
    assert command_line(["run=run", "mode=history", "out=p.npz", "nodes=ids.txt", "checkpoint=last", "device=cpu", *data]) == 0
    assert calls == [
        (Path("run"), None, "exact", "best", "auto", [], "nodes=", "predictions.npz"),
        (Path("run"), "read from ids.txt", "history", "last", "cpu", data, "nodes=ids.txt", "p.npz"),
    ]
    assert "p.npz" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "run=RUN_DIR is missing"),
        (["run=none"], "the folder of a run"),
        (["run=run", "mode=fast"], "exact, history"),
        (["run=run", "mod=exact"], "Did you mean mode"),
        (["run=run", "nodes=none.txt"], "file of node ids"),
        (["run=run", "out=p.xls"], ".npz"),
        (["run=run", "top=2"], "out=FILE.csv"),
        (["run=run", "checkpoint=first"], "best, last"),
        (["run=run", "device=gpu"], "auto, cpu, cuda"),
        (["run"], "expected key=value"),
        (["run=run", "out=user.npz"], "no checkpoint"),
        (["run=run", "out=ids.txt/p.npz"], "ids.txt is not a folder"),
    ],
)
def test_mistakes_exit_2_with_one_message(
    arguments: list[str], message: str, calls: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line(arguments) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1


def test_the_other_exit_codes(calls: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch) -> None:
    assert command_line(["run=run", "out=stop.npz"]) == 130
    assert command_line(["run=run", "out=bug.npz"]) == 1
    monkeypatch.setattr(sys, "argv", ["gas-predict", "run=run"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 0


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line(["--help"]) == 0
    assert "mode=exact " in capsys.readouterr().out
    assert command_line(["--version"]) == 0
    assert capsys.readouterr().out.startswith("gas-predict ")
