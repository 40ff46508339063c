"""PNA: degree statistics are the whole graph's, removed edges are no messages, and jumping knowledge is that of the published model."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from gas_cli.batch.batch import Batch
from gas_cli.config.compose import compose_config, load_config, save_config
from gas_cli.config.model import PNAConfig, PNAJKConfig
from gas_cli.errors import UserError
from gas_cli.model.model import State
from gas_cli.model.registry import build_model
from gas_cli.ops.dropout import Noise
from gas_cli.training.edge_dropout import drop_edges
from tests.builders import make_graph, random_adjacency
from tests.passes.test_exactness import Lab

GRAPH = make_graph(random_adjacency(40, 5, 0))
OFF = Noise.off()


def reference(conv: torch.nn.Module, adjacency: torch.Tensor, x: torch.Tensor, delta: torch.Tensor) -> torch.Tensor:
    """One layer for the aggregators mean and max, the scalers identity and amplification: target by target, pair by pair."""
    rows = []
    for v, links in enumerate(adjacency):
        sources = links.nonzero().flatten()
        own = F.linear(x[v], conv.own.weight, conv.own.bias)
        for k, (aggregator, scaler) in enumerate([(a, s) for a in ("mean", "max") for s in ("identity", "amplification")]):
            width = conv.own.out_features
            pair = slice(k * width, (k + 1) * width)
            messages = F.linear(x[sources], conv.pre.weight[pair], conv.pre.bias[pair]).relu()
            reduced = torch.zeros(width) if not len(sources) else messages.mean(0) if aggregator == "mean" else messages.max(0).values
            scale = torch.tensor(len(sources) + 1.0).log() / delta if scaler == "amplification" else 1
            own = own + scale * (reduced @ conv.post[pair] + conv.bias[k])
        rows.append(own)
    return torch.stack(rows)


def a_batch(lab: Lab) -> tuple[Batch, torch.Tensor, torch.Tensor]:
    """A batch with a halo, its adjacency [B, B+H] and its features [B+H, F]."""
    batch = lab.batches(size=2)[0]
    assert batch.blocks[-1].num_halo
    return (
        batch,
        torch.cat([batch.blocks[-1].inner.to_dense(), batch.blocks[-1].outer.to_dense()], dim=1),
        torch.cat([batch.x.target, batch.x.halo]),
    )


def test_degree_means_are_those_of_the_whole_graph_whatever_the_parts_and_are_saved():
    degree = GRAPH.adj.to_dense().sum(1)
    for parts in (1, 5):
        saved = Lab(GRAPH, parts, PNAConfig()).network.state_dict()
        torch.testing.assert_close(saved["degree_means"], torch.stack([degree.log1p().mean(), degree.mean()]))


def test_a_model_that_has_seen_no_graph_says_nan():
    lab = Lab(GRAPH, 2, PNAConfig())
    lab.network.load_state_dict(build_model(PNAConfig(), 5, 3, seed=0).state_dict())
    assert lab.full_batch(OFF).isnan().all()


def test_a_layer_is_its_formula():
    lab = Lab(GRAPH, 5, PNAConfig(num_layers=1))
    batch, adjacency, x = a_batch(lab)
    found = lab.network.convolve(0, batch.x, batch.blocks[-1], State(OFF, x))
    torch.testing.assert_close(found, reference(lab.network.convs[0], adjacency, x, lab.network.degree_means[0]))


def test_a_removed_edge_is_no_message_but_counts_in_the_degree():
    lab = Lab(GRAPH, 5, PNAConfig(num_layers=1, aggregators=["mean"], scalers=["linear"]))
    batch, adjacency, x = a_batch(lab)
    block = drop_edges(batch, 0.5, Noise(0, 1)).blocks[-1]
    kept = torch.cat([block.inner.to_dense(), block.outer.to_dense()], dim=1) != 0
    assert 0 < kept.sum() < adjacency.sum()
    conv = lab.network.convs[0]
    mean = kept.float() @ conv.pre(x).relu() / kept.sum(1, keepdim=True).clamp(min=1)
    scale = adjacency.sum(1, keepdim=True) / lab.network.degree_means[1]
    expected = scale * (mean @ conv.post + conv.bias) + conv.own(batch.x.target)
    torch.testing.assert_close(lab.network.convolve(0, batch.x, block, State(OFF, x)), expected)


@pytest.mark.parametrize("jump", ["cat", "max"])
def test_jumping_knowledge_joins_the_normalised_start_and_all_layers(jump):
    """In training mode, on a batch with a halo: the first normalisation sees targets and halo, once."""
    lab = Lab(GRAPH, 5, PNAJKConfig(num_layers=1, hidden_channels=6, batch_norm=True, residual=True, jump=jump))
    network = lab.network.train()
    batch, adjacency, x = a_batch(lab)
    rows = network.encode_rows(batch.x, batch.blocks[-1], OFF)
    state = State(OFF, rows.target)
    scores = network.decode(network.layer(0, rows, batch.blocks[-1], state), batch.blocks[-1], state)

    def normalised(values: torch.Tensor) -> torch.Tensor:
        return F.batch_norm(values, None, None, training=True)

    start = network.lin_in(x)
    h0 = normalised(start).relu()
    own = h0[: batch.blocks[-1].num_targets]
    h1 = (normalised(reference(network.convs[0], adjacency, h0, network.degree_means[0])) + own).relu()
    joined = torch.cat([own, h1], dim=1) if jump == "cat" else torch.maximum(own, h1)
    torch.testing.assert_close(scores, network.lin_out(joined), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(network.norm_in.running_mean, 0.1 * start.mean(0))


def test_the_settings_reach_the_model(tmp_path):
    config = compose_config(["model=pna_jk", "model.aggregators=[mean,std]", "model.scalers=[identity]", "model.jump=max"])
    assert config.model == PNAJKConfig(aggregators=["mean", "std"], scalers=["identity"], jump="max")
    save_config(config, tmp_path / "config.yaml")
    assert load_config(tmp_path / "config.yaml") == config


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model=pna", "model.aggregators=[mean,maximum]"], r"model\.aggregators=\[mean,maximum\].*different ones of mean, std"),
        (["model=pna", "model.aggregators=[mean,mean]"], r"model\.aggregators=\[mean,mean\]"),
        (["model=pna", "model.aggregators=mean"], r"model\.aggregators: expected a list, as in model\.aggregators=\[A,B\]"),
        (["model=pna", "model.scalers=[]"], r"model\.scalers=\[\].*identity, amplification"),
        (["model=pna_jk", "model.linear=false"], r"model\.linear=False.*joined"),
        (["model=pna_jk", "model.jump=lstm"], r"model\.jump=lstm.*cat, max"),
    ],
)
def test_what_cannot_be_is_answered_by_its_name(overrides, message):
    with pytest.raises(UserError, match=message):
        compose_config(overrides)
