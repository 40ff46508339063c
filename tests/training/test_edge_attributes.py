"""Edge attributes and edge weights travel with their edges: through permutation, batches, histories and every driver."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch_geometric.nn import APPNP, GCN2Conv, GCNConv, GraphConv

from gas_cli.batch.builder import BatchBuilder
from gas_cli.config.model import APPNPConfig, ConvConfig, GATConfig, GCNConfig, GCNIIConfig, ModelConfig, SAGEConfig
from gas_cli.graph.graph import Graph
from gas_cli.method.gas import GASLink
from gas_cli.method.method import Alone
from gas_cli.ops.dropout import Noise
from gas_cli.passes.drivers import forward, last_layer, layerwise
from gas_cli.passes.loss import Loss
from gas_cli.training.edge_dropout import drop_edges
from tests.builders import MODEL_IDS, MODELS, adjacencies, in_original_order, make_graph, make_problem, random_adjacency
from tests.passes.test_exactness import CLOSE, Lab

READERS: list[ModelConfig] = [
    GATConfig(num_layers=3, hidden_channels=3, heads=2),
    GATConfig(num_layers=2, hidden_channels=3, heads=2, version=2, residual=True),
    ConvConfig(name="transformer", num_layers=3, hidden_channels=4, conv="TransformerConv", self_loops=True),
    ConvConfig(num_layers=2, hidden_channels=4, conv="GENConv"),
]
IDS = ["gat3", "gatv2", "transformer3", "genconv"]
SLOW = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def assert_exact(lab: Lab) -> torch.Tensor:
    """Histories, layer-wise inference and a pass of only the last layer give the scores of full batch, which are returned."""
    lab.network.eval()
    n, expected = lab.problem.graph.num_nodes, lab.full_batch(Noise.off()).detach()
    for epoch in range(1, lab.network.num_layers + 1):
        scores = lab.gas_epoch(size=2, epoch=epoch)
    torch.testing.assert_close(scores, expected, **CLOSE)
    scores = layerwise(lab.network, lab.passes, n, lab.device, lab.histories)
    torch.testing.assert_close(in_original_order(lab.problem, scores), expected, **CLOSE)
    scores = last_layer(lab.network, lab.passes, n, lab.histories)
    torch.testing.assert_close(in_original_order(lab.problem, scores), expected, **CLOSE)
    return expected


@pytest.mark.parametrize("model", READERS, ids=IDS)
@SLOW
@given(drawn=adjacencies(), data=st.data())
def test_exact_through_every_driver(drawn, data, model):
    graph = make_graph(*drawn, edge_dim=3)
    assert_exact(Lab(graph, data.draw(st.integers(1, min(6, graph.num_nodes))), model))


@pytest.mark.parametrize("model", READERS, ids=IDS)
def test_attributes_matter(model):
    """The tests here can fail: other attributes, other scores."""
    graph = make_graph(random_adjacency(30, 4, 0), edge_dim=3)
    other = replace(graph, edge_attr=graph.edge_attr.flip(0))
    one, two = (Lab(each, 3, model).full_batch(Noise.off()) for each in (graph, other))
    assert not torch.allclose(one, two, **CLOSE)


@pytest.mark.parametrize("model", READERS[:2], ids=IDS[:2])
@SLOW
@given(drawn=adjacencies())
def test_the_order_of_the_nodes_changes_neither_scores_nor_gradients(drawn, model):
    """With dropout; PyG's own dropouts are not keyed by node, so its convolutions are left out."""
    graph = make_graph(*drawn, edge_dim=3)
    outcomes = []
    for order in (torch.arange(graph.num_nodes), torch.randperm(graph.num_nodes, generator=torch.Generator().manual_seed(7))):
        network = Lab(graph, 1, model).network.train()
        problem = make_problem(graph, 1, model, order=order)
        batch = BatchBuilder(problem.graph, problem.adj, problem.partition, problem.graph.splits[0], 2).build([0])
        scores = forward(network, batch, Alone(), Noise(3, 4))
        Loss("full_batch", batch.num_train)(scores, batch, 1).backward()
        outcomes.append((in_original_order(problem, scores.detach()), [p.grad for p in network.parameters()]))
    torch.testing.assert_close(outcomes[0], outcomes[1], **CLOSE)


