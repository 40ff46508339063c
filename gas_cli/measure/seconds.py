"""Seconds of single functions, for whoever wants to know what a preparation consists of."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_SECONDS: dict[str, float] = defaultdict(float)


def timed(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator that adds the seconds of each call, failed ones included, to the account `name`."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            started = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                _SECONDS[name] += time.perf_counter() - started

        return call

    return decorate


def take_seconds() -> dict[str, float]:
    """Seconds of every account since the last call; what was not called is not in it."""
    seconds = dict(_SECONDS)
    _SECONDS.clear()
    return seconds
