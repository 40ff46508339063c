"""Peak memory by stage: of the process, and on a CUDA device of torch's allocator."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gas_cli.measure.nesting import Nesting

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
UNKNOWN_MEMORY = 8 << 30
"""Where the system does not say how much there is."""
RESET_PEAK = "5"
"""Written to `CLEAR`: the peak resident size becomes the present one (Linux, proc(5)). Nothing else changes."""

OnProcess = Callable[[str, int], None]
"""Receives the name of a process that was started and has ended, and its peak resident bytes."""


def unmeasured(name: str, peak: int) -> None:
    """An `OnProcess` for callers that do not ask."""


def resident_bytes() -> int:
    """Bytes of this process that are in memory now, files that are mapped included; its peak where the system tells no more than that."""
    return _status("VmRSS") or _lifetime_peak()


def resident_peak() -> int:
    """The most of `resident_bytes` since `restart_resident_peak`, or since the process began where the peak cannot be restarted."""
    return _status("VmHWM") or _lifetime_peak()


def restart_resident_peak() -> None:
    """Let `resident_peak` count from now on, where that is possible (`can_restart`)."""
    if can_restart():
        CLEAR.write_text(RESET_PEAK)


@cache
def can_restart() -> bool:
    """Whether the system forgets a peak: Linux, with a /proc that lets a process write to its own files."""
    try:
        CLEAR.write_text(RESET_PEAK)
    except OSError:  # no Linux, or a sandbox without it
        return False
    return _status("VmHWM") > 0


def release_free_memory() -> None:
    """Give back to the system what the C library keeps of freed memory, between pieces that are in use. Without glibc, nothing happens."""
    libc = ctypes.CDLL(None) if sys.platform.startswith("linux") else None
    if libc is not None and hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)


def total_memory() -> int:
    """Bytes of memory that this process may use: the machine's, or its control group's limit where that is lower (Linux)."""
    found = [int(text) for path in CGROUP_LIMITS if (text := _text(path)).isdecimal()]
    with contextlib.suppress(ValueError, OSError, AttributeError):  # no such name, or no sysconf: Windows
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min((size for size in found if size > 0), default=UNKNOWN_MEMORY)


def _text(path: Path) -> str:
    """The content of a small file without white space at its ends; empty where there is none."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _status(field: str) -> int:
    """Bytes that Linux states for this process; 0 where there is no such file or field."""
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(f"{field}:")), 0)


def _lifetime_peak() -> int:
    """The most that was resident since the process began; 0, for not known, on Windows, where Python has no `resource`."""
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


@dataclass(frozen=True)
class Gauge:
    """`read` gives the peak bytes since the last `restart`."""

    read: Callable[[], int]
    restart: Callable[[], None]


RESIDENT = Gauge(resident_peak, restart_resident_peak)


class StagePeaks(Nesting):
    """The peak of each stage of a program, by every one of `gauges`; what happens in a stage inside another counts for the inner one alone.

    `peaks[gauge][stage]` are bytes; a stage may be entered again and again, and its largest peak counts. Where a peak cannot be restarted
    (`can_restart`), that of a stage is the process's until the stage's end.
    """

    def __init__(self, **gauges: Gauge) -> None:
        super().__init__()
        self.gauges = gauges
        self.peaks: dict[str, dict[str, int]] = {name: {} for name in gauges}
        self._highest = dict.fromkeys(gauges, 0)
        for gauge in gauges.values():
            gauge.restart()

    def stage(self, name: str) -> AbstractContextManager[None]:
        return self._inside(name)

    def take(self) -> dict[str, int]:
        """The peak by every gauge since the last call, in a stage or not."""
        self._charge()
        highest, self._highest = self._highest, dict.fromkeys(self.gauges, 0)
        return highest

    def _charge(self) -> None:
        for name, gauge in self.gauges.items():
            peak = gauge.read()
            self._highest[name] = max(self._highest[name], peak)
            if self._innermost is not None:
                stages = self.peaks[name]
                stages[self._innermost] = max(stages.get(self._innermost, 0), peak)
            gauge.restart()
