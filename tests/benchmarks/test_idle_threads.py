"""The two processes differ in one variable and in nothing else; turns, loads and ratios are what the table says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks import idle_threads
from gas_cli.config.compose import compose_config
from gas_cli.process import PAGES, WAITING
from scripts.lib.report import REPOSITORY


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The processes that a test has started, with their `environment` where it was given."""
    noted: list[Any] = []

    class Noted(subprocess.Popen[Any]):
        def __init__(self, *given: Any, **options: Any) -> None:
            super().__init__(*given, **options)
            self.environment = options.get("env")
            noted.append(self)

    monkeypatch.setattr("benchmarks.idle_threads.subprocess.Popen", Noted)
    return noted


def test_cases_compose() -> None:
    for epochs, settings in idle_threads.CASES.values():
        assert epochs >= 1 and compose_config([*settings, "device=cpu"]).partitioner.num_parts > 1


@pytest.mark.parametrize("users", [{}, {WAITING: "ACTIVE", PAGES: "0"}], ids=["unset", "set otherwise"])
def test_a_quick_run_trains_twice_with_one_variable_different(
    users: dict[str, str], started: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the user's environment holds; both loads are measured."""
    for name in (WAITING, PAGES):
        monkeypatch.delenv(name, raising=False)
    for name, value in users.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.argv", ["idle_threads", "--quick", "--busy", "1", "--out", str(tmp_path)])
    idle_threads.main()
    with_it, without = (process.environment for process in started if process.environment)
    assert with_it == {**without, WAITING: "PASSIVE"} and WAITING not in without and with_it[PAGES] == "1"
    rows = json.loads((tmp_path / "idle-threads-quick.json").read_text())["rows"]
    assert [(row["case"], row["load"]) for row in rows] == [("small", "quiet"), ("small", "busy")]
    for row in rows:
        assert row["ratio"] == pytest.approx(row["unset"]["median"] / row["set"]["median"]) and row["set"]["min"] > 0


def test_the_worker_leaves_the_variable_unset() -> None:
    """`import gas_cli` would set it: torch has to come first."""
    environment = {name: value for name, value in os.environ.items() if name != WAITING} | {"PYTHONPATH": str(REPOSITORY)}
    code = f"import os, benchmarks.lib.epoch_worker, gas_cli; print(os.environ.get('{WAITING}'))"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "None\n"


def test_a_worker_that_fails_ends_the_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(idle_threads.CASES, "wrong", (1, ("model=none",)))
    worker = idle_threads.Worker("set", "wrong")
    with pytest.raises(SystemExit, match=r"epoch_worker\.py .*model=none.* ended with exit code 1"):
        worker.seconds()
    worker.process.communicate()


def test_processes_count_until_the_end_of_the_block(started: list[Any]) -> None:
    def interrupted() -> None:
        with idle_threads.busy_processes(2):
            assert [process.poll() for process in started] == [None, None]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(started) == 2 and all(process.returncode for process in started)


def test_rounds_alternate_after_one_that_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of the two changes from round to round; the ratio is the median of those within a round, not that of the medians."""
    order: list[str] = []
    busy: list[int] = []
    seconds = {"set": iter([100.0, 1, 2, 2, 4, 5, 5]), "unset": iter([100.0, 3, 4, 2, 4, 20, 5])}  # warm-up, then quiet and busy in turns

    class Scripted:
        def __init__(self, policy: str, case: str) -> None:
            self.policy = policy

        def seconds(self) -> float:
            order.append(f"{self.policy} {sum(busy)}")
            return next(seconds[self.policy])

        def close(self) -> None:
            order.append("closed")

    @contextmanager
    def counting(count: int) -> Iterator[None]:
        busy.append(count)
        yield
        busy.pop()

    monkeypatch.setattr(idle_threads, "Worker", Scripted)
    monkeypatch.setattr(idle_threads, "busy_processes", counting)
    quiet, loaded = idle_threads.compare("small", 3, 2)
    forth, back = [["set 0", "unset 0", "set 2", "unset 2"], ["unset 0", "set 0", "unset 2", "set 2"]]
    assert order == ["set 0", "unset 0", *forth, *back, *forth, "closed", "closed"]
    assert quiet["set"]["all"] == [1, 2, 5] and quiet["unset"]["all"] == [3, 2, 20]
    assert quiet["ratios"] == [3, 1, 4] and quiet["ratio"] == 3
    assert loaded["ratios"] == [2, 1, 1] and loaded["ratio"] == 1
    text = idle_threads.table({"settings": {"rounds": 3, "busy": 2}, "rows": [quiet, loaded]})
    assert "| small | 10 | quiet | 2.00 (1.00–5.00) | 3.00 (2.00–20.00) | 3.00x (1.00–4.00) |" in text
    assert "3 rounds" in text and "Busy: 2 other" in text
