"""The bandwidth of the machine's memory, as STREAM measures it (McCalpin 1995): copies and triads of arrays far larger than any cache."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

ARRAY_BYTES = 256 << 20


@dataclass(frozen=True)
class Stream:
    """A pass over whole arrays; `nbytes` read and written. What a cache reads before it overwrites a line is not counted, as in STREAM."""

    step: Callable[[], object]
    nbytes: int


def streams(device: torch.device, array_bytes: int = ARRAY_BYTES) -> dict[str, Stream]:
    """`copy` a = b and `triad` a = b + 3 c, in float32 on torch's threads."""
    a, b, c = (torch.ones(array_bytes // 4, device=device) for _ in range(3))
    return {
        "copy": Stream(lambda: a.copy_(b), 2 * array_bytes),
        "triad": Stream(lambda: torch.add(b, c, alpha=3.0, out=a), 3 * array_bytes),
    }


def measure_bandwidth(device: torch.device, clock: Callable[[], float], rounds: int = 5, array_bytes: int = ARRAY_BYTES) -> float:
    """Bytes per second: the better of both, medians over the rounds."""
    from benchmarks.lib.turns import in_turns, summary

    found = streams(device, array_bytes)
    seconds = in_turns({name: stream.step for name, stream in found.items()}, rounds, clock)
    return max(found[name].nbytes / summary(values)["median"] for name, values in seconds.items())
