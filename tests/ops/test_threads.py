"""Pieces of a kernel on threads: every row once, errors where the job was given, nothing kept when it is over."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gas_cli.ops import threads


@pytest.fixture(autouse=True)
def three_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "SERIAL_WORK", 0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)


@settings(max_examples=30)
@given(degrees=st.lists(st.integers(0, 5), min_size=1, max_size=40))
def test_every_row_is_in_one_piece(degrees: list[int]) -> None:
    seen = np.zeros(len(degrees), np.int64)

    def piece(start: int, stop: int) -> None:
        seen[start:stop] += 1

    threads.over_rows(piece, np.concatenate([[0], np.cumsum(degrees)]), width=1)
    threads.over_equal_rows(piece, len(degrees), width=1)
    threads.over_groups(piece, len(degrees), work=1)
    assert (seen == 3).all()


def test_an_error_in_a_piece_is_raised_where_the_job_was_given() -> None:
    def piece(start: int, stop: int) -> None:
        if start <= 7 < stop:
            raise ZeroDivisionError(f"rows {start} to {stop}")

    with pytest.raises(ZeroDivisionError, match="rows"):
        threads.over_equal_rows(piece, 20, width=1)
    threads.over_equal_rows(lambda start, stop: None, 20, width=1)  # and the threads live on


def test_a_finished_job_that_a_late_thread_has_yet_to_find_keeps_no_array_alive() -> None:
    array = np.zeros(8)
    gone = weakref.ref(array)
    job = threads._Job(lambda start, stop, array=array: None, [0, 4, 8])  # type: ignore[misc]
    del array
    job.work()
    job.wait()
    assert gone() is None
    job.work()
