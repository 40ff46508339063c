from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gas_cli.config.model import GATConfig, GCNConfig
from gas_cli.graph.graph import Graph
from gas_cli.report import outlook as module
from gas_cli.report.outlook import Halo, fitting_method, full_batch_bytes, halo_of, outlook
from tests.builders import make_graph, random_adjacency


@pytest.fixture(scope="module")
def graph() -> Graph:
    return make_graph(random_adjacency(1000, 4, 0, directed=True), directed=True)


def slow_halo(graph: Graph, parts: np.ndarray) -> float:
    """Set by set: the sources of messages into a part that are not in it."""
    rowptr, col = graph.adj.rowptr.tolist(), graph.adj.col.tolist()
    ratios = []
    for part in np.unique(parts):
        inside = set(np.flatnonzero(parts == part).tolist())
        ratios.append(len({w for v in inside for w in col[rowptr[v] : rowptr[v + 1]]} - inside) / len(inside))
    return float(np.mean(ratios))


def test_the_halo_of_a_small_graph_is_that_of_the_parts_that_a_training_gets(graph: Graph) -> None:
    from gas_cli.config.partitioner import PartitionerConfig
    from gas_cli.partition.make import assign_parts

    parts = assign_parts(graph.adj, PartitionerConfig(num_parts=10))
    (halo, told), _ = outlook(graph, GCNConfig())
    assert halo == "halo" and told.startswith(f"{slow_halo(graph, parts):.2f} nodes outside a part per node inside, with 10 parts of METIS")


def test_of_a_large_graph_it_is_a_bound(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = halo_of(graph.adj)
    monkeypatch.setattr(module, "QUICK_MESSAGES", 10)
    monkeypatch.setattr(module, "metis_parts", lambda *_: pytest.fail("too slow"))
    bound = halo_of(graph.adj)
    assert measured is not None and bound is not None and bound.quality is None and bound.ratio > measured.ratio
    assert outlook(graph, GCNConfig())[0][1].startswith(f"at most {bound.ratio:.2f} nodes")


def test_a_graph_of_one_small_part_has_no_halo() -> None:
    assert [name for name, _ in outlook(make_graph(random_adjacency(150, 4, 0)), GCNConfig())] == ["method"]


def test_the_method_is_decided_by_memory() -> None:
    small, large = Halo(40, 0.5, None), Halo(40, 9.0, None)
    assert fitting_method(50, 100, "memory", large) == (
        "full_batch: training on the whole graph takes about 50 B of 100 B of memory, and is exact"
    )
    assert fitting_method(51, 100, "memory", small) == (
        "gas: training on the whole graph takes about 51 B of 100 B of memory, steps of parts take less; "
        "cluster_gcn is a baseline that drops the edges between parts"
    )
    assert "trainer.batch_parts" in fitting_method(51, 100, "memory", large)
    assert fitting_method(51, 100, "memory", None).startswith("full_batch") and "fewer channels" in fitting_method(51, 100, "memory", None)


def test_the_estimate_grows_with_what_a_step_holds(graph: Graph) -> None:
    """Twice the channels or features add what their rows take; rows per edge cost more than compiled attention."""
    base = full_batch_bytes(graph, GCNConfig(hidden_channels=64))
    assert full_batch_bytes(graph, GCNConfig(hidden_channels=128)) - base == 4 * 4 * 1000 * 64
    wider = replace(graph, x=graph.x.repeat(1, 2))
    assert full_batch_bytes(wider, GCNConfig()) - base == 3 * graph.x.numel() * 4
    first, second = (full_batch_bytes(graph, GATConfig(version=version)) for version in (1, 2))
    assert second - first >= 3 * 4 * graph.num_edges * 64
