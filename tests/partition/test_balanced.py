from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gas_cli.partition.balanced import random_parts, range_parts

sizes = st.integers(1, 200).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n)))


@given(sizes)
def test_range_parts_are_contiguous_and_balanced(size: tuple[int, int]) -> None:
    n, p = size
    parts = range_parts(n, p)
    counts = np.bincount(parts, minlength=p)
    assert (np.diff(parts) >= 0).all()
    assert len(counts) == p
    assert counts.max() - counts.min() <= 1


@given(sizes, st.integers(0, 5))
def test_random_parts_have_the_sizes_of_range_parts(size: tuple[int, int], seed: int) -> None:
    n, p = size
    assert np.array_equal(np.sort(random_parts(n, p, seed)), range_parts(n, p))


def test_the_seed_decides() -> None:
    assert np.array_equal(random_parts(100, 4, 0), random_parts(100, 4, 0))
    assert not np.array_equal(random_parts(100, 4, 0), random_parts(100, 4, 1))


def test_range_parts_do_not_overflow() -> None:
    parts = range_parts(3_000_000, 3_000_000)
    assert parts[-1] == 2_999_999
