"""The rows of a batch, divided into in-batch and halo columns."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gas_cli.batch import split
from gas_cli.batch.device_split import DeviceSplitter
from gas_cli.batch.split import Entries, HostSplitter, split_rows
from gas_cli.ops.csr import CSR
from tests.builders import adjacencies, random_adjacency


def entries(matrix: sp.csr_array, with_attr: bool) -> Entries:
    """Entry e has the attributes of row e + 1."""
    csr = CSR.from_scipy(matrix)
    return Entries(*csr.arrays, np.arange(csr.nnz if with_attr else 0) + 1)


def dense(part: Entries, num_cols: int, field: str = "value") -> np.ndarray:
    return sp.csr_array((getattr(part, field), part.col, part.rowptr), shape=(len(part.rowptr) - 1, num_cols)).toarray()


@settings(deadline=None)
@given(adjacencies(), st.booleans(), st.data())
def test_both_sides_together_are_the_rows(drawn: tuple[sp.csr_array, bool], with_attr: bool, data: st.DataObject) -> None:
    whole = entries(drawn[0], with_attr)
    n = drawn[0].shape[0]
    bounds = data.draw(st.lists(st.integers(0, n), min_size=2, max_size=6, unique=True).map(sorted))
    starts, stops = np.array(bounds[: len(bounds) // 2 * 2], np.int64).reshape(-1, 2).T.copy()
    rows = np.concatenate([np.arange(a, b) for a, b in zip(starts, stops, strict=True)])
    local = np.full(n, -1, np.int32)

    inner, outer, halo = split_rows(whole, starts, stops, local)

    fields = ("value", "attr_row") if with_attr else ("value",)
    for field in fields:
        expected = dense(whole, n, field)[rows]
        found = np.zeros_like(expected)
        found[:, rows] += dense(inner, len(rows), field)
        found[:, halo] += dense(outer, len(halo), field)
        np.testing.assert_array_equal(found, expected)
    reached = np.unique(np.concatenate([whole.col[whole.rowptr[v] : whole.rowptr[v + 1]] for v in rows]))
    assert halo.tolist() == np.setdiff1d(reached, rows).tolist()
    assert (local == -1).all()
    if not with_attr:
        assert inner.attr_row.size == outer.attr_row.size == 0


def test_a_halo_of_thousands() -> None:
    """More than the room that is made at first."""
    star = sp.csr_array((np.ones(5000, np.float32), (np.zeros(5000, int), np.arange(1, 5001))), shape=(5001, 5001))
    _, outer, halo = split_rows(entries(star, False), np.array([0]), np.array([1]), np.full(5001, -1, np.int32))
    assert halo.tolist() == list(range(1, 5001)) and outer.col.tolist() == list(range(5000))


def test_an_interrupt_in_between_leaves_no_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    local = np.full(20, -1, np.int32)
    monkeypatch.setattr(split, "_move", interrupt)
    with pytest.raises(KeyboardInterrupt):
        split_rows(entries(random_adjacency(20, 4, 0), False), np.array([3]), np.array([9]), local)
    assert (local == -1).all()


@settings(deadline=None)
@given(adjacencies(), st.booleans(), st.data())
def test_whole_tensor_operations_cut_alike(drawn: tuple[sp.csr_array, bool], with_attr: bool, data: st.DataObject) -> None:
    """The splitter for a matrix on the device, here on the CPU: the same arrays, and no marks left for the next batch."""
    matrix = CSR.from_scipy(drawn[0])
    matrix.attr_row = torch.arange(matrix.nnz) + 1 if with_attr else None
    host, device = HostSplitter(matrix), DeviceSplitter(matrix)
    for _ in range(2):
        n = matrix.num_rows
        bounds = data.draw(st.lists(st.integers(0, n), min_size=2, max_size=6, unique=True).map(sorted))
        ranges = list(zip(bounds[::2], bounds[1::2], strict=False))
        expected, found = host(ranges), device(ranges)
        for name in ("inner", "outer"):
            one, other = getattr(found, name), getattr(expected, name)
            assert one.shape == other.shape and one.symmetric == other.symmetric
            for array in ("rowptr", "col", "value"):
                assert getattr(one, array).dtype == getattr(other, array).dtype
                assert torch.equal(getattr(one, array), getattr(other, array))
        assert torch.equal(found.halo, expected.halo) and found.halo.dtype == expected.halo.dtype
        assert (found.attr_row is None) == (expected.attr_row is None) == (not with_attr)
        assert not with_attr or torch.equal(found.attr_row, expected.attr_row)
