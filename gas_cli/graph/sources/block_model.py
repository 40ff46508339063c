"""Drawing the edges of a degree-corrected stochastic block model, without duplicates and loops."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

log = logging.getLogger(__name__)

MAX_ROUNDS = 100
"""Draws of what is still missing, before a nearly complete graph is left with fewer edges."""
SPARE_DRAWS = 1024
"""Bound of the draws per round in tiny graphs."""

Nodes = NDArray[np.int64]


@dataclass(frozen=True)
class BlockModel:
    """Nodes numbered community by community.

    community  int64 [N], ascending
    bounds     int64 [C+1]: community c is the nodes bounds[c]:bounds[c+1]
    weight     float64 [N+1], cumulated expected degrees from 0 to 2M
    mixing     share of the edges that leave their community
    """

    community: Nodes
    bounds: Nodes
    weight: NDArray[np.float64]
    mixing: float

    @classmethod
    def with_equal_communities(cls, degrees: NDArray[np.float64], num_communities: int, mixing: float) -> BlockModel:
        """Sizes differ by at most one; degrees are scaled so that each community's mean is that of all nodes."""
        n = len(degrees)
        bounds = np.arange(num_communities + 1, dtype=np.int64) * n // num_communities
        sizes = np.diff(bounds)
        community = np.repeat(np.arange(num_communities), sizes)
        scale = degrees.mean() * sizes / np.add.reduceat(degrees, bounds[:-1])
        return cls(community, bounds, np.concatenate([[0.0], np.cumsum(degrees * scale[community])]), mixing)

    @property
    def num_nodes(self) -> int:
        return len(self.community)

    @property
    def community_weight(self) -> NDArray[np.float64]:
        """Cumulated expected degrees at the communities' bounds, [C+1]."""
        return self.weight[self.bounds]

    def node_at(self, weight: NDArray[np.float64]) -> Nodes:
        """The nodes in whose interval of `self.weight` the given values lie."""
        return np.clip(np.searchsorted(self.weight, weight, side="right") - 1, 0, self.num_nodes - 1)


DrawPairs = Callable[[BlockModel, int, np.random.Generator], tuple[Nodes, Nodes]]


def sample_edges(model: BlockModel, rng: np.random.Generator) -> NDArray[np.int32]:
    """Undirected edges int32 [2, ≤ M], each once, no loops: row 0 is below row 1.

    Shares of M within and between communities are fixed in advance, so that drawing duplicates again does not move them.
    Where so many different edges do not exist (tiny or crowded communities) there are fewer, with a warning.
    """
    num_edges = round(float(model.weight[-1]) / 2)
    sizes = np.diff(model.bounds)
    pairs_within = int((sizes * (sizes - 1) // 2).sum())
    pairs_between = model.num_nodes * (model.num_nodes - 1) // 2 - pairs_within
    want_between = round(model.mixing * num_edges)
    within = _draw_distinct(min(num_edges - want_between, pairs_within), model, draw_within, rng)
    between = _draw_distinct(min(want_between, pairs_between), model, draw_between, rng)
    keys = np.concatenate([within, between])
    if len(keys) < 0.98 * num_edges:
        log.warning(
            "Communities are too small for the requested average degree and mixing: generated %d of %d edges.", len(keys), num_edges
        )
    edges = np.empty((2, len(keys)), np.int32)
    np.floor_divide(keys, model.num_nodes, out=edges[0], casting="unsafe")
    np.remainder(keys, model.num_nodes, out=edges[1], casting="unsafe")
    return edges


def _draw_distinct(count: int, model: BlockModel, draw: DrawPairs, rng: np.random.Generator) -> Nodes:
    """`count` different edges as ascending keys N · lower + higher end: each round draws as many as are missing.

    More than that only where most draws hit edges that are there already; too many draws of which some are discarded
    would make all degrees alike.
    """
    keys = np.empty(0, np.int64)
    excess = 1
    for _ in range(MAX_ROUNDS):
        missing = count - len(keys)
        if missing == 0:
            break
        u, v = draw(model, min(missing * excess, 4 * count + SPARE_DRAWS), rng)
        drawn = np.sort((np.minimum(u, v) * model.num_nodes + np.maximum(u, v))[u != v])
        drawn = drawn[np.diff(drawn, prepend=-1) > 0]
        fresh = drawn[~_contains(keys, drawn)]
        if len(fresh) > missing:
            fresh = np.sort(rng.permutation(fresh)[:missing])
        elif 2 * len(fresh) < missing:
            excess *= 2
        keys = np.insert(keys, np.searchsorted(keys, fresh), fresh)
    return keys


def _contains(keys: Nodes, values: Nodes) -> NDArray[np.bool_]:
    """Which `values` are among the ascending `keys`."""
    if len(keys) == 0:
        return np.zeros(len(values), np.bool_)
    nearest = keys[np.minimum(np.searchsorted(keys, values), len(keys) - 1)]
    return np.equal(nearest, values)


def _first_ends(model: BlockModel, count: int, rng: np.random.Generator) -> Nodes:
    """Nodes with probability ∝ their expected degree; ascending, which loses nothing in a set of edges and is kind to the cache."""
    return model.node_at(np.sort(rng.random(count)) * model.weight[-1])


def draw_within(model: BlockModel, count: int, rng: np.random.Generator) -> tuple[Nodes, Nodes]:
    """Two nodes of one community, each with probability ∝ its expected degree."""
    ends = model.community_weight
    u = _first_ends(model, count, rng)
    c = model.community[u]
    return u, np.clip(model.node_at(ends[c] + rng.random(count) * (ends[c + 1] - ends[c])), model.bounds[c], model.bounds[c + 1] - 1)


def draw_between(model: BlockModel, count: int, rng: np.random.Generator) -> tuple[Nodes, Nodes]:
    """Two nodes of different communities: the second from all weight but that of the first one's community."""
    ends = model.community_weight
    u = _first_ends(model, count, rng)
    c = model.community[u]
    own = ends[c + 1] - ends[c]
    weight = rng.random(count) * (ends[-1] - own)
    v = model.node_at(weight + np.where(weight >= ends[c], own, 0.0))
    keep = model.community[v] != c  # rounding at a community's bound
    return u[keep], v[keep]
