"""CLUSTER: 12,000 small stochastic block model graphs as one (Dwivedi et al., Benchmarking Graph Neural Networks).

Read where its file is, else drawn anew by the published procedure; never downloaded, so that the same settings give the same graph.
"""

from __future__ import annotations

import logging
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gas_cli.config.dataset import ClusterConfig, DatasetConfig
from gas_cli.graph.graph import Graph, Split
from gas_cli.graph.sources.raw import choose_folder, damaged, reading
from gas_cli.graph.topology import build_adjacency
from gas_cli.ops.csr import CSR

log = logging.getLogger(__name__)

NAME = "cluster"
FILE = "CLUSTER_v2.pt"
CANDIDATES = ["SBM/CLUSTER/raw", "CLUSTER/raw"]
NUM_COMMUNITIES = 6
NUM_FEATURES = NUM_COMMUNITIES + 1
"""One-hot: 0 for a node whose community is not told, c + 1 for the one node of community c that tells."""

SMALLEST, LARGEST = 5, 34
"""Nodes of a community, uniform. The published draw excludes its upper bound of 35: 117 nodes per graph on average."""

WITHIN, BETWEEN = 0.55, 0.25
"""Probability of an edge."""


def load(config: DatasetConfig, progress: bool) -> Graph:
    """All graphs as one, inductive: components are in one mask each, and training sees the training graphs alone."""
    folder = choose_folder(config.root, CANDIDATES, [FILE])
    if (folder / FILE).is_file():
        return _read(folder / FILE)
    settings = config if isinstance(config, ClusterConfig) else ClusterConfig()
    log.info("CLUSTER: %s not found; generating the graphs by the published procedure.", folder / FILE)
    return generate(settings)


def generate(config: ClusterConfig) -> Graph:
    """Draw the graphs from `config.graph_seed`, in the order training, validation, test.

    A graph has 6 communities of 5 to 34 nodes and edges with probability 0.55 within and 0.25 between them, in random order. A node's
    class is its community; one node of each has it as a one-hot feature.
    """
    rng = np.random.default_rng(config.graph_seed)
    counts = (config.num_train_graphs, config.num_val_graphs, config.num_test_graphs)
    drawn = [_draw(rng) for _ in range(sum(counts))]
    sizes = np.array([y.size for y, _, _ in drawn])
    first = np.concatenate([[0], np.cumsum(sizes)])
    degree = np.concatenate([links.sum(axis=1, dtype=np.int64) for _, _, links in drawn])
    rowptr = np.concatenate([[0], np.cumsum(degree)])
    col = np.concatenate(
        [np.nonzero(links)[1].astype(np.int32) + np.int32(start) for (_, _, links), start in zip(drawn, first, strict=False)]
    )
    adj = CSR(torch.from_numpy(rowptr), torch.from_numpy(col), torch.ones(col.size), int(first[-1]), symmetric=True)
    y, told = (np.concatenate([graph[k] for graph in drawn]) for k in (0, 1))
    x = torch.nn.functional.one_hot(torch.from_numpy(told), NUM_FEATURES).float()
    ends = first[np.cumsum(counts)]
    return _graph(x, adj, torch.from_numpy(y), _masks(int(first[-1]), (int(ends[0]), int(ends[1]))))


def _draw(rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Communities [n], what the features tell [n] (0 or community + 1), and the symmetric links [n, n] of one graph."""
    sizes = rng.integers(SMALLEST, LARGEST + 1, NUM_COMMUNITIES)
    y = rng.permutation(np.repeat(np.arange(NUM_COMMUNITIES), sizes))
    probability = np.where(y[:, None] == y, WITHIN, BETWEEN)
    upper = np.triu(rng.random(probability.shape) < probability, 1)
    told = np.zeros(y.size, np.int64)
    for community in range(NUM_COMMUNITIES):
        told[rng.choice(np.flatnonzero(y == community))] = community + 1
    return y, told, upper | upper.T


def _read(path: Path) -> Graph:
    """The published file: three lists (training, validation, test) of graphs, each a dictionary of tensors."""
    parts = _load(path)
    graphs = [graph for part in parts for graph in part]
    num_nodes = np.array([graph["x"].shape[0] for graph in graphs])
    first = np.concatenate([[0], np.cumsum(num_nodes)])
    for graph, size in zip(graphs, num_nodes, strict=True):
        inside = graph["edge_index"].numel() == 0 or (int(graph["edge_index"].min()) >= 0 and int(graph["edge_index"].max()) < size)
        if graph["x"].dim() != 2 or graph["edge_index"].dim() != 2 or graph["y"].shape != (size,) or not inside:
            raise damaged(path, "the shapes of a graph's x, edge_index and y do not fit together")
    edges = np.concatenate([graph["edge_index"].numpy() + start for graph, start in zip(graphs, first, strict=False)], axis=1)
    adj = build_adjacency(edges, int(first[-1]), symmetrise=False)
    x, y = torch.cat([graph["x"].float() for graph in graphs]), torch.cat([graph["y"].long() for graph in graphs])
    ends = first[np.cumsum([len(part) for part in parts])]
    return _graph(x, adj, y, _masks(int(first[-1]), (int(ends[0]), int(ends[1]))))


def _load(path: Path) -> list[list[dict[str, Any]]]:
    with reading(path):
        try:
            parts = torch.load(path, weights_only=True, map_location="cpu")
        except pickle.UnpicklingError as error:
            raise damaged(path, f"it holds more than tensors: {str(error).splitlines()[0]}") from error
    whole = isinstance(parts, (list, tuple)) and len(parts) == 3 and all(isinstance(part, (list, tuple)) and part for part in parts)
    if not whole or not all(_is_graph(graph) for part in parts for graph in part):
        raise damaged(path, "expected three lists of graphs with the tensors x, edge_index and y")
    return [list(part) for part in parts]


def _is_graph(graph: object) -> bool:
    return isinstance(graph, dict) and all(isinstance(graph.get(key), torch.Tensor) for key in ("x", "edge_index", "y"))


def _masks(num_nodes: int, ends: tuple[int, int]) -> Split:
    """Nodes below the first end train, those below the second one validate, the rest tests."""
    node = torch.arange(num_nodes)
    return Split(node < ends[0], (node >= ends[0]) & (node < ends[1]), node >= ends[1])


def _graph(x: torch.Tensor, adj: CSR, y: torch.Tensor, split: Split) -> Graph:
    return Graph(NAME, x, adj, y, (split,), NUM_COMMUNITIES, "accuracy", adj.symmetric, inductive=True)
