"""The page of examples: its programs and commands run in their order, print what it shows, and do what it says."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.end_to_end.conftest import Command
from tests.test_docs import EXECUTED

FOLDERS = ("papers", "archive", "plain", "update")


def fenced() -> Iterator[tuple[str, str]]:
    """Language and content of every block of the page."""
    yield from re.findall(r"^```(\w+)\n(.*?)^```$", EXECUTED.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_the_examples_do_what_the_page_says(
    tmp_path: Path, gas_train: Command, gas_predict: Command, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # the cache
    for folder in FOLDERS:
        (tmp_path / folder).mkdir()
    names: dict[str, Any] = {}
    printed, shown = "", 0
    for language, content in fenced():
        if language == "python":
            exec(compile(content, EXECUTED.name, "exec"), names)
        elif language == "bash":
            for line in content.splitlines():
                printed = run(shlex.split(line), gas_train, gas_predict, capfd)
        else:
            assert language == "text"
            without_folders = printed.replace(f"{tmp_path}/", "")
            missing = [line for line in content.splitlines() if line not in without_folders]
            assert missing == [], printed
            shown += 1
    assert shown == 2
    check_results(tmp_path, names)
    check_scaling(tmp_path, gas_train)


def run(words: list[str], gas_train: Command, gas_predict: Command, capfd: pytest.CaptureFixture[str]) -> str:
    """What the command prints."""
    from gas_cli.cli.data import command_line

    program, *arguments = words
    if program == "gas-data":
        capfd.readouterr()
        assert command_line(arguments) == 0
        return capfd.readouterr().out
    outcome = {"gas-train": gas_train, "gas-predict": gas_predict}[program](*arguments)
    assert outcome.code == 0, outcome.err
    return outcome.out + outcome.err


def check_results(folder: Path, names: dict[str, Any]) -> None:
    papers = pd.read_csv(folder / "papers" / "nodes.csv")
    predicted = pd.read_csv(folder / "predictions.csv")
    assert predicted.columns.tolist() == ["id", "class", *(f"probability_{name}" for name in ("biology", "history", "physics"))]
    assert predicted["id"].tolist() == papers["id"].tolist()
    summaries = {name: json.loads((folder / "runs" / name / "summary.json").read_text()) for name in ("papers", "archive", "plain")}
    assert all(summary["test"] > 0.8 for summary in summaries.values()), summaries
    assert names["run"].summary["status"] == "finished"
    new = pd.read_csv(folder / "new.csv")
    assert new["id"].tolist() == ["N1", "N2"] and new["class"].tolist() == ["physics", "biology"]


def check_scaling(folder: Path, gas_train: Command) -> None:
    """The first example's run without its scaling, next to the one that the page has just trained."""
    line = next(content for language, content in fenced() if language == "bash" and "standard" in content).splitlines()[0]
    words = [word for word in shlex.split(line)[1:-1] if not word.startswith("dataset.normalize")]
    assert gas_train(*words, "hydra.run.dir=unscaled").code == 0
    found = {name: json.loads((folder / name / "summary.json").read_text())["test"] for name in ("runs/papers", "unscaled")}
    assert found["unscaled"] < found["runs/papers"] - 0.2, found
