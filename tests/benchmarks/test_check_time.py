"""A measured check says what failed in it: its seconds mean nothing otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import check_time
from scripts.lib import report

PASSES = ("-c", "print('all well')")
FAILS = ("-c", "print('1 failed, 2 passed\\n'); raise SystemExit(3)")
SILENT = ("-c", "raise SystemExit(1)")


def test_every_command_that_fails_is_reported_with_its_last_line_and_the_others_run(tmp_path: Path) -> None:
    seconds, failures = check_time.timed(tmp_path, FAILS, PASSES, SILENT)
    assert seconds >= 0
    assert [failure.partition(": exit code ")[2] for failure in failures] == ["3: 1 failed, 2 passed", "1: no output"]
    assert failures[0].startswith("-c print(")
    assert check_time.timed(tmp_path, PASSES)[1] == []


def test_a_command_runs_the_modules_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "gas_cli.py").write_text("raise SystemExit('the one in the folder')")
    assert check_time.timed(tmp_path, ("-c", "import gas_cli"))[1] == ["-c import gas_cli: exit code 1: the one in the folder"]


@pytest.mark.parametrize("failures", [[], ["-m pytest: exit code 1: 1 failed | 2 passed"]], ids=["passed", "failed"])
def test_the_table_the_output_and_the_exit_code_say_what_failed(
    failures: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row: dict[str, Any] = {"commit": "abc1234", "subject": "A change", "changed": 1, "run": ["tests/test_a.py"], "left": 0, "estimate": 3.0}
    monkeypatch.setattr(check_time, "row_of", lambda *_: dict(row))
    monkeypatch.setattr(check_time, "git", lambda *_: "abc1234")
    monkeypatch.setattr(check_time, "check", lambda _: ({"lint and types": 1.0, "tests": 5.0}, failures))
    monkeypatch.setattr("sys.argv", ["check_time", "--commits", "1", "--run", "1"])
    write = report.write
    monkeypatch.setattr(report, "write", lambda *given: write(*given, results=tmp_path))
    if failures:
        with pytest.raises(SystemExit) as end:
            check_time.main()
        assert end.value.code == 1
    else:
        check_time.main()
    (line,) = (line for line in (tmp_path / "check-time.md").read_text().splitlines() if line.startswith("| abc1234"))
    assert line.endswith("| 1 + 5; failed: -m pytest: exit code 1: 1 failed / 2 passed |" if failures else "| 1 + 5 |")
    assert ("  failed: -m pytest" in capsys.readouterr().out) == bool(failures)
