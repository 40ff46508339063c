"""The harness itself tells every bad ending from a good one."""

from __future__ import annotations

import ctypes
import os
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fuzz import command as harness
from tests.fuzz.verdict import REFUSED, SAME, SHORT, STOPPED, verdict


def ending(text: str, code: int) -> None:
    print(text, file=sys.stderr, end="")
    sys.exit(code)


def crash() -> None:
    ctypes.string_at(0)


def hang() -> None:
    time.sleep(60)


def deaf() -> None:
    import signal

    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(60)


def stopped() -> None:
    import signal

    signal.signal(signal.SIGTERM, lambda *_: ending("gas-train: interrupted.\n", 130))
    time.sleep(60)


def greedy() -> None:
    bytearray(16 << 30)


CASES: list[tuple[Callable[[], None], str, str]] = [
    (lambda: None, SAME, ""),
    (lambda: ending("gas-train: no.\n", 2), REFUSED, "gas-train: no."),
    (lambda: ending("gas-train: no.\nmore\n", 2), SHORT, "exit 2 with 2 lines"),
    (lambda: ending("", 2), SHORT, "exit 2 with 0 lines"),
    (lambda: ending("warning\n", 0), SHORT, "words on stderr"),
    (lambda: ending("gas-train: no.\n", 1), SHORT, "exit 1"),
    (crash, SHORT, "SIGSEGV"),
    (os.abort, SHORT, "SIGABRT"),
    (hang, SHORT, "SIGTERM"),
    (deaf, SHORT, "hangs"),
    (stopped, STOPPED, ""),
    (greedy, SHORT, "a traceback"),
]


@pytest.mark.parametrize(("main", "outcome", "why"), CASES)
def test_endings(main: Callable[[], None], outcome: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = types.ModuleType("program")
    program.main = main  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "program", program)
    monkeypatch.setitem(harness.PROGRAMS, "gas-train", "program")
    monkeypatch.setattr(harness, "GRACE", 0.3)
    result = verdict(harness.command(tmp_path, "gas-train", patience=0.5))
    assert (result.outcome, why in result.why) == (outcome, True), result
