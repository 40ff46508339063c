"""What is read out of a profiler's trace."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import step_trace
from benchmarks.step_trace import busy, lanes_of, merged, shared, summary

INTERVALS = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 9)), max_size=8).map(
    lambda drawn: merged(sorted((start, start + length) for start, length in drawn), gap=0)
)


def event(stream: int, start: float, stop: float, name: str = "gemm", category: str = "kernel") -> dict[str, object]:
    """Microseconds, as the profiler writes them."""
    return {"ph": "X", "cat": category, "name": name, "ts": start, "dur": stop - start, "args": {"stream": stream}}


TRACE = [
    *(event(stream, 10 * stream, 10 * stream + 1, f"lane_of_{lane}") for stream, lane in ((7, "compute"), (30, "pull"), (34, "push"))),
    event(7, 1000, 2000),
    event(7, 2001, 3000),
    event(30, 1500, 2500, "gather"),
    event(34, 2500, 4000, "Memcpy DtoH", "gpu_memcpy"),
    event(99, 0, 9000, "on a stream of nobody's"),
    {"ph": "X", "cat": "cpu_op", "name": "aten::mm", "ts": 0, "dur": 5, "args": {}},
]


def test_lanes_are_told_by_their_marks_and_traffic_is_hidden_while_the_computation_runs():
    lanes = lanes_of(TRACE)
    assert lanes == {"compute": [(0.0, 2.0)], "pull": [(0.5, 1.5)], "push": [(1.5, 3.0)]}
    row = summary(lanes)
    assert row["epoch"] == 3.0
    assert row["busy"] == {"compute": 2.0, "pull": 1.0, "push": 1.5}
    assert row["hidden"] == {"pull": 1.0, "push": pytest.approx(1 / 3)}
    text = step_trace.table({"settings": {}, "rows": [{"variant": "v", **row}]})
    assert "| v | 3.0 | 2.0 | – | 1.0 (100 %) | 1.5 (33 %) | 33 % |" in text


@given(INTERVALS, INTERVALS)
def test_shared_time_is_what_counting_moments_says(one, other):
    covered = [{t for start, stop in intervals for t in range(start, stop)} for intervals in (one, other)]
    assert busy(one) == len(covered[0])
    assert shared(one, other) == shared(other, one) == len(covered[0] & covered[1])