def attributes_by_edge(batch) -> dict[tuple[int, int], list[float]]:
    block = batch.blocks[-1]
    source = torch.cat([block.target_ids, block.halo_ids])[block.edge_source]
    pairs = zip(source.tolist(), block.target_ids[block.edge_target].tolist(), strict=True)
    return dict(zip(pairs, block.edge_attr.tolist(), strict=True))


@SLOW
@given(drawn=adjacencies(), data=st.data())
def test_every_edge_has_its_own_row_and_an_added_loop_the_mean_of_its_node(drawn, data):
    graph = make_graph(*drawn, edge_dim=2)
    problem = make_problem(graph, data.draw(st.integers(1, graph.num_nodes)), GATConfig())
    builder = BatchBuilder(problem.graph, problem.adj, problem.partition, problem.graph.splits[0], 2)
    found: dict[tuple[int, int], list[float]] = {}
    for part in range(builder.num_parts):
        found |= attributes_by_edge(builder.build([part]))
    rowptr, col = graph.adj.rowptr.tolist(), graph.adj.col.tolist()
    for v in range(graph.num_nodes):
        rows = graph.edge_attr[rowptr[v] : rowptr[v + 1]]
        for entry in range(rowptr[v], rowptr[v + 1]):
            assert found.pop((col[entry], v)) == graph.edge_attr[entry].tolist()
        expected = rows.mean(0) if len(rows) else torch.zeros(2)
        torch.testing.assert_close(torch.tensor(found.pop((v, v))), expected, **CLOSE)
    assert not found


def test_edge_dropout_thins_weights_and_leaves_attributes_with_their_edges():
    graph = make_graph(random_adjacency(30, 4, 0), edge_dim=3)
    lab = Lab(graph, 4, READERS[1])
    batch = lab.batches(size=2)[0]
    thinned = drop_edges(batch, 0.5, Noise(1, 2))
    assert attributes_by_edge(thinned) == attributes_by_edge(batch)
    assert 0 < int((thinned.blocks[-1].edge_weight == 0).sum()) < batch.blocks[-1].num_edges
    link = GASLink(lab.histories)
    link.begin(batch, None)
    scores = forward(lab.network, thinned, link, Noise.off())
    assert scores.shape == (batch.blocks[-1].num_targets, 3) and bool(torch.isfinite(scores).all())


def test_a_model_that_reads_no_attributes_gets_none_and_is_as_it_was():
    plain = make_graph(random_adjacency(30, 4, 0))
    graph = replace(plain, edge_attr=torch.ones(plain.num_edges, 2))
    one, two = (Lab(each, 3, GCNConfig()).full_batch(Noise.off()) for each in (plain, graph))
    assert torch.equal(one, two)
    off, none = (Lab(each, 3, GATConfig(edge_attr=False)).full_batch(Noise.off()) for each in (graph, plain))
    assert torch.equal(off, none)


# -- weights -------------------------------------------------------------------------------------------------------------------------------


def weighted(directed: bool) -> Graph:
    matrix = random_adjacency(30, 4, 1, directed)
    rng = np.random.default_rng(0)
    weight = rng.random(matrix.shape).astype(np.float32) + 0.2
    matrix = matrix.multiply(weight if directed else weight + weight.T).tocsr()
    return make_graph(matrix, directed)


