from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject, SearchStrategy

from gas_cli.ops.csr import CSR
from gas_cli.partition.partition import Quality
from gas_cli.partition.quality import measure_quality


def slow_twin(adj: CSR, parts: list[int]) -> Quality:
    rowptr, col = adj.rowptr.tolist(), adj.col.tolist()
    edges = [(v, w) for v in range(adj.num_rows) for w in col[rowptr[v] : rowptr[v + 1]]]
    members = [{v for v, q in enumerate(parts) if q == p} for p in range(max(parts) + 1)]
    halos = [{w for v, w in edges if v in nodes} - nodes for nodes in members]
    cut = sum(parts[v] != parts[w] for v, w in edges)
    return Quality(
        edge_cut=cut / len(edges) if edges else 0.0,
        halo_ratio=sum(len(halo) / len(nodes) for halo, nodes in zip(halos, members, strict=True)) / len(members),
        balance=max(map(len, members)) * len(members) / len(parts),
    )


@given(st.data())
def test_equals_slow_twin(graphs: SearchStrategy[CSR], data: DataObject) -> None:
    adj = data.draw(graphs)
    raw = data.draw(st.lists(st.integers(0, 4), min_size=adj.num_rows, max_size=adj.num_rows))
    _, parts = np.unique(raw, return_inverse=True)

    fast, slow = measure_quality(adj, parts.astype(np.int32)), slow_twin(adj, parts.tolist())

    assert (fast.edge_cut, fast.halo_ratio, fast.balance) == pytest.approx((slow.edge_cut, slow.halo_ratio, slow.balance))


def test_one_part_cuts_nothing(ring: CSR) -> None:
    assert measure_quality(ring, np.zeros(60, np.int32)) == Quality(0.0, 0.0, 1.0)


def test_one_node_per_part_cuts_everything(ring: CSR) -> None:
    assert measure_quality(ring, np.arange(60, dtype=np.int32)) == Quality(1.0, 4.0, 1.0)
