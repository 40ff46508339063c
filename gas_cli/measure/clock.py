"""Seconds by phase, and what can be said about memory."""

from __future__ import annotations

import time
from collections import defaultdict
from contextlib import AbstractContextManager
from functools import partial

import torch

from gas_cli.measure.memory import RESIDENT, Gauge
from gas_cli.measure.nesting import Nesting

PHASES = ("batch", "pull", "compute", "push", "refresh", "evaluate", "monitor", "checkpoint")


class Clock(Nesting):
    """Wall seconds of the host by phase; a phase entered inside another is not counted twice.

    On CUDA a phase ends when the host has issued its work, not when the device has done it: on a GPU look at the epoch's total.
    """

    def __init__(self) -> None:
        super().__init__()
        self._seconds: dict[str, float] = defaultdict(float)
        self._since = 0.0

    def phase(self, name: str) -> AbstractContextManager[None]:
        return self._inside(name)

    def _charge(self) -> None:
        now = time.perf_counter()
        if self._innermost is not None:
            self._seconds[self._innermost] += now - self._since
        self._since = now

    def take(self) -> dict[str, float]:
        """Seconds since the last call, every phase named."""
        seconds = {name: self._seconds.get(name, 0.0) for name in PHASES}
        self._seconds.clear()
        return seconds


def memory_gauges(device: torch.device) -> dict[str, Gauge]:
    """`resident`: the process's memory; on CUDA also `device`: what torch's allocator has handed out there."""
    if device.type != "cuda":
        return {"resident": RESIDENT}
    read, restart = partial(torch.cuda.max_memory_allocated, device), partial(torch.cuda.reset_peak_memory_stats, device)
    return {"resident": RESIDENT, "device": Gauge(read, restart)}
