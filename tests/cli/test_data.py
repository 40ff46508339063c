from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gas_cli.cli.data import command_line


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A ring of nine nodes, each edge listed once."""
    nodes = np.arange(9)
    tables = {"edges": np.stack([nodes, (nodes + 1) % 9]), "features": np.eye(9, dtype=np.float32), "labels": nodes % 3}
    tables |= {f"{part}_mask": nodes // 3 == number for number, part in enumerate(("train", "val", "test"))}
    for stem, values in tables.items():
        np.save(tmp_path / f"{stem}.npy", values)
    return tmp_path


def test_what_is_understood_is_printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line(["check", str(folder)]) == 0
    out = capsys.readouterr().out
    for line in ("nodes:", "9 messages, directed", "1; the largest has 9 nodes", "0.000 of the edges", "train 3, val 3, test 3, in none 0"):
        assert line in out
    assert "note: messages pass in one direction" in out


@pytest.mark.parametrize("setting", ["undirected=true", "dataset.undirected=true"])
def test_settings_are_those_of_the_dataset(folder: Path, capsys: pytest.CaptureFixture[str], setting: str) -> None:
    assert command_line(["check", str(folder), setting]) == 0
    assert "18 messages, every edge in both directions" in (out := capsys.readouterr().out) and "note" not in out


def test_what_is_wrong_is_said_with_code_2(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "labels.npy").unlink()
    (folder / "labels.csv").write_text("0\n" * 8 + "x\n")
    assert command_line(["check", str(folder)]) == 2
    remedy = "Expected numbers only: encode or remove the text; a node's id is its row in the labels, from 0"
    expected = f"gas-data: {folder}/labels.csv, row 8 (line 9): 'x' in column 0 is no number. {remedy}.\n"
    assert capsys.readouterr() == ("", expected)


@pytest.mark.parametrize("argv", [[], ["check"], ["look", "DIR"], ["check", "undirected=true"], ["check", "DIR", "undirect=true"]])
def test_wrong_arguments(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line(argv) == 2
    assert "is not valid" in capsys.readouterr().err


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line(["--help"]) == command_line(["--version"]) == 0
    assert "gas-data check" in capsys.readouterr().out
