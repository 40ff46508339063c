"""Edge dropout: a function of the step and of an edge's ends, whatever the partition."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gas_cli.batch.builder import BatchBuilder
from gas_cli.config.model import GCNConfig
from gas_cli.ops.dropout import Noise
from gas_cli.training.edge_dropout import drop_edges
from tests.builders import adjacencies, make_graph, make_problem, random_adjacency


def thinned(graph, num_parts: int, noise: Noise, p: float = 0.4) -> torch.Tensor:
    """The adjacency [N, N] by node ids that the batches of an epoch see, each a step of its own with the same noise."""
    problem = make_problem(graph, num_parts, GCNConfig())
    builder = BatchBuilder(problem.graph, problem.adj, problem.partition, problem.graph.splits[0], 2)
    seen = torch.zeros(graph.num_nodes, graph.num_nodes)
    for part in range(num_parts):
        batch = drop_edges(builder.build([part]), p, noise)
        assert batch.blocks[0] is batch.blocks[1], "what is shared stays shared"
        block = batch.blocks[0]
        seen[block.target_ids.unsqueeze(1), block.target_ids] = block.inner.to_dense()
        seen[block.target_ids.unsqueeze(1), block.halo_ids] = block.outer.to_dense()
    return seen


@settings(max_examples=30, deadline=None)
@given(adjacencies(), st.data())
def test_the_same_edges_are_dropped_in_every_partition(drawn, data):
    graph = make_graph(*drawn)
    parts = data.draw(st.integers(1, min(6, graph.num_nodes)))
    torch.testing.assert_close(thinned(graph, parts, Noise(1, 7)), thinned(graph, 1, Noise(1, 7)))


@pytest.mark.parametrize("p", [0.1, 0.7])
def test_edges_are_dropped_at_the_rate_asked_for_and_the_others_scaled(p):
    graph = make_graph(random_adjacency(300, 20, 0))
    whole, seen = (thinned(graph, 3, noise, p) for noise in (Noise.off(), Noise(0, 1)))
    edges = whole != 0
    kept = (seen != 0) & edges
    assert float(kept.sum() / edges.sum()) == pytest.approx(1 - p, abs=0.02)
    torch.testing.assert_close(seen[kept], whole[kept] / (1 - p))
    assert not torch.equal(seen, thinned(graph, 3, Noise(0, 2), p)), "another step draws anew"
    kept.fill_diagonal_(False)
    assert float((kept & kept.T).sum() / kept.sum()) == pytest.approx(1 - p, abs=0.04), "the two directions of an edge are two draws"
