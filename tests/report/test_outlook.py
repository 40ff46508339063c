from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gas_cli.config.compose import compose_config
from gas_cli.graph.graph import Graph
from gas_cli.partition.auto import Load
from gas_cli.report import outlook as module
from gas_cli.report.outlook import Halo, fitting_method, halo_of, outlook
from gas_cli.training import parts
from tests.builders import make_graph, random_adjacency

CONFIG = compose_config(["dataset=folder", "dataset.path=DIR"])


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

    assigned = assign_parts(graph.adj, PartitionerConfig(num_parts=10))
    (halo, told), _ = outlook(graph, CONFIG.model, CONFIG.device)
    ratio = slow_halo(graph, assigned)
    assert halo == "halo" and told.startswith(f"{ratio:.2f} nodes outside a part per node inside, with 10 parts of METIS")


def test_of_a_large_graph_it_is_a_bound(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = halo_of(graph.adj)
    monkeypatch.setattr(module, "QUICK_MESSAGES", 10)
    monkeypatch.setattr(module, "metis_parts", lambda *_: pytest.fail("too slow"))
    bound = halo_of(graph.adj)
    assert measured is not None and bound is not None and bound.quality is None and bound.ratio > measured.ratio
    assert outlook(graph, CONFIG.model, CONFIG.device)[0][1].startswith(f"at most {bound.ratio:.2f} nodes")


def test_a_graph_of_one_small_part_has_no_halo() -> None:
    assert [name for name, _ in outlook(make_graph(random_adjacency(150, 4, 0)), CONFIG.model, CONFIG.device)] == ["method"]


LOAD = Load(nodes=1000, messages=4000, row=4 << 20, halo=1 << 10, message=24, fixed=0)
WHOLE = LOAD.step(1)


def test_the_method_is_decided_by_memory() -> None:
    small, large = Halo(40, 0.5, None), Halo(40, 9.0, None)
    assert fitting_method(LOAD, 2 * WHOLE, "memory", large) == (
        "full_batch: training on the whole graph takes about 3.9 GiB of 7.8 GiB of memory, and is exact"
    )
    assert fitting_method(LOAD, 2 * WHOLE - 2, "memory", small) == (
        "gas: training on the whole graph takes about 3.9 GiB of 7.8 GiB of memory, steps of parts take less; "
        "cluster_gcn is a baseline that drops the edges between parts"
    )
    assert "trainer.batch_parts" in fitting_method(LOAD, WHOLE, "memory", large)
    told = fitting_method(LOAD, WHOLE, "memory", None)
    assert told.startswith("full_batch") and "fewer channels" in told


@pytest.mark.parametrize("tenths", [1, 5, 19, 20, 21, 100])
@pytest.mark.parametrize("model", ["gcn", "gat", "pna"])
def test_it_is_full_batch_where_a_training_makes_one_part(graph: Graph, monkeypatch: pytest.MonkeyPatch, model: str, tenths: int) -> None:
    """For memory just below and above what decides."""
    config = compose_config(["dataset=generated", f"model={model}", "device=cpu"])
    monkeypatch.setattr(parts, "LIBRARIES", 0)  # they would be nearly all that this graph takes
    memory = parts.step_load(config.model, graph, config.device).step(1) * tenths // 10
    monkeypatch.setattr(parts, "memory_of", lambda device: memory)
    monkeypatch.setattr(module, "memory_of", lambda device: memory)
    _, (name, told) = outlook(graph, config.model, config.device)
    one = parts.with_parts(config, graph).partitioner.num_parts == 1
    assert name == "method" and one == (tenths >= 20) and told.startswith("full_batch: " if one else "gas: ")


def test_of_a_small_graph_no_number_is_given(graph: Graph) -> None:
    """It would be that of the libraries."""
    assert fitting_method(replace(LOAD, nodes=10), 8 << 30, "memory", None) == (
        "full_batch: training on the whole graph fits into 8.0 GiB of memory, and is exact"
    )
