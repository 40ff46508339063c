from __future__ import annotations

import logging
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gas_cli.config.dataset import GeneratedConfig
from gas_cli.graph.graph import Graph
from gas_cli.graph.sources.block_model import BlockModel, sample_edges
from gas_cli.graph.sources.generated import generate
from gas_cli.graph.sources.power_law import expected_degrees
from gas_cli.ops.csr import CSR


def make(**options: Any) -> GeneratedConfig:
    return GeneratedConfig(name="generated", **options)


def rows(adj: CSR) -> torch.Tensor:
    return torch.repeat_interleave(torch.arange(adj.num_rows), adj.rowptr.diff())


def mixing(graph: Graph) -> float:
    return float((graph.y[rows(graph.adj)] != graph.y[graph.adj.col]).double().mean())


def dense_features(graph: Graph) -> torch.Tensor:
    assert isinstance(graph.x, torch.Tensor)
    return graph.x


@st.composite
def configs(draw: st.DrawFn) -> GeneratedConfig:
    n = draw(st.integers(2, 60))
    return make(
        num_nodes=n,
        average_degree=draw(st.floats(0.1, n - 0.5)),
        num_communities=draw(st.integers(1, n)),
        num_features=draw(st.integers(1, 5)),
        mixing=draw(st.floats(0, 1)),
        power_law=draw(st.floats(1.01, 50)),
        feature_noise=draw(st.floats(0, 3)),
        train_fraction=draw(st.floats(0.01, 0.5)),
        val_fraction=draw(st.floats(0, 0.5)),
        graph_seed=draw(st.integers(0, 3)),
    )


@settings(deadline=None)
@given(configs())
def test_any_settings_give_a_valid_simple_symmetric_graph(config: GeneratedConfig) -> None:
    graph = generate(config).validate()
    n = config.num_nodes
    assert graph.adj.shape == (n, n)
    assert graph.x.shape == (n, config.num_features)
    dense = graph.adj.to_dense()
    assert torch.equal(dense, dense.T)
    assert graph.symmetric
    assert graph.adj.symmetric
    assert not dense.diagonal().any()
    assert set(graph.adj.value.tolist()) <= {1.0}
    assert (torch.diff(rows(graph.adj) * n + graph.adj.col) > 0).all()  # sorted, no duplicates
    assert graph.num_edges <= n * config.average_degree + 1 + 1e-9 * n  # half an edge more at most, by rounding
    assert torch.bincount(graph.y, minlength=config.num_communities).aminmax().max - n // config.num_communities <= 1
    split = graph.splits[0]
    assert (split.train ^ split.val ^ split.test).all()
    seen = len(set(graph.y[split.train].tolist()))
    assert seen == min(config.num_communities, int(split.train.sum()))


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("average", "share"), [(4.0, 0.3), (12.0, 0.0), (12.0, 0.6), (12.0, 1.0), (30.0, 0.1)])
def test_degree_and_mixing_are_those_asked_for(average: float, share: float, seed: int) -> None:
    graph = generate(make(num_nodes=3000, average_degree=average, mixing=share, graph_seed=seed))
    assert graph.num_edges / graph.num_nodes == pytest.approx(average, rel=0.01)
    assert mixing(graph) == pytest.approx(share, abs=0.001)


def test_every_community_has_its_share_of_mixing() -> None:
    """Not only on average: hubs do not make one community more open than another."""
    graph = generate(make(num_nodes=20_000, mixing=0.3, num_communities=4, power_law=2.1))
    outside = (graph.y[rows(graph.adj)] != graph.y[graph.adj.col]).double()
    for c in range(4):
        assert float(outside[graph.y[rows(graph.adj)] == c].mean()) == pytest.approx(0.3, abs=0.02)


