"""Any bipartite PyG convolution by name: exact through every driver, and refused by name where it does not fit."""

from __future__ import annotations

import pytest
import torch

from gas_cli.config.compose import compose_config, load_config, save_config
from gas_cli.config.model import ConvConfig
from gas_cli.errors import UserError
from gas_cli.model.conv import Conv, bipartite_convolutions
from gas_cli.model.registry import build_model
from gas_cli.ops.dropout import Noise
from gas_cli.passes.drivers import last_layer, layerwise
from tests.builders import in_original_order, make_graph, random_adjacency
from tests.passes.test_exactness import CLOSE, Lab

CONVOLUTIONS = sorted(bipartite_convolutions())


def test_there_are_at_least_ten():
    assert {"SAGEConv", "GATv2Conv", "TransformerConv", "GraphConv", "GENConv"} <= set(CONVOLUTIONS)
    assert len(CONVOLUTIONS) >= 10


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_exact_through_histories_layerwise_inference_and_refresh(name, sparse):
    lab = Lab(make_graph(random_adjacency(40, 4, 1), sparse_features=sparse), 5, ConvConfig(num_layers=3, hidden_channels=6, conv=name))
    lab.network.eval()
    expected = lab.full_batch(Noise.off()).detach()
    for epoch in range(1, 4):
        scores = lab.gas_epoch(size=2, epoch=epoch)
    torch.testing.assert_close(scores, expected, **CLOSE)
    torch.testing.assert_close(
        in_original_order(lab.problem, layerwise(lab.network, lab.passes, 40, lab.device, lab.histories)), expected, **CLOSE
    )
    torch.testing.assert_close(in_original_order(lab.problem, last_layer(lab.network, lab.passes, 40, lab.histories)), expected, **CLOSE)


def test_max_aggregation_through_the_settings(tmp_path):
    config = compose_config(["model=conv", "model.conv=SAGEConv", "model.conv_args.aggr=max", "model.num_layers=2"])
    assert config.model == ConvConfig(num_layers=2, conv="SAGEConv", conv_args={"aggr": "max"})
    save_config(config, tmp_path / "config.yaml")
    assert load_config(tmp_path / "config.yaml") == config
    lab = Lab(make_graph(random_adjacency(40, 4, 1)), 5, config.model)
    lab.network.eval()
    for epoch in (1, 2):
        scores = lab.gas_epoch(epoch=epoch)
    torch.testing.assert_close(scores, lab.full_batch(Noise.off()).detach(), **CLOSE)


def test_edge_weights_reach_a_convolution_that_takes_them():
    light, heavy = random_adjacency(20, 4, 0), random_adjacency(20, 4, 0)
    heavy.data[:] = 2
    config = ConvConfig(num_layers=1, conv="GraphConv")
    one, two = (Lab(make_graph(matrix), 3, config).full_batch(Noise.off()) for matrix in (light, heavy))
    assert not torch.allclose(one, two)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (ConvConfig(conv="SageConv"), r"model\.conv=SageConv is not.*Did you mean SAGEConv"),
        (ConvConfig(conv="GINConv"), "is not a bipartite convolution"),
        (ConvConfig(conv="os.system"), "is not a bipartite convolution"),
        (ConvConfig(conv_args={"agr": "max"}), "do not fit SAGEConv"),
        (ConvConfig(conv_args={"aggr": "maximum"}), "do not fit SAGEConv"),
    ],
)
def test_what_does_not_fit_is_answered_by_name(config, message):
    with pytest.raises(UserError, match=message):
        build_model(config, 5, 3, seed=0)


@pytest.mark.parametrize(
    ("config", "edge_dim", "message"),
    [
        (ConvConfig(conv="GATv2Conv", conv_args={"edge_dim": 3}), 2, "edge_dim=3: the edges have 2 attributes. Leave it out"),
        (ConvConfig(conv="GATv2Conv", conv_args={"edge_dim": 3}), 0, "edge_dim=3: the edges have no attributes"),
        (ConvConfig(conv="GATv2Conv", conv_args={"edge_dim": 3}, edge_attr=False), 3, r"edge_dim=3: model\.edge_attr=false"),
    ],
)
def test_an_edge_dim_that_is_not_the_graphs_is_refused(config, edge_dim, message):
    with pytest.raises(UserError, match=rf"model\.conv_args\.{message}"):
        build_model(config, 5, 3, seed=0, edge_dim=edge_dim)


def test_who_takes_edge_attributes():
    takers = [name for name in CONVOLUTIONS if Conv.takes_edge_attr(ConvConfig(conv=name))]
    assert {"GATConv", "GATv2Conv", "TransformerConv", "GENConv", "ResGatedGraphConv"} <= set(takers) and "SAGEConv" not in takers
    assert not Conv.takes_edge_attr(ConvConfig(conv="GATConv", edge_attr=False))
