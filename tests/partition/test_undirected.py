from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject, SearchStrategy

from gas_cli.ops.csr import CSR
from gas_cli.partition.undirected import undirected_structure


def neighbours(rowptr: np.ndarray, col: np.ndarray) -> list[list[int]]:
    return [sorted(col[rowptr[v] : rowptr[v + 1]].tolist()) for v in range(len(rowptr) - 1)]


def slow_twin(dense: np.ndarray) -> list[list[int]]:
    n = len(dense)
    return [[w for w in range(n) if w != v and (dense[v, w] or dense[w, v])] for v in range(n)]


@given(st.data())
def test_is_the_union_with_the_transpose(graphs: SearchStrategy[CSR], data: DataObject) -> None:
    adj = data.draw(graphs)
    assert neighbours(*undirected_structure(adj)) == slow_twin(adj.to_dense().numpy())


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=30))
def test_loops_and_duplicates_go(edges: list[tuple[int, int]]) -> None:
    """Adjacency should have neither; METIS must not depend on it."""
    edges = sorted(edges)
    rowptr = np.searchsorted([v for v, _ in edges], np.arange(7))
    matrix = sp.csr_array((np.ones(len(edges)), np.array([w for _, w in edges], np.int32), rowptr), shape=(6, 6))
    dense = matrix.toarray()
    assert neighbours(*undirected_structure(CSR.from_scipy(matrix))) == slow_twin(dense)


def test_edges_of_weight_zero_and_opposite_weights_stay() -> None:
    matrix = sp.csr_array((np.array([0.0, 1.0, -1.0]), np.array([1, 2, 1]), np.array([0, 1, 2, 3])), shape=(3, 3))
    assert neighbours(*undirected_structure(CSR.from_scipy(matrix))) == [[1], [0, 2], [1]]


def test_a_symmetric_graph_is_not_copied(ring: CSR) -> None:
    rowptr, col = undirected_structure(ring)
    assert np.shares_memory(col, ring.col.numpy())
    assert np.shares_memory(rowptr, ring.rowptr.numpy())
