"""Taking turns: whatever is compared runs in the same rounds, so that a machine whose speed drifts changes all of it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any


class Budget:
    """Rounds over all cases, until the minutes are spent.

    Every case has its first round, however long that takes; a later one is left out where what it took the last time would not fit.
    """

    def __init__(self, minutes: float, now: Callable[[], float] = time.monotonic) -> None:
        self._now, self._end = now, now() + 60 * minutes

    def turns(self, cases: Sequence[str], rounds: int) -> Iterator[tuple[int, str]]:
        """(round, case), round by round."""
        took: dict[str, float] = {}
        for number in range(rounds):
            for case in cases:
                started = self._now()
                if number == 0 or started + took[case] <= self._end:
                    yield number, case
                    took[case] = self._now() - started


def clock_of(threads: int, device: str = "cpu") -> tuple[Callable[[], float], str]:
    """The processor's time where one thread does everything: other work on the machine disturbs it less. Else the wall clock's."""
    if device == "cuda":
        return device_seconds, "seconds of the wall clock, the device having finished"
    return (time.thread_time, "seconds of the processor") if threads == 1 else (time.perf_counter, "seconds of the wall clock")


def device_seconds() -> float:
    """The wall clock, once the device has nothing left to do (host synchronisation)."""
    import torch

    torch.cuda.synchronize()
    return time.perf_counter()


def in_turns(steps: Mapping[str, Callable[[], Any]], rounds: int, clock: Callable[[], float]) -> dict[str, list[float]]:
    """Seconds of each step in each round, after one of warm-up (kernels are compiled, the first pages touched).

    Every second round goes backwards: a step that leaves caches or memory in disorder comes before one neighbour as often as the other.
    """
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds + 1):
        for name in reversed(list(steps)) if number % 2 else steps:
            started = clock()
            steps[name]()
            if number > 0:
                seconds[name].append(clock() - started)
    return seconds


def summary(seconds: Sequence[float]) -> dict[str, Any]:
    """`median`, `min`, `max` and `all`."""
    return {"median": statistics.median(seconds), "min": min(seconds), "max": max(seconds), "all": list(seconds)}


def ratio(seconds: Sequence[float], others: Sequence[float]) -> float:
    """The median of the ratios within a round."""
    return statistics.median(one / other for one, other in zip(seconds, others, strict=True))


def shown(seconds: Mapping[str, Any]) -> str:
    """A `summary` as a cell of a table."""
    return f"{seconds['median']:.4f} ({seconds['min']:.4f} to {seconds['max']:.4f})"
