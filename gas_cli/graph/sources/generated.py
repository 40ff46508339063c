"""A generated graph: the degree-corrected stochastic block model with noisy class features. Needs no files and no network."""

from __future__ import annotations

import logging

import numpy as np
import torch
from numpy.typing import NDArray

from gas_cli.config.dataset import GeneratedConfig
from gas_cli.graph.graph import Graph, Split
from gas_cli.graph.sources.block_model import BlockModel, sample_edges
from gas_cli.graph.sources.power_law import expected_degrees
from gas_cli.graph.topology import build_adjacency

log = logging.getLogger(__name__)

FEATURE_BLOCK = 1 << 16
"""Nodes whose features are drawn at a time."""


def generate(config: GeneratedConfig) -> Graph:
    """Draw a graph [N nodes, C communities] from `config.graph_seed`; the same settings give the same graph.

    Topology: Karrer and Newman 2011. Community sizes differ by at most one, every node v has an expected degree θ_v from a
    power law (see `expected_degrees`), and the expected number of edges between u and v is

        θ_u θ_v / 2M · C (1 - mixing)         in one community
        θ_u θ_v / 2M · C/(C - 1) · mixing     in two                 with 2M = Σ_v θ_v = N · average_degree,

    so that a share `mixing` of the edges leaves the community. Parallel edges are drawn again, which makes hubs a little
    smaller than θ. With one community `mixing` has no meaning and is ignored.

    Features: x_v = centre of v's community + feature_noise · N(0, I), the centres random with length 1. Two centres are about √2
    apart, so with the default noise of 1 a single node's features tell two classes apart in 3 of 4 cases,
    and the mean over its neighbours does much better.

    Labels are the communities, node ids are shuffled, the split is uniformly random (with one training node of every class
    where there are enough training nodes).
    """
    # One generator per ingredient: other features leave the topology as it is.
    degree_rng, edge_rng, label_rng, feature_rng, split_rng = (
        np.random.default_rng(s) for s in np.random.SeedSequence(config.graph_seed).spawn(5)
    )
    n, classes = config.num_nodes, config.num_communities
    degrees = expected_degrees(n, config.average_degree, config.power_law, degree_rng)
    model = BlockModel.with_equal_communities(degrees, classes, 0.0 if classes == 1 else config.mixing)
    ids = label_rng.permutation(n).astype(np.int32)  # the model numbers nodes community by community
    y = np.empty(n, np.int64)
    y[ids] = model.community
    adj = build_adjacency(ids[sample_edges(model, edge_rng)], n, symmetrise=True)
    log.info("Generated %d nodes with %.2f neighbours on average.", n, adj.nnz / n)
    return Graph(
        name=config.name,
        x=torch.from_numpy(_features(y, config, feature_rng)),
        adj=adj,
        y=torch.from_numpy(y),
        splits=(_split(y, config, split_rng),),
        num_classes=classes,
        metric="accuracy",
        symmetric=True,
    )


def _features(y: NDArray[np.int64], config: GeneratedConfig, rng: np.random.Generator) -> NDArray[np.float32]:
    centres = rng.standard_normal((config.num_communities, config.num_features), dtype=np.float32)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    x = np.empty((len(y), config.num_features), np.float32)
    for start in range(0, len(y), FEATURE_BLOCK):
        block = x[start : start + FEATURE_BLOCK]
        rng.standard_normal(out=block, dtype=np.float32)
        block *= config.feature_noise
        block += centres[y[start : start + FEATURE_BLOCK]]
    return x


def _split(y: NDArray[np.int64], config: GeneratedConfig, rng: np.random.Generator) -> Split:
    n = len(y)
    order = rng.permutation(n)
    _, first = np.unique(y[order], return_index=True)
    order = np.concatenate([order[first], np.delete(order, first)])  # one node of every class leads
    num_train = max(1, round(config.train_fraction * n))
    num_val = min(round(config.val_fraction * n), n - num_train)
    masks = torch.zeros(3, n, dtype=torch.bool)
    for mask, ids in zip(masks, np.split(order, [num_train, num_train + num_val]), strict=True):
        mask[torch.from_numpy(ids)] = True
    return Split(masks[0], masks[1], masks[2])
