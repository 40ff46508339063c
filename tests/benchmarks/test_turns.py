"""Turns: every case has a round, no later one is begun that would not end in time, ratios are those within a round."""

from __future__ import annotations

import subprocess
import sys

import pytest

from benchmarks.processes import in_process
from benchmarks.turns import Budget, in_turns, ratio, summary


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
    assert order == ["a", "b"] * 3 and seconds == {"a": [1, 1], "b": [3, 3]}


def test_a_ratio_is_the_median_of_those_within_a_round() -> None:
    """A machine that is three times slower in the second round changes both, and nothing about the ratio."""
    assert ratio([1, 3, 2], [2, 6, 4]) == 0.5
    assert summary([3.0, 1.0, 2.0]) == {"median": 2.0, "min": 1.0, "max": 3.0, "all": [3.0, 1.0, 2.0]}


@pytest.mark.parametrize(("code", "raises"), [("import os; os.kill(os.getpid(), 9)", False), ("raise ValueError('no')", True)])
def test_a_worker_without_memory_is_missing_and_a_broken_one_is_an_error(code: str, raises: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    run = subprocess.run
    monkeypatch.setattr("benchmarks.processes.subprocess.run", lambda _, **options: run([sys.executable, "-c", code], **options))
    if raises:
        with pytest.raises(SystemExit, match="ValueError: no"):
            in_process("benchmarks.epoch_time", {})
    else:
        assert "memory" in in_process("benchmarks.epoch_time", {})["missing"]
