"""The options that scripts and benchmarks share, and both ways to start a script."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gas_cli.errors import UserError
from scripts.lib.command_line import BENCHMARK, COMMON, MEASUREMENT, STUDY, add_choices, make_parser, run_script

ROOT = Path(__file__).resolve().parents[3]
SCRIPTS = sorted(path.stem for path in (ROOT / "scripts").glob("[!_]*.py") if path.stem != "scripts")
WITH_HELP = [name for name in SCRIPTS if name != "demo" and not name.startswith("document")]


def test_a_default_replaces_the_common_one_and_becomes_a_choice() -> None:
    parser = make_parser(None, *MEASUREMENT, name="x", device="auto", rounds=7)
    given = parser.parse_args([])
    assert (given.device, given.rounds, given.work, given.name) == ("auto", 7, Path("runs/x"), "x")
    assert parser.parse_args(["--device", "cuda"]).device == "cuda"
    with pytest.raises(SystemExit):
        make_parser(None, *BENCHMARK).parse_args(["--device", "auto"])


def test_a_parser_has_the_options_that_were_asked_for_and_no_others() -> None:
    for common in (STUDY, MEASUREMENT, BENCHMARK):
        given = vars(make_parser(None, *common).parse_args([]))
        assert {f"--{name}" for name in given} == set(common) <= COMMON.keys()


def test_choices_are_all_unless_some_are_named() -> None:
    parser = make_parser(None)
    add_choices(parser, "--cases", {"a": 1, "b": 2})
    assert parser.parse_args([]).cases == ["a", "b"] and parser.parse_args(["--cases", "b"]).cases == ["b"]
    with pytest.raises(SystemExit):
        parser.parse_args(["--cases", "c"])


def test_what_a_user_can_mend_is_one_message_and_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise UserError("X is wrong: write Y.")

    with pytest.raises(SystemExit) as end:
        run_script(main)
    assert end.value.code == 2 and capsys.readouterr().err == "Error: X is wrong: write Y.\n"


def told(*command: str, at: Path) -> str:
    """The help without the usage, which names the program."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run([sys.executable, *command, "--help"], cwd=at, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.partition("\n\n")[2]


@pytest.mark.parametrize("name", WITH_HELP)
def test_a_script_starts_by_its_path_from_anywhere(name: str, tmp_path: Path) -> None:
    assert f"python -m scripts.{name}" in told(str(ROOT / "scripts" / f"{name}.py"), at=tmp_path)


def test_a_script_is_the_same_as_a_module(tmp_path: Path) -> None:
    assert told("-m", "scripts.table1", at=ROOT) == told(str(ROOT / "scripts" / "table1.py"), at=tmp_path)


def test_scripts_never_import_benchmarks() -> None:
    for path in (ROOT / "scripts").rglob("*.py"):
        assert "import benchmarks" not in (text := path.read_text()) and "from benchmarks" not in text, path
