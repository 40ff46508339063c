from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch_geometric.utils import homophily

from gas_cli.graph import describe as module
from gas_cli.graph.describe import describe, edge_homophily, notes
from gas_cli.graph.describe import homophily as homophilies
from gas_cli.graph.graph import Graph
from tests.builders import make_graph, random_adjacency


def value_of(graph: Graph, name: str) -> str:
    return next(line.partition(":")[2].strip() for line in describe(graph).splitlines() if line.startswith(f"{name}:"))


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("block", [1, 7, 1000])
def test_homophily_equals_pyg(directed: bool, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS_AT_A_TIME", block)
    matrix = random_adjacency(40, 5, 0, directed)
    graph = make_graph(matrix, directed)
    coordinates = matrix.tocoo()
    index = torch.from_numpy(np.stack([coordinates.coords[1], coordinates.coords[0]])).long()
    assert edge_homophily(graph) == pytest.approx(homophily(index, graph.y, method="edge"))


def test_nodes_without_label_are_left_out_of_homophily() -> None:
    graph = make_graph(sp.csr_array(np.array([[0.0, 1, 1], [1, 0, 0], [1, 0, 0]])))
    graph.y.copy_(torch.tensor([1, 1, -1]))
    assert edge_homophily(graph) == 1.0


@pytest.mark.parametrize("block", [7, 1000])
def test_adjusted_homophily_is_the_assortativity_of_networkx(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS_AT_A_TIME", block)
    matrix = random_adjacency(40, 5, 0)
    graph = make_graph(matrix)
    other = nx.from_scipy_sparse_array(matrix)
    nx.set_node_attributes(other, dict(enumerate(graph.y.tolist())), "y")
    assert homophilies(graph)[1] == pytest.approx(nx.attribute_assortativity_coefficient(other, "y"))


def test_adjusted_homophily_of_directed_edges_and_unknown_labels() -> None:
    matrix = random_adjacency(40, 5, 1, directed=True)
    graph = make_graph(matrix, directed=True)
    graph.y[::7] = -1
    y = graph.y.tolist()
    edges = [(y[v], y[w]) for v, w in zip(*matrix.nonzero(), strict=True) if y[v] >= 0 and y[w] >= 0]
    degree = {c: sum((v == c) + (w == c) for v, w in edges) for c in range(3)}
    chance = sum((d / (2 * len(edges))) ** 2 for d in degree.values())
    share = sum(v == w for v, w in edges) / len(edges)
    assert homophilies(graph) == pytest.approx((share, (share - chance) / (1 - chance)))


def test_adjusted_homophily_has_no_value_with_a_single_class() -> None:
    graph = make_graph(sp.csr_array(1 - np.eye(6)))
    graph.y.fill_(1)
    assert edge_homophily(graph) == 1 and np.isnan(homophilies(graph)[1])
    assert value_of(graph, "homophily") == "1.000 of the edges join equal classes"


@pytest.mark.parametrize("directed", [False, True])
def test_components_and_degrees_are_those_of_networkx(directed: bool) -> None:
    matrix = random_adjacency(60, 1.5, 3, directed)
    graph = make_graph(matrix, directed)
    other = nx.from_scipy_sparse_array(matrix.T, create_using=nx.DiGraph)  # rows are targets here
    parts = [len(part) for part in nx.weakly_connected_components(other)]
    assert value_of(graph, "components").startswith(f"{len(parts)}; the largest has {max(parts)} nodes")
    for row, degrees in {"in-degree": other.in_degree(), "out-degree": other.out_degree()}.items():
        if row == "in-degree" or directed:  # the same in both directions otherwise
            degree = [d for _, d in degrees]
            assert f"mean {np.mean(degree):.1f}, least {min(degree)}, median {int(np.median(degree))}," in value_of(graph, row)
            assert value_of(graph, row).endswith(f"most {max(degree)}")
    alone = nx.number_of_isolates(other)
    assert alone and value_of(graph, "isolated") == f"{alone} nodes without an edge"


def test_labels_and_splits_are_counted() -> None:
    graph = make_graph(random_adjacency(30, 4, 0))
    sizes = [int((graph.y == c).sum()) for c in range(3)]
    assert all(f"{c}: {size} ({100 * size / 30:.1f} %)" in value_of(graph, "balance") for c, size in enumerate(sizes))
    assert value_of(graph, "classes").endswith(f"has {max(sizes) / min(sizes):.1f} times the nodes of the smallest")
    split = graph.splits[0]
    sizes = [int(mask.sum()) for mask in (split.train, split.val, split.test)]
    assert value_of(graph, "splits") == f"train {sizes[0]}, val {sizes[1]}, test {sizes[2]}, in none 0"


def test_what_is_seldom_meant_is_noted() -> None:
    lonely = sp.csr_array((np.ones(1), ([0], [1])), shape=(4, 4))
    graph = make_graph(lonely, directed=True)
    graph.y.copy_(torch.tensor([0, 1, 2, 2]))
    graph.splits[0].train.copy_(torch.tensor([True, True, False, False]))
    said = " ".join(notes(graph))
    assert "dataset.undirected=true" in said and "2 node(s) have no edge" in said and "has no training node of class 2" in said
    assert notes(make_graph(sp.csr_array(1 - np.eye(30)), seed=1)) == []


def test_an_edge_with_two_weights_is_no_missing_direction() -> None:
    matrix = sp.csr_array(np.array([[0.0, 1, 0], [2, 0, 1], [0, 1, 0]]))
    said = " ".join(notes(make_graph(matrix, directed=True)))
    assert "different weights" in said and "in one direction" not in said


def test_edges_are_described_with_their_attributes() -> None:
    matrix = random_adjacency(20, 4, 0)
    assert value_of(make_graph(matrix), "edges").endswith("every edge in both directions, no weights, no attributes")
    edges = value_of(make_graph(matrix, edge_dim=3), "edges")
    assert edges.endswith(f"no weights, 3 attribute(s) in {matrix.nnz} rows, 0.0 MiB")


def test_several_labels_and_sparse_features_are_described() -> None:
    from dataclasses import replace

    graph = make_graph(random_adjacency(20, 4, 0), sparse_features=True)
    y = torch.zeros(20, 3)
    y[:5, 1] = 1
    text = describe(replace(graph, y=y, metric="micro_f1").validate())
    assert "3, 0.25 per node" in text and "1: 25.0 %" in text and "sparse" in text and "homophily" not in text
