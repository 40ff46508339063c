from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject, SearchStrategy

from gas_cli.graph.graph import Graph, Split
from gas_cli.ops.csr import CSR
from gas_cli.partition import permute as module
from gas_cli.partition.partition import Partition, Quality
from gas_cli.partition.permute import permute_adjacency, permute_graph


def make_graph(adj: CSR, sparse_features: bool) -> Graph:
    n = adj.num_rows
    nodes = torch.arange(n)
    x = torch.stack([nodes + 1, nodes % 2, nodes % 3], 1).float()
    kinds = [nodes % 3 == k for k in range(3)]
    return Graph(
        name="test",
        x=CSR.from_scipy(x.numpy()) if sparse_features else x,
        adj=adj,
        y=nodes * 7,
        splits=(Split(kinds[0], kinds[1], kinds[2]), Split(kinds[2], kinds[0], kinds[1])),
        num_classes=7 * n,
        metric="accuracy",
        symmetric=adj.symmetric,
    )


def partition(node_perm: torch.Tensor) -> Partition:
    return Partition(node_perm, torch.tensor([0, node_perm.numel()]), Quality(0.0, 0.0, 1.0))


def dense(features: torch.Tensor | CSR) -> torch.Tensor:
    return features.to_dense() if isinstance(features, CSR) else features


def assert_sorted(matrix: CSR) -> None:
    rows = torch.repeat_interleave(torch.arange(matrix.num_rows), matrix.rowptr.diff())
    assert (torch.diff(rows * matrix.num_cols + matrix.col) > 0).all()


@given(st.data())
def test_every_entry_moves_with_its_nodes(graphs: SearchStrategy[CSR], data: DataObject) -> None:
    graph = make_graph(data.draw(graphs), data.draw(st.booleans()))
    order = torch.tensor(data.draw(st.permutations(range(graph.num_nodes))))

    moved = permute_graph(graph, partition(order))

    assert torch.equal(moved.adj.to_dense(), graph.adj.to_dense()[order][:, order])
    assert_sorted(moved.adj)
    assert moved.adj.symmetric == graph.adj.symmetric
    assert torch.equal(dense(moved.x), dense(graph.x)[order])
    assert isinstance(moved.x, CSR) == isinstance(graph.x, CSR)
    assert torch.equal(moved.y, graph.y[order])
    for old, new in zip(graph.splits, moved.splits, strict=True):
        for kind in ("train", "val", "test"):
            assert torch.equal(getattr(new, kind), getattr(old, kind)[order])


@given(st.data())
def test_large_features_stay_and_nodes_still_lead_to_theirs(graphs: SearchStrategy[CSR], data: DataObject) -> None:
    graph = make_graph(data.draw(graphs), False)
    order, then = (torch.tensor(data.draw(st.permutations(range(graph.num_nodes)))) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "COPIED_BYTES", 0)
        once = permute_graph(graph, partition(order))
        twice = permute_graph(once, partition(then))
    for moved, expected in ((once, graph.x[order]), (twice, graph.x[order][then])):
        assert moved.x is graph.x
        assert torch.equal(graph.x if moved.x_row is None else graph.x[moved.x_row], expected)


@given(st.data())
def test_edge_attributes_stay_and_edges_still_lead_to_theirs(graphs: SearchStrategy[CSR], data: DataObject) -> None:
    graph = make_graph(data.draw(graphs), False)
    graph = replace(graph, edge_attr=torch.arange(graph.num_edges).float().unsqueeze(1) + 1)
    order = torch.tensor(data.draw(st.permutations(range(graph.num_nodes))))

    moved = permute_graph(graph, partition(order))

    assert moved.edge_attr is graph.edge_attr and moved.adj.attr_row is not None
    plain = permute_adjacency(graph.adj, order)
    assert all(torch.equal(getattr(moved.adj, part), getattr(plain, part)) for part in ("rowptr", "col", "value"))
    attributes = CSR(graph.adj.rowptr, graph.adj.col, graph.edge_attr.view(-1), graph.num_nodes).to_dense()
    found = CSR(moved.adj.rowptr, moved.adj.col, moved.edge_attr[moved.adj.attr_row].view(-1), graph.num_nodes).to_dense()
    assert torch.equal(found, attributes[order][:, order])


@given(st.data())
def test_the_inverse_gives_the_graph_back(graphs: SearchStrategy[CSR], data: DataObject) -> None:
    graph = make_graph(data.draw(graphs), data.draw(st.booleans()))
    order = torch.tensor(data.draw(st.permutations(range(graph.num_nodes))))
    inverse = torch.argsort(order)

    back = permute_graph(permute_graph(graph, partition(order)), partition(inverse))

    for name in ("rowptr", "col", "value"):
        assert torch.equal(getattr(back.adj, name), getattr(graph.adj, name)), name
        assert getattr(back.adj, name).dtype == getattr(graph.adj, name).dtype
    assert torch.equal(dense(back.x), dense(graph.x))
    assert torch.equal(back.y, graph.y)
    assert all(torch.equal(new.train, old.train) for old, new in zip(graph.splits, back.splits, strict=True))
