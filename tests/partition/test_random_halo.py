from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given

from gas_cli.ops.csr import CSR
from gas_cli.partition.quality import measure_quality
from gas_cli.partition.random_halo import expected_halo
from tests.builders import adjacencies, make_graph, random_adjacency


def adjacency(num_nodes: int, degree: float, directed: bool) -> CSR:
    return make_graph(random_adjacency(num_nodes, degree, 3, directed), directed).adj


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("parts", [2, 3])
def test_it_is_the_mean_over_every_way_to_place_the_nodes(parts: int, directed: bool) -> None:
    adj = adjacency(6, 2, directed)
    edges = [(v, int(w)) for v in range(6) for w in adj.col[adj.rowptr[v] : adj.rowptr[v + 1]]]
    halos = [len({(at[v], w) for v, w in edges if at[v] != at[w]}) for at in itertools.product(range(parts), repeat=6)]
    assert np.mean(halos) / 6 == pytest.approx(expected_halo(adj, parts))  # parts have N/P nodes on average


def test_measured_random_parts_have_it() -> None:
    adj = adjacency(4000, 8, False)
    parts = np.random.default_rng(0).permutation(np.arange(4000) % 10).astype(np.int32)
    assert measure_quality(adj, parts).halo_ratio == pytest.approx(expected_halo(adj, 10), rel=0.01)


@given(adjacencies())
def test_it_is_zero_in_one_part_and_at_most_one_entry_per_edge(drawn: tuple) -> None:
    matrix, directed = drawn
    adj = make_graph(matrix, directed).adj
    assert expected_halo(adj, 1) == 0
    assert 0 <= expected_halo(adj, 5) <= adj.nnz / adj.num_rows + 1e-9