def test_a_smaller_exponent_has_a_heavier_tail() -> None:
    def share_of_hubs(exponent: float) -> float:
        degree = generate(make(num_nodes=10_000, power_law=exponent)).adj.rowptr.diff().sort(descending=True).values
        return float(degree[:100].sum() / degree.sum())

    shares = [share_of_hubs(exponent) for exponent in (1.5, 2.0, 2.5, 3.5, 10.0)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 2 * shares[-2]


@given(st.integers(1, 1000), st.floats(0.01, 200), st.floats(1.001, 1000))
def test_expected_degrees_have_the_mean_and_no_infinities(n: int, average: float, exponent: float) -> None:
    degrees = expected_degrees(n, average, exponent, np.random.default_rng(0))
    assert degrees.mean() == pytest.approx(average)
    assert (degrees >= 0).all()


@pytest.mark.parametrize("exponent", [1.5, 2.0, 2.5, 3.0])
def test_expected_degrees_follow_the_power_law(exponent: float) -> None:
    """The maximum-likelihood exponent (with both bounds known) and the bounds themselves."""
    n, average = 200_000, 10.0
    degrees = expected_degrees(n, average, exponent, np.random.default_rng(0))
    assert degrees.max() <= math.sqrt(n * average) * 1.05
    # d/dγ of the log-likelihood on [a, b] vanishes at the exponent: mean ln x is the model's
    a, b = degrees.min(), degrees.max()
    x = np.exp(np.linspace(math.log(a), math.log(b), 200_001))
    density = x ** (1 - exponent)  # in ln x
    assert np.log(degrees).mean() == pytest.approx((np.log(x) * density).sum() / density.sum(), abs=0.02)


def test_expected_degrees_are_the_degrees() -> None:
    """Over many draws each node's mean degree approaches its θ (a little less for hubs: parallel edges are drawn again)."""
    degrees = np.linspace(1, 5, 60)
    model = BlockModel.with_equal_communities(degrees, 3, 0.4)
    theta = np.diff(model.weight)
    counts = np.zeros(60)
    for seed in range(400):
        counts += np.bincount(sample_edges(model, np.random.default_rng(seed)).reshape(-1), minlength=60)
    assert counts / 400 == pytest.approx(theta, rel=0.15, abs=0.2)
    assert np.corrcoef(counts, theta)[0, 1] > 0.98


def test_the_same_settings_give_the_same_graph_and_seeds_differ() -> None:
    config = make(num_nodes=500)
    prints = [generate(replace(config, graph_seed=seed)).fingerprint() for seed in (0, 0, 1)]
    assert prints[0] == prints[1] != prints[2]


def test_features_and_split_leave_the_topology() -> None:
    config = make(num_nodes=500)
    one, two = generate(config), generate(replace(config, num_features=3, feature_noise=0.0, train_fraction=0.5))
    assert torch.equal(one.adj.col, two.adj.col)
    assert torch.equal(one.y, two.y)


def test_features_are_unit_centres_and_the_noise_asked_for() -> None:
    clean = generate(make(num_nodes=2000, feature_noise=0.0))
    assert dense_features(clean).norm(dim=1) == pytest.approx(torch.ones(2000), abs=1e-5)
    assert len(torch.unique(dense_features(clean), dim=0)) == clean.num_classes
    noisy = generate(make(num_nodes=2000, feature_noise=0.5))
    noise = dense_features(noisy) - dense_features(clean)
    assert float(noise.std()) == pytest.approx(0.5, rel=0.02)
    assert abs(float(noise.mean())) < 0.01


def test_neighbours_tell_more_than_a_node_does() -> None:
    """What the graph is for: the nearest class centre of the neighbourhood's mean is right far more often than the node's own."""
    config = make(num_nodes=5000)
    graph, clean = generate(config), dense_features(generate(replace(config, feature_noise=0.0)))
    centres = torch.stack([clean[graph.y == c][0] for c in range(graph.num_classes)])
    x = dense_features(graph)
    mean = torch.from_numpy(graph.adj.to_scipy() @ x.numpy()) + x

    def accuracy(features: torch.Tensor) -> float:
        return float(((features @ centres.T).argmax(1) == graph.y).double().mean())

    assert accuracy(x) < 0.5
    assert accuracy(mean) > accuracy(x) + 0.2


def test_node_ids_say_nothing_about_communities() -> None:
    graph = generate(make(num_nodes=5000, num_communities=5))
    assert int((graph.y.diff() != 0).sum()) > 3500  # 4/5 of neighbouring ids differ when shuffled, 4 of 4999 when sorted
    assert abs(float(torch.corrcoef(torch.stack([graph.y.double(), torch.arange(5000.0).double()]))[0, 1])) < 0.1


@pytest.mark.parametrize(
    ("options", "num_edges"),
    [
        ({"num_nodes": 1, "average_degree": 0.5, "num_communities": 1}, 0),
        ({"num_nodes": 5, "average_degree": 2.0, "num_communities": 1}, 10),
        ({"num_nodes": 5, "average_degree": 4.0, "num_communities": 1}, 20),  # complete
        ({"num_nodes": 5, "average_degree": 2.0, "num_communities": 5, "mixing": 1.0}, 10),
        ({"num_nodes": 40, "average_degree": 39.0, "num_communities": 1, "power_law": 1.5}, 1560),
    ],
)
def test_tiny_and_complete_graphs(options: dict[str, Any], num_edges: int) -> None:
    assert generate(make(**options)).validate().num_edges == num_edges


def test_crowded_communities_give_fewer_edges_and_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="gas_cli"):
        graph = generate(make(num_nodes=300, num_communities=100, average_degree=10, mixing=0.0))
    assert graph.num_edges == 600  # 100 triangles
    assert "generated 300 of 1500 edges" in caplog.text
