"""Results as files: one writer for programs, people and spreadsheets."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from scripts.lib.report import read, write, write_report


def test_a_result_is_written_for_people_and_for_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("x", [{"a": 1.5}], lambda content: f"# T\n\n{content['rows'][0]['a']} {content['settings']['rounds']}", {"rounds": 2}, tmp_path)
    assert read("x", tmp_path)["rows"] == [{"a": 1.5}] and set(read("x", tmp_path)["machine"]) >= {"cpu", "cores", "versions", "code"}
    assert (tmp_path / "x.md").read_text(encoding="utf-8").startswith("# T\n\n1.5 2\n\nMeasured on ")
    assert "1.5 2" in capsys.readouterr().out


def test_a_report_shows_its_columns_and_keeps_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"a": 1.5, "b": "x", "all": [1, 2]}, {"a": float("nan"), "c": None}]
    write_report(tmp_path / "new", "x", "T", ("a",), rows, ["A note."], trials={"one": {"test": 0.5}})
    content = json.loads((tmp_path / "new" / "x.json").read_text())
    assert list(content) == ["title", "machine", "rows", "trials"] and content["title"] == "T" and content["trials"]["one"] == {"test": 0.5}
    assert content["rows"] == [rows[0], {"a": None, "c": None}]
    text = (tmp_path / "new" / "x.md").read_text(encoding="utf-8")
    assert (
        text.startswith("# T\n\n| a   |\n|-----|\n| 1.5 |\n| nan |\n\nA note.\n\nMeasured on ")
        and text.endswith("\n")
        and "x |" not in text
    )
    with (tmp_path / "new" / "x.csv").open() as file:
        assert list(csv.DictReader(file)) == [{"a": "1.5", "b": "x", "c": ""}, {"a": "nan", "b": "", "c": ""}]
    assert text in capsys.readouterr().out
