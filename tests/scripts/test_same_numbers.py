"""The comparison of two states of the code: equal ones are equal, and the smallest difference is found and named."""

from __future__ import annotations

import argparse
import copy
import json
import math
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gas_cli.errors import UserError
from scripts import same_numbers
from scripts.lib.same_cases import CASES, OF_SUMS, SUMS, Case
from scripts.lib.same_state import numbers
from scripts.same_numbers import DIFFERENT, EQUAL, EXPECTED, LEFT_OUT, first_difference, judge

TWO = ("setting-partitioner-range", "stopped-cluster_gcn")
TINY = Case("tiny", ("~tuned", "dataset.num_nodes=60", "partitioner=range", "partitioner.num_parts=2", "trainer.batch_parts=1"))
ROOT = Path(__file__).resolve().parents[2]
Judge = Callable[..., tuple[int, dict[str, Any]]]


def computed(cases: list[Case], folder: Path) -> dict[str, Any]:
    """A file of numbers, computed in this process."""
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gas_cli.run.plot_curves", lambda metrics, out: False)  # pictures take longer than the runs
        found = numbers(cases, folder)
    return {"cases": found, "code": folder.name, "seconds": 1.0, "machine": {"cpu": "one"}}


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The same state twice."""
    folder = tmp_path_factory.mktemp("states")
    cases = [case for case in CASES if case.name in TWO]
    return [computed(cases, folder / name) for name in ("one", "two")]


@pytest.fixture
def judged(tmp_path: Path) -> Judge:
    """Compares two states by their files: the exit code, and the report as it was written."""

    def compare(before: dict[str, Any], after: dict[str, Any], *expected: str) -> tuple[int, dict[str, Any]]:
        paths = [tmp_path / "before.json", tmp_path / "after.json"]
        for path, state in zip(paths, (before, after), strict=True):
            path.write_text(json.dumps(state))
        sides = dict(zip(("before", "after"), map(str, paths), strict=True))
        out = tmp_path / "report"
        code = judge(argparse.Namespace(**sides, only=list(TWO), expected=list(expected), out=out, work=tmp_path))
        assert all(name in (tmp_path / "report.md").read_text() for name in TWO)
        return code, json.loads((tmp_path / "report.json").read_text())

    return compare


def verdicts(report: dict[str, Any]) -> dict[str, str]:
    return {line["case"]: line["verdict"] for line in report["rows"]}


def changed(state: dict[str, Any], case: str, **changes: Any) -> dict[str, Any]:
    new = copy.deepcopy(state)
    new["cases"][case].update(changes)
    return new


def test_a_state_is_equal_to_itself(states: list[dict[str, Any]], judged: Judge) -> None:
    code, report = judged(*states)
    assert code == 0 and verdicts(report) == dict.fromkeys(TWO, EQUAL)
    for case in states[0]["cases"].values():
        assert case["error"] == "" and [record["epoch"] for record in case["runs"]["."]] == [1, 2, 3]
        assert all(math.isfinite(float.fromhex(record[name])) for record in case["runs"]["."] for name in ("loss", "lr", "val"))
    assert [list(case["predictions"]["."]) for case in states[0]["cases"].values()] == [["exact", "history"], ["exact"]]


@pytest.mark.parametrize("name", ["loss", "lr", "train", "val", "test"])
def test_one_bit_of_one_number_is_found_and_named(name: str, states: list[dict[str, Any]], judged: Judge) -> None:
    other = copy.deepcopy(states[1])
    record = other["cases"][TWO[1]]["runs"]["."][1]
    value = float.fromhex(record[name])
    record[name] = math.nextafter(value, math.inf).hex()
    code, report = judged(states[0], other)
    assert code == 1 and verdicts(report) == {TWO[0]: EQUAL, TWO[1]: DIFFERENT}
    line = report["rows"][1]
    assert line["where"] == f"epoch 2, {name}"
    assert (float(line["before"]), float(line["after"])) == (value, math.nextafter(value, math.inf))
    assert 0 < line["relative difference"] <= 2.0**-52
    code, report = judged(states[0], other, "stopped-*")
    assert code == 0 and verdicts(report) == {TWO[0]: EQUAL, TWO[1]: EXPECTED}


def test_what_else_differs_is_named(states: list[dict[str, Any]], judged: Judge) -> None:
    before, (name, _) = states[0], TWO
    case = before["cases"][name]
    shorter = {".": case["runs"]["."][:2]}
    others = {
        "number of epochs": {"runs": shorter},
        "runs": {"runs": {"runs/00": case["runs"]["."]}},
        "probabilities, mode=history": {"predictions": {".": {**case["predictions"]["."], "history": "0"}}},
        "settings": {"settings": [*case["settings"], "seed=1"]},
        "error": {"error": "UserError: no"},
    }
    for where, changes in others.items():
        code, report = judged(before, changed(before, name, **changes))
        assert (code, report["rows"][0]["where"]) == (1, where)
    missing = copy.deepcopy(before)
    del missing["cases"][name]
    code, report = judged(missing, before)
    assert code == 1 and {"where": "the case", "before": "missing", "after": "there"}.items() <= report["rows"][0].items()


def test_a_case_that_fails_in_both_states_is_said_to_compare_nothing(states: list[dict[str, Any]], judged: Judge, tmp_path: Path) -> None:
    failing = changed(states[0], TWO[0], error="UserError: no", runs={}, predictions={})
    code, report = judged(failing, failing)
    assert code == 0 and report["rows"][0]["where"] == "both: UserError: no"
    assert f"Fail in both states, and so compare nothing: {TWO[0]}." in (tmp_path / "report.md").read_text()


def test_a_setting_that_one_state_no_longer_has_does_not_fail_the_comparison(states: list[dict[str, Any]], judged: Judge) -> None:
    other = changed(states[1], TWO[0], left_out=["trainer.old=1"])
    code, report = judged(states[0], other)
    assert code == 0 and report["rows"][0]["where"] == "no trainer.old=1 after" and verdicts(report)[TWO[0]] == EQUAL
    other["cases"][TWO[0]]["runs"]["."][0]["loss"] = (0.5).hex()
    code, report = judged(states[0], other)
    assert code == 0 and verdicts(report)[TWO[0]] == LEFT_OUT
    both = changed(states[0], TWO[0], left_out=["trainer.old=1"])
    assert judged(both, other)[0] == 1, "left out in both: nothing excuses a difference"


def test_only_unknown_keys_are_left_out_and_failures_are_results(tmp_path: Path) -> None:
    short = (*TINY.settings, "trainer.epochs=1")
    cases = [
        Case("unknown", short, optional=("trainer.no_such_setting=1", "trainer.prefetch=1")),
        Case("wrong value", short, optional=("trainer.prefetch=-1",)),
        Case("not stopped", short, stop_after=1000),
        Case("missing", ("~tuned", "dataset=folder", "dataset.path=DATA/none")),
    ]
    found = computed(cases, tmp_path / "work")["cases"]
    assert found["unknown"]["left_out"] == ["trainer.no_such_setting=1"] and found["unknown"]["error"] == ""
    assert found["wrong value"]["error"].startswith("UserError: trainer.prefetch=-1 is not valid")
    assert found["not stopped"]["error"].startswith("RuntimeError")
    assert "WORK/data/none" in found["missing"]["error"] and str(tmp_path) not in found["missing"]["error"]


def test_a_stopped_run_ends_like_one_that_was_not(tmp_path: Path) -> None:
    """So that the cases of resumed runs do compare the middle of an epoch: two steps make an epoch here."""
    settings = (*TINY.settings, "trainer.epochs=2")
    cases = [
        Case("whole", settings),
        Case("stopped", settings, stop_after=1),
        Case("more", (*settings[:-1], "trainer.epochs=1"), more=settings[-1:]),
    ]
    found = computed(cases, tmp_path / "work")["cases"]
    assert found["whole"]["error"] == "" and len(found["whole"]["runs"]["."]) == 2
    for name in ("stopped", "more"):
        assert first_difference(found["whole"], {**found[name], "settings": found["whole"]["settings"]}) is None


def test_cases_have_names_of_their_own_and_cover_models_and_methods() -> None:
    from gas_cli.config.schemas import METHOD_SCHEMAS, MODEL_SCHEMAS

    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    pairs = {(model, method) for model in MODEL_SCHEMAS for method in METHOD_SCHEMAS if method not in OF_SUMS or model in SUMS}
    assert {f"{model}-{method}" for model, method in pairs} <= set(names)


@pytest.mark.skipif(shutil.which("git") is None or not (ROOT / ".git").exists(), reason="needs a checkout and git")
def test_a_commit_is_checked_out_for_as_long_as_it_is_needed() -> None:
    with same_numbers._checkout("HEAD") as folder:
        assert (folder / "gas_cli" / "run.py").is_file() and folder != ROOT
        assert str(folder) in worktrees()
    assert not folder.exists() and str(folder) not in worktrees()


def worktrees() -> str:
    return subprocess.run(["git", "-C", str(ROOT), "worktree", "list"], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(("given", "reason"), [("no-such-commit", "neither a folder nor a commit"), ("none.json", "cannot be read")])
def test_what_is_no_state_is_refused(given: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=reason):
        same_numbers.state_of(given, "before", [], tmp_path)
    with pytest.raises(UserError, match="holds no gas_cli"):
        same_numbers.state_of(str(tmp_path), "before", [], tmp_path)
    with pytest.raises(UserError, match="No case is named gnc-gas"):
        judge(argparse.Namespace(only=["gnc-gas"], expected=[]))
