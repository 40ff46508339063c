"""The switch from compiled passes to their slow twins, for measurements and tests: off, and only `slow_twins` turns it on.

A pass with a twin asks `TWINS.slow` once per call. Then sums, masks, products and activations are one operation after another, and
features keep their zeros. The mask of a dropout is drawn by compiled code even then: its twin is its definition and not an alternative.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Twins:
    """Whether the slow twins run; one for the whole process, since backward passes may run in threads of torch."""

    slow: bool = False


TWINS = Twins()


@contextmanager
def slow_twins() -> Iterator[None]:
    """The slow twin in place of every compiled pass that has one."""
    before, TWINS.slow = TWINS.slow, True
    try:
        yield
    finally:
        TWINS.slow = before
