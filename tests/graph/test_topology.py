from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gas_cli.errors import UserError
from gas_cli.graph.topology import build_adjacency, is_symmetric
from gas_cli.ops.csr import CSR

NUM_NODES = 7
edge_lists = st.lists(st.tuples(st.integers(0, NUM_NODES - 1), st.integers(0, NUM_NODES - 1), st.integers(-3, 3)), max_size=40)


def slow_twin(edges: list[tuple[int, int, float]], symmetrise: bool) -> np.ndarray:
    """Dense [N, N] by target, NaN where there is no edge."""
    dense = np.full((NUM_NODES, NUM_NODES), np.nan)
    for source, target, weight in edges:
        for v, w in [(target, source)] + [(source, target)] * symmetrise:
            if v != w:
                dense[v, w] = np.fmax(dense[v, w], weight)
    return dense


def dense_with_gaps(adj: CSR) -> np.ndarray:
    dense = np.full(adj.shape, np.nan)
    rows = np.repeat(np.arange(adj.num_rows), np.diff(adj.rowptr.numpy()))
    dense[rows, adj.col.numpy()] = adj.value.numpy()
    return dense


def columns(edges: list[tuple[int, int, int]]) -> tuple[np.ndarray, np.ndarray]:
    array = np.array(edges, np.int64).reshape(-1, 3)
    return array[:, :2].T, array[:, 2].astype(np.float64)


@given(edge_lists, st.booleans())
def test_unweighted_equals_slow_twin(edges: list[tuple[int, int, int]], symmetrise: bool) -> None:
    edge_index, _ = columns(edges)
    adj = build_adjacency(edge_index, NUM_NODES, symmetrise=symmetrise)
    np.testing.assert_array_equal(dense_with_gaps(adj), slow_twin([(a, b, 1.0) for a, b, _ in edges], symmetrise))


@given(edge_lists, st.booleans())
def test_weighted_equals_slow_twin(edges: list[tuple[int, int, int]], symmetrise: bool) -> None:
    edge_index, weights = columns(edges)
    adj = build_adjacency(edge_index, NUM_NODES, weights, symmetrise=symmetrise)
    np.testing.assert_array_equal(dense_with_gaps(adj), slow_twin(edges, symmetrise))


@given(edge_lists, st.booleans(), st.booleans())
def test_numbers_lead_to_the_first_edge_in_the_same_direction_else_to_the_first_reverse(
    edges: list[tuple[int, int, int]], symmetrise: bool, weighted: bool
) -> None:
    edge_index, weights = columns(edges)
    given_weights = weights if weighted else None
    adj = build_adjacency(edge_index, NUM_NODES, given_weights, symmetrise=symmetrise, number_edges=True)
    plain = build_adjacency(edge_index, NUM_NODES, given_weights, symmetrise=symmetrise)
    assert plain.attr_row is None and adj.attr_row is not None and adj.symmetric == plain.symmetric
    assert all(torch.equal(getattr(adj, part), getattr(plain, part)) for part in ("rowptr", "col", "value"))
    first: dict[tuple[int, int], int] = {}
    for number, (source, target, _) in [*enumerate(edges), *((n, (b, a, w)) for n, (a, b, w) in enumerate(edges) if symmetrise)]:
        first.setdefault((source, target), number)
    rows = np.repeat(np.arange(NUM_NODES), np.diff(adj.rowptr.numpy())).tolist()
    assert adj.attr_row.tolist() == [first[edge] for edge in zip(adj.col.tolist(), rows, strict=True)]


@given(edge_lists, st.booleans(), st.booleans())
def test_form_of_the_csr(edges: list[tuple[int, int, int]], symmetrise: bool, weighted: bool) -> None:
    edge_index, weights = columns(edges)
    adj = build_adjacency(edge_index, NUM_NODES, weights if weighted else None, symmetrise=symmetrise)
    assert (adj.rowptr.dtype, adj.col.dtype, adj.value.dtype) == (torch.int64, torch.int32, torch.float32)
    assert adj.rowptr.tolist()[0] == 0 and adj.rowptr.tolist()[-1] == adj.nnz == adj.value.numel()
    for start, stop in zip(adj.rowptr.tolist(), adj.rowptr.tolist()[1:], strict=False):
        row = adj.col[start:stop].tolist()
        assert row == sorted(set(row))


@given(edge_lists, st.booleans())
def test_symmetric_says_whether_it_equals_its_transpose(edges: list[tuple[int, int, int]], symmetrise: bool) -> None:
    edge_index, weights = columns(edges)
    adj = build_adjacency(edge_index, NUM_NODES, weights, symmetrise=symmetrise)
    dense = dense_with_gaps(adj)
    assert adj.symmetric == is_symmetric(adj) == np.array_equal(dense, dense.T, equal_nan=True)
    assert adj.symmetric or not symmetrise


def test_rows_are_targets() -> None:
    adj = build_adjacency(np.array([[0, 0], [1, 2]]), 3, symmetrise=False)
    assert adj.rowptr.tolist() == [0, 0, 1, 2] and adj.col.tolist() == [0, 0]


def test_edge_repeated_256_times_stays_one_edge() -> None:
    adj = build_adjacency(np.tile([[0], [1]], 256), 2, symmetrise=True)
    assert adj.to_dense().tolist() == [[0, 1], [1, 0]]


def test_caller_keeps_its_array() -> None:
    edge_index = np.array([[2, 1, 1, 0], [0, 1, 0, 2]])
    before = edge_index.copy()
    build_adjacency(edge_index, 3, symmetrise=True)
    np.testing.assert_array_equal(edge_index, before)


@pytest.mark.parametrize("bad", [-1, 5, 2**40])
def test_id_out_of_range_names_the_first_edge(bad: int) -> None:
    edge_index = np.array([[0, 1, 2, 9], [1, 2, bad, 0]])
    with pytest.raises(UserError, match=rf"Edge 2 joins nodes 2 and {bad}: expected ids from 0 to 4"):
        build_adjacency(edge_index, 5, symmetrise=False)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weight_that_is_not_finite(bad: float) -> None:
    with pytest.raises(UserError, match=r"Edge 1 has weight (nan|inf): expected a finite number"):
        build_adjacency(np.array([[0, 1], [1, 2]]), 3, np.array([1.0, bad]), symmetrise=False)


def test_matrix_that_is_not_square_is_not_symmetric() -> None:
    assert not is_symmetric(CSR(torch.tensor([0, 0]), torch.empty(0, dtype=torch.int32), torch.empty(0), 3))
