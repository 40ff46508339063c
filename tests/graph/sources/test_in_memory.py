"""Graphs that a program holds: every form gives the same graph, with the checks of files; what may be read in two ways is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import networkx as nx
import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Data, HeteroData

from gas_cli.errors import UserError
from gas_cli.graph.graph import Graph
from gas_cli.graph.topology import build_adjacency

N, E = 40, 150
RNG = np.random.default_rng(0)
EDGES, X, Y = RNG.integers(0, N, (2, E)), RNG.standard_normal((N, 3)), RNG.integers(0, 3, N)
EDGES = np.unique(EDGES[:, EDGES[0] != EDGES[1]], axis=1)
PARTS: dict[str, Any] = {"train": np.arange(10), "val": np.arange(10, 20), "test": np.arange(20, N)}
WEIGHT = np.linspace(0.5, 2, EDGES.shape[1])


def masks() -> dict[str, torch.Tensor]:
    return {f"{part}_mask": torch.isin(torch.arange(N), torch.from_numpy(ids)) for part, ids in PARTS.items()}


def data(**more: Any) -> Data:
    return Data(**{"x": torch.tensor(X), "edge_index": torch.tensor(EDGES), "y": torch.tensor(Y), **masks(), **more})


def matrix(weight: np.ndarray | None = None) -> sp.csr_array:
    return sp.csr_array((np.ones(EDGES.shape[1]) if weight is None else weight, EDGES), shape=(N, N))


def network(kind: Callable[[], Any] = nx.DiGraph, weight: np.ndarray | None = None) -> Any:
    graph = kind()
    for node in range(N):
        part = next(part for part, ids in PARTS.items() if node in ids)
        graph.add_node(f"n{node}", x=X[node], y=int(Y[node]), split=part)
    for at, (w, v) in enumerate(EDGES.T.tolist()):
        graph.add_edge(f"n{w}", f"n{v}", **({} if weight is None else {"weight": weight[at]}))
    return graph


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
def test_every_form_gives_the_same_graph(weight: np.ndarray | None) -> None:
    expected = Graph.from_edges(EDGES, X, Y, **PARTS, edge_weight=weight)
    more = {} if weight is None else {"edge_weight": torch.from_numpy(weight)}
    found = [
        Graph.from_edges(torch.from_numpy(EDGES), torch.from_numpy(X), torch.from_numpy(Y), **PARTS, edge_weight=weight),
        Graph.from_edges(EDGES, sp.csr_matrix(X), Y.tolist(), **PARTS, edge_weight=weight),
        Graph.from_edges(EDGES, X, Y, **dict(zip(PARTS, masks().values(), strict=True)), edge_weight=weight),
        Graph.from_pyg(data(**more)),
        Graph.from_scipy(matrix(weight), X, Y, **PARTS),
        Graph.from_scipy(matrix(weight).tocoo(), X, Y, **PARTS),
        Graph.from_networkx(network(weight=weight)),
    ]
    for graph in found:
        assert graph.fingerprint() == expected.fingerprint()
    adj = build_adjacency(EDGES, N, weight, symmetrise=False)
    assert torch.equal(expected.adj.col, adj.col) and torch.equal(expected.adj.value, adj.value)
    assert torch.equal(expected.x, torch.from_numpy(X).float()) and torch.equal(expected.y, torch.from_numpy(Y))


def test_an_undirected_one_has_every_edge_in_both_directions() -> None:
    expected = build_adjacency(EDGES, N, symmetrise=True)
    for graph in (
        Graph.from_edges(EDGES, X, Y, **PARTS, undirected=True),
        Graph.from_pyg(data(), undirected=True),
        Graph.from_scipy(matrix(), X, Y, **PARTS, undirected=True),
        Graph.from_networkx(network(nx.Graph)),
        Graph.from_networkx(network(nx.MultiGraph)),
    ):
        assert graph.symmetric and torch.equal(graph.adj.col, expected.col) and torch.equal(graph.adj.rowptr, expected.rowptr)


def test_edge_attributes_and_several_splits_of_a_data_come_along() -> None:
    attributes = torch.from_numpy(RNG.standard_normal((EDGES.shape[1], 2))).float()
    two = {key: torch.stack([mask, mask], 1) for key, mask in masks().items()}
    graph = Graph.from_pyg(data(edge_attr=attributes, **two))
    assert len(graph.splits) == 2 and graph.edge_dim == 2
    same = Graph.from_edges(EDGES, X, Y, **PARTS, edge_attr=attributes.numpy())
    assert torch.equal(graph.edge_attr, same.edge_attr) and torch.equal(graph.adj.attr_row, same.adj.attr_row)


def test_a_matrix_that_repeats_entries_or_stores_zeros_means_what_scipy_means() -> None:
    stored = sp.coo_array((np.array([1.0, 2.0, 0.0]), (np.array([0, 0, 1]), np.array([1, 1, 2]))), shape=(3, 3))
    graph = Graph.from_scipy(stored, np.ones((3, 1)), [0, 1, 0], train=[0], val=[1], test=[2])
    assert graph.num_edges == 1 and graph.adj.to_dense()[1, 0] == 3  # row 0 is the source
    assert stored.nnz == 3 and stored.data.tolist() == [1.0, 2.0, 0.0]  # the program's own is as it was


def test_texts_are_names_of_classes_in_alphabetical_order_and_empty_ones_unknown() -> None:
    names = np.array(["b", "a", "c"])[Y].astype(object)
    names[-1] = ""
    graph = Graph.from_edges(EDGES, X, names, **PARTS | {"test": np.arange(20, N - 1)})
    assert graph.class_names == ("a", "b", "c")
    known = graph.y[:-1].numpy()
    assert [graph.class_names[c] for c in known] == names[:-1].tolist() and int(graph.y[-1]) == -1


def test_the_program_s_sparse_features_are_not_changed() -> None:
    x = sp.csr_matrix((np.array([0.0, 2.0]), np.array([1, 0]), np.array([0, 2] + [2] * (N - 1))), shape=(N, 3))
    Graph.from_edges(EDGES, x, Y, **PARTS)
    assert x.data.tolist() == [0.0, 2.0] and x.indices.tolist() == [1, 0]


@given(st.permutations(range(N)), st.integers(1, N - 2), st.data())
def test_masks_and_ids_are_the_same_parts(order: list[int], cut: int, draw: st.DataObject) -> None:
    second = draw.draw(st.integers(cut + 1, N - 1))
    ids = {"train": order[:cut], "val": order[cut:second], "test": order[second:]}
    in_part = {part: np.isin(np.arange(N), chosen) for part, chosen in ids.items()}
    try:
        one = Graph.from_edges(EDGES, X, Y, **ids)
    except UserError as error:  # all N ids are 0 and 1
        assert "may be a mask or ids" in str(error)
        return
    assert one.fingerprint() == Graph.from_edges(EDGES, X, Y, **in_part).fingerprint()


def edges(**changed: Any) -> Callable[[], Graph]:
    arguments = {"edge_index": EDGES, "x": X, "y": Y, **PARTS} | changed
    return lambda: Graph.from_edges(**arguments)


def without(key: str) -> Any:
    graph = network()
    for node in graph.nodes:
        del graph.nodes[node][key]
    return graph


def with_node(**attributes: Any) -> Any:
    graph = network()
    graph.nodes["n3"].update(attributes)
    return graph


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (edges(train=np.ones(N, int)), "train holds zeros and ones for 40 nodes and may be a mask or ids"),
        (edges(train=[0.5]), "expected a mask of true and false"),
        (edges(train=[1, 1]), "train, row 1: node 1 is also listed in row 0"),
        (edges(test=[N]), "test, row 0: node id 40 is out of range"),
        (edges(val=[0]), "graph: train_mask and val_mask: node 0 is in both"),
        (edges(train=[]), "empty training mask"),
        (edges(train=np.ones(3, bool)), r"train_mask has shape \(3,\) for 40 nodes"),
        (edges(edge_index=EDGES + 1), "joins nodes .* of 40"),
        (edges(edge_index=EDGES.T), r"edge_index has shape .* Expected \[2, E\]"),
        (edges(edge_index=EDGES + 0.5), "node id 0.5 is not an integer"),
        (edges(x=X[:5]), r"x has shape \(5, 3\) for 40 labels"),
        (edges(x=sp.csr_array(X[:5])), "it has 5 rows where labels has 40"),
        (edges(x=X * np.nan), "x, row 0: a feature is empty or nan"),
        (edges(x=sp.csr_array(X * np.inf)), "a feature is NaN or infinite"),
        (edges(y=Y + 0.5), "looks like a regression target"),
        (edges(y=["a"] * 39 + [3]), "labels of several types"),
        (edges(y=[""] * N), "every label is unknown"),
        (edges(edge_weight=WEIGHT[:3]), "edge_weight has shape"),
        (edges(metric="best"), "dataset.metric=best is not valid"),
        (lambda: Graph.from_pyg(X), "Expected a torch_geometric.data.Data"),
        (lambda: Graph.from_pyg(HeteroData()), r"Data with edge_index|data\.to_homogeneous"),
        (lambda: Graph.from_pyg(data(x=None, y=None)), "neither x nor y"),
        (lambda: Graph.from_pyg(data(edge_index=None)), "the Data has no edge_index"),
        (
            lambda: Graph.from_pyg(data(train_mask=None)),
            "no tensor train_mask. .*Without any mask, dataset.make_split=random",
        ),
        (lambda: Graph.from_pyg(data(x=torch.empty(N, 3, dtype=torch.uint4))), "Expected a dense tensor of numbers"),
        (lambda: Graph.from_pyg(data(edge_index=None, adj_t=torch.eye(N))), "leave out the transform ToSparseTensor"),
        (lambda: Graph.from_scipy(matrix().toarray(), X, Y, **PARTS), r"type scipy\.sparse\.csr_array\(adjacency\)"),
        (lambda: Graph.from_scipy(matrix()[:5], X, Y, **PARTS), r"shape \(5, 40\) for 40 labels"),
        (lambda: Graph.from_networkx(without("y")), r"Node 'n0' has no attribute 'y' \(it has: x, split\)"),
        (lambda: Graph.from_networkx(network(), y="label"), "no attribute 'label'"),
        (lambda: Graph.from_networkx(network(), split="part"), "No node has the attribute 'part'"),
        (lambda: Graph.from_edges(EDGES, X, Y, val=PARTS["val"]), "There are val nodes and no train nodes"),
        (lambda: Graph.from_networkx(with_node(split="dev")), "Node 'n3' has split='dev'"),
        (lambda: Graph.from_networkx(with_node(x=[1.0])), "Node 'n3' has 1 numbers in 'x', node 'n0' 3"),
        (lambda: Graph.from_networkx(with_node(x=["a", "b", "c"])), "does not hold numbers only"),
        (lambda: Graph.from_networkx(_half_weighted()), "edges have no attribute 'weight'"),
        (lambda: Graph.from_networkx(nx.Graph()), "No node has the attribute"),
    ],
)
def test_what_is_refused(make: Callable[[], Graph], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make()


def _half_weighted() -> Any:
    graph = network()
    next(iter(graph.edges(data=True)))[2]["weight"] = 2.0
    return graph
