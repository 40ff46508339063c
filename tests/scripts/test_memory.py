"""The table of memory: the counter counts exactly, shares are those of the definition, and the shape is that of the method."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from gas_cli.batch.builder import BatchBuilder
from gas_cli.config.model import GCNConfig
from gas_cli.errors import UserError
from scripts import memory
from scripts.lib.cells import Cells
from scripts.lib.live_bytes import LiveBytes, copied
from scripts.lib.sampled import can_sample, hops, neighbor_loader, neighbourhood, share_of
from scripts.lib.step_memory import Case, measure
from scripts.lib.twins import SIZES, real, twin
from tests.builders import make_graph, make_problem, random_adjacency

FLOAT = 4


def arguments(work: Path, **changes: object) -> argparse.Namespace:
    settings = {"root": str(work), "work": work, "device": "cpu", "hidden": 16, "batch_nodes": 17_000, "seeds": 1024, "steps": 2}
    return argparse.Namespace(**{**settings, "scale": 0.005, "partition": "auto", **changes})


# -- the counter ---------------------------------------------------------------------------------------------------------------------------


def test_a_training_step_of_known_size_is_counted_to_the_byte() -> None:
    """loss = Σ relu(x w) v. When ReLU's gradient is made, its input's, its output and that of v are still there, and nothing else."""
    x, w, v = torch.randn(1000, 30), torch.nn.Parameter(torch.randn(30, 50)), torch.nn.Parameter(torch.randn(50, 2))
    inputs, table, scalar = 1000 * 30 + 30 * 50 + 50 * 2, 1000 * 50, 1
    counter = LiveBytes()
    counter.count([x, w, v])
    assert counter.live == FLOAT * inputs
    with counter:
        loss = ((x @ w).relu() @ v).sum()  # x w is freed at once, since ReLU keeps its result; so are the scores
        assert counter.live == FLOAT * (inputs + table + scalar)
        assert counter.peak == FLOAT * (inputs + 2 * table)
        counter.restart()
        loss.backward()
        assert counter.live == FLOAT * (inputs + scalar + 30 * 50 + 50 * 2)
        del loss
    assert counter.live == FLOAT * (inputs + 30 * 50 + 50 * 2)
    assert counter.peak == FLOAT * (inputs + 3 * table + 2 * scalar + 50 * 2)


def test_views_count_once_and_what_the_host_holds_not_at_all() -> None:
    counter, table = LiveBytes(), torch.zeros(100, 8)
    counter.ignore([table])
    with counter:
        row = torch.ones(10, 8)
        view = row.t()[2:]
        table[5:15].copy_(row)
        assert counter.live == FLOAT * 80
        with counter.paused():
            on_host = torch.ones(1000)
        del row
        assert counter.live == FLOAT * 80
        del view
        assert counter.live == 0
        pulled = table.index_select(0, torch.tensor([1, 2]))
        assert counter.live == FLOAT * 16
    assert on_host.numel() == 1000 and pulled.shape == (2, 8)


def test_a_copied_batch_equals_the_original_and_shares_no_memory() -> None:
    problem = make_problem(make_graph(random_adjacency(40, 4, 0)), 4, GCNConfig())
    batch = BatchBuilder(problem.graph, problem.adj, problem.partition, problem.graph.splits[0], 1).build([1, 2])
    other = copied(batch)
    assert other.ranges == batch.ranges and other.blocks[-1].inner.symmetric
    for one, two in ((batch.x.target, other.x.target), (batch.blocks[-1].outer.col, other.blocks[-1].outer.col), (batch.y, other.y)):
        assert torch.equal(one, two) and one.data_ptr() != two.data_ptr()


# -- shares --------------------------------------------------------------------------------------------------------------------------------


def test_neighbourhoods_and_hops_of_a_path() -> None:
    matrix = np.diag(np.ones(5), 1) + np.diag(np.ones(5), -1)
    graph = make_graph(sp.csr_array(matrix))
    within = list(neighbourhood(graph.adj.rowptr.numpy(), graph.adj.col.numpy(), np.array([0]), 3))
    assert [nodes.tolist() for nodes in within] == [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3]]
    edge_index = torch.tensor([[1, 0, 2, 1, 3], [0, 1, 1, 2, 2]])  # 0 <- 1 <- 0, 2 <- 1, 3
    assert hops(edge_index, 4, seeds=1, depth=3) == ([1, 1, 1, 1], [1, 2, 2])


@pytest.mark.skipif(not can_sample(), reason="PyG's NeighborLoader needs pyg-lib or torch-sparse")
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_sampling_every_neighbour_uses_all_data(depth: int) -> None:
    graph = make_graph(random_adjacency(80, 3, 1))
    batch = next(iter(neighbor_loader(graph, [-1] * depth, seeds=4)))
    share = share_of(batch, graph, depth)
    assert (share.nodes, share.edges) == (share.all_nodes, share.all_edges)
    nodes, edges = hops(batch.edge_index, batch.num_nodes, batch.batch_size, depth)
    assert (sum(nodes), sum(edges), nodes[0]) == (share.nodes, share.edges, 4)
    few = share_of(next(iter(neighbor_loader(graph, [1] * depth, seeds=4))), graph, depth)
    assert few.nodes < few.all_nodes and few.edges < few.all_edges


# -- cells ---------------------------------------------------------------------------------------------------------------------------------


def test_the_shape_of_table_3(tmp_path: Path) -> None:
    """GAS uses all data, Cluster-GCN a part; memory grows linearly with depth, and only for full batch with the graph."""
    case = Case("ogbn-arxiv", arguments(tmp_path), 0.005)
    found = {(m, n): measure(case, m, n) for m in ("full_batch", "cluster_gcn", "gas") for n in (2, 3, 4)}
    for (method, _), cell in found.items():
        assert cell["twin"] and (cell["nodes"] == cell["all_nodes"]) == (cell["edges"] == cell["all_edges"]) == (method != "cluster_gcn")
        assert (cell["histories"] > 0) == (method == "gas")
    assert found["gas", 3]["histories"] == 2 * case.graph.num_nodes * 16 * FLOAT
    for method in ("full_batch", "cluster_gcn", "gas"):
        first, second = (found[method, n + 1]["peak"] - found[method, n]["peak"] for n in (2, 3))
        assert first > 0 and second == pytest.approx(first, rel=0.25)
        assert found["cluster_gcn", 3]["peak"] <= found[method, 3]["peak"] <= found["full_batch", 3]["peak"]
    larger = Case("ogbn-arxiv", arguments(tmp_path), 0.02)
    assert larger.num_parts == 4 * case.num_parts
    assert measure(larger, "gas", 2)["peak"] < 1.3 * found["gas", 2]["peak"]
    assert measure(larger, "full_batch", 2)["peak"] > 3 * found["full_batch", 2]["peak"]


@pytest.mark.parametrize("name", sorted(SIZES))
def test_a_twin_has_the_published_size(name: str, tmp_path: Path) -> None:
    size = SIZES[name]
    scale = 10_000 / size.nodes  # communities of a smaller twin have not enough pairs of nodes for all edges
    graph = twin(name, scale)
    assert graph.num_nodes == pytest.approx(scale * size.nodes, abs=1)
    assert graph.num_edges == pytest.approx(2 * scale * size.edges, rel=0.02)
    assert (graph.num_features, graph.num_classes) == (size.features, size.classes)
    assert real(name, tmp_path) is None


def test_a_cell_is_measured_once_and_other_settings_are_refused(tmp_path: Path) -> None:
    calls: list[int] = []

    def measured() -> dict[str, int]:
        calls.append(1)
        return {"peak": 7}

    cells = Cells(tmp_path)
    assert Cells(tmp_path, report_only=True).get("a", {"scale": 1}, measured) is None
    assert [cells.get("a", {"scale": 1}, measured) for _ in range(2)] == [{"peak": 7}] * 2
    assert Cells(tmp_path, report_only=True).get("a", {"scale": 1}, measured) == {"peak": 7}
    assert len(calls) == 1
    (code,) = cells.codes
    assert cells.code_line == f"Code: {code}." and "nothing" in Cells(tmp_path).code_line
    with pytest.raises(UserError, match=r"measured with other settings: remove it"):
        cells.get("a", {"scale": 2}, measured)


def test_a_line_compares_with_the_paper_and_says_why_it_cannot() -> None:
    measured = {"peak": 2**30 // 4, "nodes": 4, "all_nodes": 10, "edges": 9, "all_edges": 10, "histories": 0, "twin": True}
    row = memory.row_of("ogbn-arxiv", "cluster_gcn", 2, measured, scale=0.5)
    assert row["graph"] == "ogbn-arxiv, generated twin × 0.5"
    assert (row["ours GiB"], row["ours / scale"], row["paper GB"], row["difference"]) == (0.25, 0.5, 0.15, "+0.35")
    assert (row["ours data %"], row["paper data %"], row["ours edges %"]) == (40, 40, 90)
    missing = memory.row_of("yelp", "sampling", 3, {"reason": "not installed: ..."}, scale=1)
    assert (missing["ours GiB"], missing["paper GB"]) == ("not installed: ...", 2.19)
    json.dumps(missing)
