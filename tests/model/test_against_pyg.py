"""Each architecture's layer equals PyTorch Geometric's, given the same weights."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch_geometric.nn import APPNP, GATConv, GATv2Conv, GCN2Conv, GCNConv, GINConv, PNAConv, SAGEConv
from torch_geometric.utils import degree, softmax

from gas_cli.batch.builder import BatchBuilder
from gas_cli.config.model import (
    APPNPConfig,
    ConvConfig,
    GATConfig,
    GCNConfig,
    GCNIIConfig,
    GINConfig,
    ModelConfig,
    PNAConfig,
    SAGEConfig,
)
from gas_cli.graph.graph import Graph
from gas_cli.method.method import Alone
from gas_cli.model.model import Model
from gas_cli.model.registry import build_model
from gas_cli.ops.attention import edge_softmax
from gas_cli.ops.dropout import Noise
from gas_cli.passes.drivers import forward
from tests.builders import in_original_order, make_graph, make_problem, random_adjacency

GRAPH = make_graph(random_adjacency(30, 4, 0))
EDGES = torch.stack([GRAPH.adj.col.long(), torch.repeat_interleave(torch.arange(30), GRAPH.adj.rowptr.diff())])
ATTRIBUTES = torch.randn(EDGES.shape[1], 4, generator=torch.Generator().manual_seed(0))


def ours(config: ModelConfig, graph: Graph = GRAPH):
    """The model without dropout, and its scores on the whole graph."""
    model = build_model(config, 5, 3, seed=0, edge_dim=graph.edge_dim).eval()
    return model, scores_of(model, config, graph)


def scores_of(model: Model, config: ModelConfig, graph: Graph) -> torch.Tensor:
    problem = make_problem(graph, 1, config)
    model.observe(problem.adj)
    batch = BatchBuilder(problem.graph, problem.adj, problem.partition, problem.graph.splits[0], model.num_layers).build([0])
    with torch.no_grad():
        return in_original_order(problem, forward(model, batch, Alone(), Noise.off()))


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected.detach(), rtol=1e-4, atol=1e-5)


def test_gcn():
    model, scores = ours(GCNConfig(num_layers=1))
    conv = GCNConv(5, 3)
    conv.lin.weight.data, conv.bias.data = model.convs[0].weight.t(), model.convs[0].bias.data
    close(scores, conv(GRAPH.x, EDGES))


def test_sage():
    model, scores = ours(SAGEConfig(num_layers=1))
    conv = SAGEConv(5, 3)
    conv.lin_l.weight.data, conv.lin_l.bias.data = model.convs[0].neighbours.t(), model.convs[0].own.bias.data
    conv.lin_r.weight.data = model.convs[0].own.weight.t()
    close(scores, conv(GRAPH.x, EDGES))


def test_gin():
    model, scores = ours(GINConfig(num_layers=1))
    mine, first, second = model.convs[0], torch.nn.Linear(5, 3), torch.nn.Linear(3, 3)
    conv = GINConv(torch.nn.Sequential(first, torch.nn.ReLU(), second))
    first.weight.data, first.bias.data = mine.first.weight.t(), mine.first.bias.data
    second.load_state_dict(mine.second.state_dict())
    close(scores, conv(GRAPH.x, EDGES))


def test_pna_where_both_definitions_meet():
    """PyG's messages are linear in both ends and shared: equal for non-negative features that are passed on as they are."""
    aggregators, scalers = ["mean", "max", "min", "std"], ["identity", "amplification", "attenuation", "linear", "inverse_linear"]
    config, graph = PNAConfig(num_layers=1, aggregators=aggregators, scalers=scalers), replace(GRAPH, x=GRAPH.x[:, :3].abs())
    model = build_model(config, 3, 3, seed=0).eval()
    conv = PNAConv(3, 3, aggregators, scalers, torch.bincount(degree(EDGES[1], 30).long()))
    mine, one = model.convs[0], torch.eye(3)
    mine.pre.weight.data, mine.pre.bias.data = one.repeat(20, 1), torch.zeros(60)
    conv.pre_nns[0][0].weight.data, conv.pre_nns[0][0].bias.data = torch.cat([torch.zeros(3, 3), one], dim=1), torch.zeros(3)
    conv.lin.weight.data, conv.lin.bias.data = one, torch.zeros(3)
    own, *pairs = conv.post_nns[0][0].weight.data.split(3, dim=1)  # by scaler, then by aggregator; ours by aggregator, then by scaler
    mine.own.weight.data, mine.own.bias.data = own, conv.post_nns[0][0].bias.data
    mine.post.data = torch.stack(pairs).view(5, 4, 3, 3).transpose(0, 1).transpose(2, 3).reshape(60, 3)
    mine.bias.data.zero_()
    close(scores_of(model, config, graph), conv(graph.x, EDGES))


