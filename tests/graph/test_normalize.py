from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.nn.conv.gcn_conv import gcn_norm

from gas_cli.errors import UserError
from gas_cli.graph.normalize import add_self_loops, check_weights, normalize
from gas_cli.graph.topology import build_adjacency
from gas_cli.ops.csr import CSR

KINDS = ("sym", "mean", None)


def random_graph(seed: int, symmetric: bool, weighted: bool, num_nodes: int = 11) -> CSR:
    """Some nodes stay isolated: ids of edges reach only to `num_nodes - 3`."""
    rng = np.random.default_rng(seed)
    edge_index = rng.integers(0, num_nodes - 2, (2, 25))
    return build_adjacency(edge_index, num_nodes, rng.random(25) + 0.1 if weighted else None, symmetrise=symmetric)


graphs = st.builds(random_graph, st.integers(0, 10_000), st.booleans(), st.booleans())


@settings(deadline=None)
@given(graphs)
def test_sym_equals_gcn_norm(adj: CSR) -> None:
    target = torch.repeat_interleave(torch.arange(adj.num_rows), adj.rowptr.diff())
    edge_index, weight = gcn_norm(torch.stack([adj.col.long(), target]), adj.value, adj.num_rows, add_self_loops=True)
    expected = torch.zeros(adj.shape)
    expected[edge_index[1], edge_index[0]] = weight
    torch.testing.assert_close(normalize(adj, "sym", self_loops=False).to_dense(), expected)


@given(graphs)
def test_sym_adds_the_loops_by_itself(adj: CSR) -> None:
    once, asked = normalize(adj, "sym", self_loops=False), normalize(adj, "sym", self_loops=True)
    assert torch.equal(once.col, asked.col) and torch.equal(once.value, asked.value)


@given(graphs, st.booleans())
def test_mean_rows_sum_to_one_or_zero(adj: CSR, self_loops: bool) -> None:
    sums = normalize(adj, "mean", self_loops).to_dense().sum(1)
    has_input = (adj.rowptr.diff() > 0) | self_loops
    torch.testing.assert_close(sums, has_input.float())


@given(graphs)
def test_none_leaves_the_weights(adj: CSR) -> None:
    assert torch.equal(normalize(adj, None, self_loops=False).to_dense(), adj.to_dense())
    assert torch.equal(normalize(adj, None, self_loops=True).to_dense(), adj.to_dense() + torch.eye(adj.num_rows))


@given(graphs, st.sampled_from(KINDS), st.booleans())
def test_finite_and_columns_sorted(adj: CSR, kind: str, self_loops: bool) -> None:
    result = normalize(adj, kind, self_loops)
    assert bool(torch.isfinite(result.value).all())
    for start, stop in zip(result.rowptr.tolist(), result.rowptr.tolist()[1:], strict=False):
        row = result.col[start:stop].tolist()
        assert row == sorted(set(row))


@given(graphs, st.sampled_from(KINDS), st.booleans())
def test_symmetric_is_promised_only_where_true_to_the_bit(adj: CSR, kind: str, self_loops: bool) -> None:
    result = normalize(adj, kind, self_loops)
    dense = result.to_dense()
    assert not result.symmetric or torch.equal(dense, dense.T)
    assert result.symmetric == adj.symmetric or kind == "mean"


@given(graphs)
def test_loop_that_is_there_keeps_its_weight(adj: CSR) -> None:
    looped = add_self_loops(adj)
    heavy = CSR(looped.rowptr, looped.col, looped.value * 3, looped.num_cols)
    assert torch.equal(add_self_loops(heavy).to_dense(), heavy.to_dense())


@given(graphs, st.sampled_from(KINDS), st.booleans())
def test_edges_keep_their_rows_of_attributes_and_added_loops_have_none(adj: CSR, kind: str, self_loops: bool) -> None:
    numbered = CSR(adj.rowptr, adj.col, adj.value, adj.num_cols, adj.symmetric, attr_row=torch.arange(adj.nnz))
    result, plain = normalize(numbered, kind, self_loops), normalize(adj, kind, self_loops)
    assert torch.equal(result.value, plain.value) and result.attr_row is not None and plain.attr_row is None
    row = torch.repeat_interleave(torch.arange(result.num_rows), result.rowptr.diff())
    assert torch.equal(result.attr_row == -1, row == result.col)
    assert torch.equal(adj.col[result.attr_row[row != result.col]], result.col[row != result.col])
    assert result.attr_row[row != result.col].tolist() == list(range(adj.nnz))


def test_input_is_left_alone() -> None:
    adj = random_graph(4, symmetric=True, weighted=True)
    before = [t.clone() for t in (adj.rowptr, adj.col, adj.value)]
    for kind in KINDS:
        normalize(adj, kind, self_loops=True)
    assert all(torch.equal(a, b) for a, b in zip(before, (adj.rowptr, adj.col, adj.value), strict=True))


def test_unknown_kind() -> None:
    with pytest.raises(UserError, match="'rw' is not known: expected 'sym', 'mean' or None"):
        normalize(random_graph(0, True, False), "rw", self_loops=False)


@pytest.mark.parametrize("kind", KINDS)
def test_negative_weights_are_refused_where_they_are_summed(kind: str) -> None:
    adj = build_adjacency(np.array([[0, 3, 1], [1, 1, 2]]), 4, np.array([1.0, -0.5, -1.0]), symmetrise=False)
    if kind is None:
        assert torch.equal(normalize(adj, kind, self_loops=False).to_dense(), adj.to_dense())
        return
    for refuse in (lambda: check_weights(adj, kind), lambda: normalize(adj, kind, self_loops=True)):
        with pytest.raises(
            UserError, match=rf"2 edge\(s\) have a negative weight, the first is -0.5 from node 3 to node 1.*={kind} divides"
        ):
            refuse()


@given(graphs, st.sampled_from(KINDS))
def test_weights_of_zero_are_accepted(adj: CSR, kind: str) -> None:
    adj.value[::2] = 0
    assert bool(torch.isfinite(normalize(adj, kind, self_loops=False).value).all())
