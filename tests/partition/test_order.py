"""The order of the nodes within their parts."""

from __future__ import annotations

from collections import deque

import numpy as np
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject, SearchStrategy
from numpy.typing import NDArray

from gas_cli.ops.csr import CSR
from gas_cli.partition.order import order_nodes


def breadth_first(adj: CSR, parts: list[int]) -> list[int]:
    """The slow twin: a search of every part in turn."""
    order: list[int] = []
    met: set[int] = set()
    for start in sorted(range(len(parts)), key=lambda v: (parts[v], v)):
        queue = deque([start] if start not in met else [])
        met.add(start)
        while queue:
            order.append(v := queue.popleft())
            fresh = [w for w in adj.col[adj.rowptr[v] : adj.rowptr[v + 1]].tolist() if w not in met and parts[w] == parts[v]]
            queue.extend(fresh)
            met.update(fresh)
    return order


@given(st.data())
def test_the_order_is_a_permutation_within_the_parts(graphs: SearchStrategy[CSR], data: DataObject) -> None:
    adj = data.draw(graphs)
    parts = np.array(data.draw(st.lists(st.integers(0, 3), min_size=adj.num_rows, max_size=adj.num_rows)), np.int32)
    order = order_nodes(adj, parts)
    assert order.dtype == np.int64
    assert sorted(order.tolist()) == list(range(adj.num_rows))
    assert (np.diff(parts[order]) >= 0).all()
    np.testing.assert_array_equal(order, order_nodes(adj, parts))


@given(st.data())
def test_breadth_first_equals_its_slow_twin(graphs: SearchStrategy[CSR], data: DataObject) -> None:
    adj = data.draw(graphs)
    parts = data.draw(st.lists(st.integers(0, 3), min_size=adj.num_rows, max_size=adj.num_rows))
    assert order_nodes(adj, np.array(parts, np.int32)).tolist() == breadth_first(adj, parts)


def test_neighbours_come_close_together() -> None:
    """A long ring whose ids are shuffled: by ids neighbours are a third of the ring apart, breadth first two places."""
    n = 300
    ids = np.random.default_rng(0).permutation(n)
    ends = np.concatenate([ids, np.roll(ids, 1)]), np.concatenate([np.roll(ids, 1), ids])
    adj = CSR.from_scipy(sp.csr_array((np.ones(2 * n, np.float32), ends), shape=(n, n)))

    def distance(order: NDArray[np.int64]) -> float:
        place = np.argsort(order)
        return float(np.abs(place[ends[0]] - place[ends[1]]).mean())

    assert distance(order_nodes(adj, np.zeros(n, np.int32))) < 3
    assert distance(np.arange(n)) > 50
