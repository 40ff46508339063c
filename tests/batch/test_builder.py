"""Batches hold every edge of their targets, once."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gas_cli.batch.batch import tensors
from gas_cli.batch.builder import BatchBuilder, with_loss_block
from gas_cli.batch.side_stream import SideBuilder, arrived
from gas_cli.config.model import GCNConfig
from gas_cli.ops.csr import CSR
from gas_cli.partition.groups import epoch_groups
from tests.builders import adjacencies, make_graph, make_problem, random_adjacency

CUDA = torch.device("cuda", 0)


def dense_rows(x: torch.Tensor | CSR) -> torch.Tensor:
    return x.to_dense() if isinstance(x, CSR) else x


def positions(batch) -> torch.Tensor:
    return torch.cat([torch.arange(a, b) for a, b in batch.ranges])


@settings(max_examples=60, deadline=None)
@given(adjacencies(), st.data())
def test_an_epoch_covers_every_edge_and_every_training_node_exactly_once(drawn, data):
    matrix, directed = drawn
    graph = make_graph(matrix, directed, sparse_features=data.draw(st.booleans()))
    parts = data.draw(st.integers(1, graph.num_nodes))
    problem = make_problem(graph, parts, GCNConfig(normalization=None, self_loops=False))
    builder = BatchBuilder(problem.graph, problem.adj, problem.partition, problem.graph.splits[0], 2)
    seen = torch.zeros(graph.num_nodes, graph.num_nodes)
    trained = torch.zeros(graph.num_nodes, dtype=torch.int64)
    for group in epoch_groups(parts, data.draw(st.integers(1, parts)), shuffle=True, seed=1, epoch=1):
        batch = builder.build(group)
        rows = positions(batch)
        columns = torch.cat([rows, batch.blocks[-1].halo])
        seen[rows.unsqueeze(1), columns] += torch.cat([batch.blocks[-1].inner.to_dense(), batch.blocks[-1].outer.to_dense()], dim=1)
        trained[rows[batch.train_rows]] += 1
    assert torch.equal(seen, problem.adj.to_dense())
    assert torch.equal(trained, problem.graph.splits[0].train.long())


@settings(max_examples=30, deadline=None)
@given(adjacencies(), st.data())
def test_rows_belong_to_their_nodes(drawn, data):
    graph = make_graph(drawn[0], drawn[1], sparse_features=data.draw(st.booleans()))
    parts = data.draw(st.integers(1, graph.num_nodes))
    problem = make_problem(graph, parts, GCNConfig())
    builder = BatchBuilder(problem.graph, problem.adj, problem.partition, problem.graph.splits[0], 2)
    batch = builder.build(sorted(data.draw(st.sets(st.integers(0, parts - 1), min_size=1))))
    x = dense_rows(graph.x)  # in the order of node ids
    assert torch.equal(dense_rows(batch.x.target), x[batch.blocks[-1].target_ids])
    assert torch.equal(dense_rows(batch.x.halo), x[batch.blocks[-1].halo_ids])
    assert torch.equal(batch.y, graph.y[batch.blocks[-1].target_ids])
    assert set(batch.blocks[-1].target_ids.tolist()).isdisjoint(batch.blocks[-1].halo_ids.tolist())
    assert batch.blocks[-1].halo.tolist() == sorted(set(batch.blocks[-1].halo.tolist()))
    assert (
        int(batch.blocks[-1].outer.to_dense().abs().sum(0).count_nonzero()) == batch.blocks[-1].num_halo
    )  # every halo node sends a message


def test_a_builder_leaves_no_trace_between_batches():
    graph = make_graph(random_adjacency(30, 4, 0))
    problem = make_problem(graph, 6, GCNConfig())
    builder = BatchBuilder(problem.graph, problem.adj, problem.partition, problem.graph.splits[0], 2)
    first = builder.build([1, 4])
    builder.build([0, 1, 5])
    again = builder.build([4, 1])
    assert torch.equal(first.blocks[-1].inner.to_dense(), again.blocks[-1].inner.to_dense())
    assert torch.equal(first.blocks[-1].outer.to_dense(), again.blocks[-1].outer.to_dense())
    assert torch.equal(first.blocks[-1].halo, again.blocks[-1].halo)


def test_adjacent_parts_are_one_range():
    graph = make_graph(random_adjacency(30, 4, 0))
    problem = make_problem(graph, 6, GCNConfig())
    builder = BatchBuilder(problem.graph, problem.adj, problem.partition, problem.graph.splits[0], 2)
    ptr = problem.partition.part_ptr.tolist()
    assert builder.build([0, 1, 3]).ranges == ((ptr[0], ptr[2]), (ptr[3], ptr[4]))


def test_the_documented_path_of_four_nodes():
    path = sp.csr_array((np.ones(6), ([0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2])), shape=(4, 4))
    problem = make_problem(make_graph(path), 1, GCNConfig(normalization=None, self_loops=False))
    partition = replace(problem.partition, part_ptr=torch.tensor([0, 2, 4]))
    batch = BatchBuilder(problem.graph, problem.adj, partition, problem.graph.splits[0], 2).build([0])
    assert batch.blocks[-1].inner.to_dense().tolist() == [[0, 1], [1, 0]]
    assert batch.blocks[-1].halo.tolist() == [2]
    assert batch.blocks[-1].outer.to_dense().tolist() == [[0], [1]]


@pytest.mark.gpu
@pytest.mark.parametrize("edge_dim", [0, 3])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("sums", [False, True])
def test_batches_built_on_the_device_equal_those_of_the_host(edge_dim, sparse, sums):
    graph = make_graph(random_adjacency(200, 5, 0), edge_dim=edge_dim, sparse_features=sparse)
    problem = make_problem(graph, 10, GCNConfig())
    whole = problem.graph, problem.adj, problem.partition, problem.graph.splits[0]
    given = (*whole, 2, problem.feature_sums if sums else None)
    host, device = BatchBuilder(*given), SideBuilder(BatchBuilder(*given, device=CUDA), CUDA)
    for parts in ([3], [0, 1, 7], list(range(10))):
        expected, found = (builder.apply(with_loss_block, builder.build(parts)) for builder in (host, device))
        arrived(found)
        assert (found.parts, found.ranges, found.num_train) == (expected.parts, expected.ranges, expected.num_train)
        assert found.blocks[-1].num_edges == expected.blocks[-1].num_edges
        for one, other in zip(tensors(found), tensors(expected), strict=True):
            assert one.is_cuda
            # Means of edge attributes are sums in another order; everything else is copied.
            torch.testing.assert_close(one.cpu(), other, rtol=1e-6 if edge_dim else 0, atol=1e-6 if edge_dim else 0)