@pytest.mark.parametrize("out_heads", [1, 3])
def test_gat(out_heads):
    model, scores = ours(GATConfig(num_layers=1, out_heads=out_heads))
    conv, mine = GATConv(5, 3, heads=out_heads, concat=False), model.convs[0]
    conv.lin.weight.data, conv.bias.data = mine.source.t(), mine.bias.data
    conv.att_src.data, conv.att_dst.data = mine.att_source.data.unsqueeze(0), mine.att_target.data.unsqueeze(0)
    close(scores, conv(GRAPH.x, EDGES))


def test_gatv2():
    model, scores = ours(GATConfig(num_layers=1, out_heads=2, version=2))
    conv, mine = GATv2Conv(5, 3, heads=2, concat=False), model.convs[0]
    conv.lin_l.weight.data, conv.lin_r.weight.data = mine.source.t(), mine.target.t()
    conv.lin_l.bias.data.zero_()
    conv.lin_r.bias.data.zero_()
    conv.att.data, conv.bias.data = mine.att_source.data.unsqueeze(0), mine.bias.data
    close(scores, conv(GRAPH.x, EDGES))


def test_gat_with_edge_attributes():
    model, scores = ours(GATConfig(num_layers=1, out_heads=3), replace(GRAPH, edge_attr=ATTRIBUTES))
    conv, mine = GATConv(5, 3, heads=3, concat=False, edge_dim=4), model.convs[0]
    conv.lin.weight.data, conv.bias.data = mine.source.t(), mine.bias.data
    conv.att_src.data, conv.att_dst.data = mine.att_source.data.unsqueeze(0), mine.att_target.data.unsqueeze(0)
    conv.lin_edge.weight.data, conv.att_edge.data = mine.edge.t(), mine.att_edge.data.unsqueeze(0)
    close(scores, conv(GRAPH.x, EDGES, ATTRIBUTES))  # its self-loops get the mean of the edges into their node, too


def test_gatv2_with_edge_attributes():
    model, scores = ours(GATConfig(num_layers=1, out_heads=2, version=2), replace(GRAPH, edge_attr=ATTRIBUTES))
    conv, mine = GATv2Conv(5, 3, heads=2, concat=False, edge_dim=4, bias=True), model.convs[0]
    conv.lin_l.weight.data, conv.lin_r.weight.data = mine.source.t(), mine.target.t()
    conv.lin_l.bias.data.zero_()
    conv.lin_r.bias.data.zero_()
    conv.att.data, conv.bias.data, conv.lin_edge.weight.data = mine.att_source.data.unsqueeze(0), mine.bias.data, mine.edge.t()
    close(scores, conv(GRAPH.x, EDGES, ATTRIBUTES))


@pytest.mark.parametrize("name", ["TransformerConv", "GENConv", "ResGatedGraphConv"])
def test_convolutions_of_pyg_with_edge_attributes(name):
    model, scores = ours(ConvConfig(num_layers=1, conv=name), replace(GRAPH, edge_attr=ATTRIBUTES))
    close(scores, model.convs[0](GRAPH.x, EDGES, ATTRIBUTES))


@pytest.mark.parametrize("shared", [True, False])
def test_gcnii(shared):
    model, scores = ours(GCNIIConfig(num_layers=2, hidden_channels=6, alpha=0.2, theta=0.7, shared_weights=shared))
    initial = model.lin_in(GRAPH.x).relu()
    h = initial
    for index in range(2):
        conv = GCN2Conv(6, alpha=0.2, theta=0.7, layer=index + 1, shared_weights=shared)
        conv.weight1.data = model.weights[index].data
        if not shared:
            conv.weight2.data = model.initial_weights[index].data
        h = conv(h, initial, EDGES).relu()
    close(scores, model.lin_out(h))


def test_appnp():
    model, scores = ours(APPNPConfig(num_layers=4, hidden_channels=6, alpha=0.2))
    close(scores, APPNP(K=4, alpha=0.2)(model.lin_out(model.lin_in(GRAPH.x).relu()), EDGES))


def test_edge_softmax_equals_pyg_and_survives_large_scores():
    scores = 200 * torch.randn(EDGES.shape[1], 4)
    close(edge_softmax(scores, EDGES[1], 30), softmax(scores, EDGES[1], num_nodes=30))
