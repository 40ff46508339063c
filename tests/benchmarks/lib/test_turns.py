"""Turns: every case has a round, no later one is begun that would not end in time, ratios are those within a round."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.lib.processes import by_case, in_process, parse, take_turns
from benchmarks.lib.turns import Budget, in_turns, ratio, summary


class Hours:
    """A clock that work moves on."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def rounds_run(minutes: float, took: dict[str, float], rounds: int) -> list[tuple[int, str]]:
    clock, found = Hours(), []
    for number, case in Budget(minutes, clock).turns(list(took), rounds):
        found.append((number, case))
        clock.now += took[case]
    return found


def test_every_case_has_its_first_round_however_late_it_is() -> None:
    assert rounds_run(1, {"a": 500, "b": 500}, 3) == [(0, "a"), (0, "b")]


def test_later_rounds_are_begun_while_they_fit() -> None:
    assert rounds_run(1, {"long": 25, "short": 4}, 3) == [(0, "long"), (0, "short"), (1, "long"), (1, "short")]
    assert rounds_run(1, {"long": 40, "short": 4}, 3) == [(0, "long"), (0, "short"), (1, "short"), (2, "short")]
    assert len(rounds_run(60, {"a": 1, "b": 2}, 3)) == 6


def test_steps_take_turns_after_a_round_of_warm_up() -> None:
    clock, order = Hours(), []

    def step(name: str, seconds: float) -> None:
        order.append(name)
        clock.now += seconds

    seconds = in_turns({"a": lambda: step("a", 1), "b": lambda: step("b", 3)}, 2, clock)
    assert order == ["a", "b", "b", "a", "a", "b"] and seconds == {"a": [1, 1], "b": [3, 3]}


def test_a_ratio_is_the_median_of_those_within_a_round() -> None:
    """A machine that is three times slower in the second round changes both, and nothing about the ratio."""
    assert ratio([1, 3, 2], [2, 6, 4]) == 0.5
    assert summary([3.0, 1.0, 2.0]) == {"median": 2.0, "min": 1.0, "max": 3.0, "all": [3.0, 1.0, 2.0]}


@pytest.mark.parametrize(("code", "raises"), [("import os; os.kill(os.getpid(), 9)", False), ("raise ValueError('no')", True)])
def test_a_worker_without_memory_is_missing_and_a_broken_one_is_an_error(code: str, raises: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    run = subprocess.run
    monkeypatch.setattr("benchmarks.lib.processes.subprocess.run", lambda _, **options: run([sys.executable, "-c", code], **options))
    if raises:
        with pytest.raises(SystemExit, match="ValueError: no"):
            in_process("benchmarks.epoch_time", {})
    else:
        assert "memory" in in_process("benchmarks.epoch_time", {})["missing"]


def test_a_process_prints_what_its_work_makes_of_the_task(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmark", "--worker", json.dumps({"epochs": 3})])
    with pytest.raises(SystemExit) as ended:
        parse(argparse.ArgumentParser(), lambda task: {"doubled": 2 * task["epochs"]})
    assert not ended.value.code and json.loads(capsys.readouterr().out) == {"doubled": 6}
    monkeypatch.setattr(sys, "argv", ["benchmark"])
    assert parse(argparse.ArgumentParser(), lambda _: {}).worker is None


def test_processes_take_turns_and_what_is_missing_once_is_not_tried_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A case's variants run one after the other in each round; `b, gas` runs out of memory in the second round of three."""
    asked: list[tuple[Any, ...]] = []

    def answer(module: str, task: dict[str, Any]) -> dict[str, Any]:
        asked.append((module, *task["name"], task["round"]))
        assert Path(task["cache"]).is_dir()
        return {"missing": "no memory"} if (*task["name"], task["round"]) == ("b", "gas", 1) else {"seconds": task["round"]}

    monkeypatch.setattr("benchmarks.lib.processes.in_process", answer)
    names = [("a", "gas"), ("b", "gas"), ("b", "pyg")]
    outcomes, missing = take_turns(
        "module",
        names,
        lambda name, number, cache: {"name": name, "round": number, "cache": cache},
        argparse.Namespace(minutes=60, rounds=3),
        lambda outcome: f"{outcome['seconds']} s",
    )
    assert asked == [("module", *name, number) for number in range(3) for name in names if (*name, number) != ("b", "gas", 2)]
    assert missing == {"b, gas": "no memory"} and [found["seconds"] for found in outcomes["b", "gas"]] == [0]
    assert by_case(outcomes, missing) == {"a": {"gas": outcomes["a", "gas"]}, "b": {"pyg": outcomes["b", "pyg"]}}
    assert [found["seconds"] for found in outcomes["b", "pyg"]] == [0, 1, 2]
    assert capsys.readouterr().err.splitlines()[:2] == ["a, gas, round 1: 0 s", "b, gas, round 1: 0 s"]
