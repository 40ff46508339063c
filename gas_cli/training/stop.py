"""Ctrl-C and termination signals, turned into a stop at the next safe point."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

from gas_cli.errors import Interrupted

# SIGUSR1 is what SLURM sends ahead of a pre-emption when asked to.
_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name))


class StopRequest:
    """While entered, the first signal asks for a stop and a second one stops at once.

    `check` is called between steps, where all state is consistent, and raises `Interrupted` if a stop was asked for. Handlers can only be
    set on the main thread; elsewhere (a sweep launcher's thread) signals keep their meaning.
    """

    def __init__(self) -> None:
        self.requested = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True

    def check(self) -> None:
        if self.requested:
            raise Interrupted("stopped by a signal; the run is saved")


@contextmanager
def termination_as_ctrl_c() -> Iterator[None]:
    """While entered, SIGTERM and SIGUSR1 do at once what Ctrl-C does, so that files are cleaned up and the status is written.

    For the time in which there is nothing to save yet: loading and partitioning. `StopRequest` takes over inside.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt(f"stopped by {signal.Signals(number).name}")

    previous = {number: signal.signal(number, interrupt) for number in _SIGNALS if number != signal.SIGINT}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
