"""Seconds of single functions: every call counts, failed ones too, until they are taken."""

from __future__ import annotations

import time

import pytest

from gas_cli.measure.seconds import take_seconds, timed


@timed("nap")
def nap(seconds: float, *, fails: bool = False) -> float:
    """Sleeps."""
    time.sleep(seconds)
    if fails:
        raise ValueError("failed")
    return seconds


def test_calls_add_up_until_they_are_taken() -> None:
    take_seconds()
    assert nap(0.01) == 0.01 and nap.__doc__ == "Sleeps."
    with pytest.raises(ValueError, match="failed"):
        nap(0.02, fails=True)
    assert take_seconds()["nap"] >= 0.03
    assert "nap" not in take_seconds()
