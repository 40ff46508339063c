"""Cluster-GCN's batches are normalised sub-graphs, and the whole graph where one part holds it."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gas_cli.batch.builder import BatchBuilder
from gas_cli.batch.cluster_builder import ClusterBuilder
from gas_cli.config.model import GCNConfig
from gas_cli.graph.normalize import normalize
from gas_cli.ops.csr import CSR
from tests.builders import adjacencies, make_graph, make_problem

AGGREGATIONS = st.sampled_from([("sym", True), ("mean", False), ("mean", True), (None, False)])


def builders(graph, parts: int, aggregation: tuple[str, bool]) -> tuple[ClusterBuilder, BatchBuilder]:
    problem = make_problem(graph, parts, GCNConfig(normalization=aggregation[0], self_loops=aggregation[1]))
    split = problem.graph.splits[0]
    return (
        ClusterBuilder(problem.graph, *aggregation, problem.partition, split, 2),
        BatchBuilder(problem.graph, problem.adj, problem.partition, split, 2),
    )


@settings(max_examples=60, deadline=None)
@given(adjacencies(), AGGREGATIONS, st.data())
def test_a_batch_is_the_normalised_sub_graph_of_its_nodes(drawn, aggregation, data):
    graph = make_graph(drawn[0], drawn[1], sparse_features=data.draw(st.booleans()))
    parts = data.draw(st.integers(1, graph.num_nodes))
    cluster, whole = builders(graph, parts, aggregation)
    group = sorted(data.draw(st.sets(st.integers(0, parts - 1), min_size=1)))
    batch, complete = cluster.build(group), whole.build(group)
    ids = batch.blocks[-1].target_ids.numpy()
    alone = CSR.from_scipy(sp.csr_array(graph.adj.to_scipy()[ids][:, ids]))
    torch.testing.assert_close(batch.blocks[-1].inner.to_dense(), normalize(alone, *aggregation).to_dense())
    assert batch.blocks[-1].num_halo == batch.blocks[-1].halo.numel() == batch.x.halo.shape[0] == batch.blocks[-1].outer.nnz == 0
    assert batch.blocks[-1].outer.num_rows == batch.blocks[-1].num_targets == len(ids)
    for name in ("y", "train_rows"):
        assert torch.equal(getattr(batch, name), getattr(complete, name))
    assert (batch.parts, batch.ranges, batch.num_train) == (complete.parts, complete.ranges, complete.num_train)
    if batch.blocks[-1].inner.symmetric:
        dense = batch.blocks[-1].inner.to_dense()
        assert torch.equal(dense, dense.t())


@settings(max_examples=30, deadline=None)
@given(adjacencies(), AGGREGATIONS)
def test_one_part_drops_nothing(drawn, aggregation):
    cluster, whole = builders(make_graph(*drawn), 1, aggregation)
    one, other = cluster.build([0]).blocks[-1].inner, whole.build([0]).blocks[-1].inner
    for name in ("rowptr", "col", "value"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@settings(max_examples=30, deadline=None)
@given(adjacencies(), AGGREGATIONS, st.data())
def test_attributes_are_those_of_the_sub_graph_with_means_over_its_edges_alone(drawn, aggregation, data):
    graph = make_graph(drawn[0], drawn[1], edge_dim=2)
    parts = data.draw(st.integers(1, graph.num_nodes))
    cluster, _ = builders(graph, parts, aggregation)
    block = cluster.build(sorted(data.draw(st.sets(st.integers(0, parts - 1), min_size=1)))).blocks[-1]
    assert block.edge_attr.shape == (block.num_edges, 2)
    ids, loops = block.target_ids, block.edge_source == block.edge_target
    target = torch.repeat_interleave(torch.arange(graph.num_nodes), graph.adj.rowptr.diff())
    known = dict(zip(zip(graph.adj.col.tolist(), target.tolist(), strict=True), graph.edge_attr, strict=True))
    for edge in range(block.num_edges):
        source, v = int(ids[block.edge_source[edge]]), int(ids[block.edge_target[edge]])
        others = block.edge_attr[(block.edge_target == block.edge_target[edge]) & ~loops]
        mean = others.mean(0) if len(others) else torch.zeros(2)
        torch.testing.assert_close(block.edge_attr[edge], mean if source == v else known[source, v])