def pyg_scores(network, config: ModelConfig, graph: Graph) -> torch.Tensor:
    """The scores by PyG's layers with the same parameters and `edge_weight`."""
    x, weight = graph.x, graph.adj.value
    edges = torch.stack([graph.adj.col.long(), torch.repeat_interleave(torch.arange(graph.num_nodes), graph.adj.rowptr.diff())])
    if isinstance(config, GCNConfig):
        for index, mine in enumerate(network.convs):
            conv = GCNConv(*mine.weight.shape)
            conv.lin.weight.data, conv.bias.data = mine.weight.t(), mine.bias.data
            x = conv(x, edges, weight)
            x = x.relu() if index < len(network.convs) - 1 else x
        return x
    if isinstance(config, APPNPConfig):
        return APPNP(config.num_layers, config.alpha)(network.lin_out(network.lin_in(x).relu()), edges, weight)
    if isinstance(config, GCNIIConfig):
        h = initial = network.lin_in(x).relu()
        for index in range(config.num_layers):
            conv = GCN2Conv(config.hidden_channels, config.alpha, config.theta, layer=index + 1)
            conv.weight1.data = network.weights[index].data
            h = conv(h, initial, edges, weight).relu()
        return network.lin_out(h)
    if isinstance(config, SAGEConfig):
        # PyG's SAGEConv takes no weights: the weighted mean is GraphConv's weighted sum over the sum of the weights.
        total = torch.zeros(graph.num_nodes).index_add_(0, edges[1], weight)[edges[1]]
        for index, mine in enumerate(network.convs):
            conv = GraphConv(*mine.own.weight.shape)
            conv.lin_rel.weight.data, conv.lin_rel.bias.data = mine.neighbours.t(), mine.own.bias.data
            conv.lin_root.weight.data = mine.own.weight.t()
            x = conv(x, edges, weight / total)
            x = x.relu() if index < len(network.convs) - 1 else x
        return x
    for index, conv in enumerate(network.convs):
        x = conv(x, edges, weight)
        x = x.relu() if index < len(network.convs) - 1 else x
    return x


@pytest.mark.parametrize("directed", [False, True], ids=["undirected", "directed"])
@pytest.mark.parametrize(
    "model",
    [
        GCNConfig(num_layers=3, hidden_channels=8),
        GCNIIConfig(num_layers=3, hidden_channels=6),
        APPNPConfig(num_layers=3, hidden_channels=6),
        SAGEConfig(num_layers=3, hidden_channels=6),
        ConvConfig(num_layers=2, hidden_channels=6, conv="GraphConv"),
        ConvConfig(num_layers=2, hidden_channels=6, conv="LEConv"),
    ],
    ids=lambda config: getattr(config, "conv", config.name),
)
def test_weights_reach_every_driver_as_they_reach_pyg(model, directed):
    graph = weighted(directed)
    lab = Lab(graph, 5, model)
    torch.testing.assert_close(assert_exact(lab), pyg_scores(lab.network, model, graph).detach(), **CLOSE)


# -- on a GPU ------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.gpu
@pytest.mark.parametrize("model", READERS, ids=IDS)
def test_cuda_equals_cpu_with_attributes_from_pinned_batches(model):
    graph = make_graph(random_adjacency(60, 5, 0), edge_dim=3)
    expected = assert_exact(Lab(graph, 5, model))
    lab = Lab(graph, 5, model, placement="pinned")
    lab.network.eval()  # as `assert_exact` has it: PyG's layers may hold a batch norm
    torch.testing.assert_close(lab.full_batch(Noise.off()).detach(), expected, rtol=1e-3, atol=1e-4)
    batch = lab.builder.build([1, 2])
    moved = batch.pin_memory().to(lab.device)
    assert moved.blocks[-1].edge_attr.is_cuda and torch.equal(moved.blocks[-1].edge_attr.cpu(), batch.blocks[-1].edge_attr)


@pytest.mark.parametrize("model", MODELS, ids=MODEL_IDS)
def test_a_model_heeds_edge_dropout_or_says_that_it_does_not(model):
    """Says so exactly where dropping messages changes nothing."""
    lab = Lab(make_graph(random_adjacency(40, 5, 0)), 2, model)
    lab.network.eval()
    batch = lab._builder(lab.whole).build([0])
    with torch.no_grad():
        whole, thinned = (forward(lab.network, b, Alone(), Noise.off()) for b in (batch, drop_edges(batch, 0.5, Noise(0, 1))))
    assert type(lab.network).heeds_edge_dropout(model) is not torch.equal(whole, thinned)
