"""What a `Graph` holds is checked, and hashed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gas_cli.errors import UserError
from gas_cli.ops.csr import CSR
from tests.builders import make_graph, random_adjacency

GRAPH = make_graph(random_adjacency(20, 4, 0), edge_dim=3)
E = GRAPH.num_edges


def rows(*first: int) -> torch.Tensor:
    return torch.tensor([*first, *[0] * (E - len(first))])


@pytest.mark.parametrize(
    ("table", "attr_row", "message"),
    [
        (torch.zeros(E - 1, 3), None, rf"has {E - 1} rows of edge attributes for {E} edges: expected one row per edge"),
        (torch.zeros(E), None, r"has edge attributes of shape .* and type torch.float32: expected float32 \[E, D\]"),
        (torch.zeros(E, 2).double(), None, "has edge attributes of shape .* and type torch.float64: expected float32"),
        (torch.zeros(E, 0), None, "has edge attributes of shape"),
        (torch.zeros(E, 2).index_fill(0, torch.tensor([5]), torch.nan), None, "NaN or infinite edge attribute in row 5: expected finite"),
        (torch.zeros(4, 2), rows(1, 4), "has edges with the rows 0 to 4 of 4 rows of edge attributes: expected a row for every edge"),
        (torch.zeros(4, 2), rows(-1), "has edges with the rows -1 to 0 of 4"),
    ],
)
def test_edge_attributes_that_do_not_fit(table: torch.Tensor, attr_row: torch.Tensor | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        replace(GRAPH, edge_attr=table, adj=replace(GRAPH.adj, attr_row=attr_row)).validate()


def test_two_directions_may_share_a_row() -> None:
    graph = replace(GRAPH, edge_attr=torch.zeros(4, 2), adj=replace(GRAPH.adj, attr_row=rows(1, 3))).validate()
    assert graph.edge_dim == 2 and graph.adjacency() is graph.adj


def test_the_fingerprint_covers_attributes_and_where_they_belong() -> None:
    plain = replace(GRAPH, edge_attr=None)
    other = replace(GRAPH, edge_attr=GRAPH.edge_attr + 1)
    swapped = replace(GRAPH, adj=replace(GRAPH.adj, attr_row=torch.arange(E).flip(0)))
    assert len({graph.fingerprint() for graph in (GRAPH, plain, other, swapped)}) == 4
    assert replace(GRAPH, adj=GRAPH.adjacency()).fingerprint() == GRAPH.fingerprint()
    assert isinstance(GRAPH.adj, CSR) and GRAPH.adj.attr_row is None and plain.adjacency() is plain.adj


@pytest.mark.parametrize("value", [float("nan"), 0.5, 2.0, -1.0])
def test_labels_of_several_classes_are_zeros_and_ones_where_a_split_reads_them(value: float) -> None:
    graph = make_graph(random_adjacency(20, 3, 0))
    y, split = torch.zeros(20, 3), graph.splits[0]
    inside, outside = int(split.val.nonzero()[0]), int(split.test.nonzero()[0])
    y[:, 1] = 1
    without = replace(split, test=split.test & (torch.arange(20) != outside))
    several = replace(graph, y=y, num_classes=3, metric="micro_f1", splits=(without,))
    y[outside, 0] = value
    several.validate()
    y[inside, 2] = value
    with pytest.raises(UserError, match=f"has a label that is neither 0 nor 1 at node {inside}, which is in a split: expected 0 or 1"):
        several.validate()
