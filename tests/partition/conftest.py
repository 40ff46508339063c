"""Small graphs of every shape that upsets a partitioner."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from gas_cli.config.partitioner import PartitionerConfig
from gas_cli.ops.csr import CSR

settings.register_profile("untimed", deadline=None)  # the first example may compile a kernel
settings.load_profile("untimed")


def adjacency(num_nodes: int, edges: list[tuple[int, int]], symmetric: bool) -> CSR:
    """By target, with a different weight on every pair; no self-loops, no duplicates."""
    dense = np.zeros((num_nodes, num_nodes), np.float32)
    for v, w in edges:
        if v != w:
            dense[v, w] = 1 + min(v, w) * num_nodes + max(v, w) if symmetric else 1 + v * num_nodes + w
            if symmetric:
                dense[w, v] = dense[v, w]
    adj = CSR.from_scipy(sp.csr_array(dense))
    adj.symmetric = symmetric
    return adj


@st.composite
def _graphs(draw: DrawFn) -> CSR:
    n = draw(st.integers(1, 14))
    node = st.integers(0, n - 1)
    shape = draw(st.sampled_from(["any", "empty", "star", "components"]))
    if shape == "star":
        edges = [(0, w) for w in range(1, n)]
    elif shape == "components":
        edges = [(v, v + 2) for v in range(n - 2)]
    else:
        edges = draw(st.lists(st.tuples(node, node), max_size=0 if shape == "empty" else 40))
    return adjacency(n, edges, draw(st.booleans()))


@pytest.fixture(scope="session")
def graphs() -> SearchStrategy[CSR]:
    """Isolated nodes, stars, several components, no edges at all; directed and symmetric; weights that tell the edges apart."""
    return _graphs()


@pytest.fixture
def ring() -> CSR:
    """60 nodes, each joined to its four nearest on a circle: METIS finds an obvious answer."""
    return adjacency(60, [(v, (v + d) % 60) for v in range(60) for d in (1, 2)], symmetric=True)


@pytest.fixture
def other_ring() -> CSR:
    """As many nodes and edges as `ring`, joined otherwise."""
    return adjacency(60, [(v, (v + d) % 60) for v in range(60) for d in (1, 3)], symmetric=True)


@pytest.fixture
def config() -> PartitionerConfig:
    return PartitionerConfig(name="metis", num_parts=4, cache=None)
