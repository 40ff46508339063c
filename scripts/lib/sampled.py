"""Neighbour-sampled GraphSAGE with PyG's NeighborLoader, and how much of a neighbourhood a step sees."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gas_cli.graph.graph import Graph

INSTALL = "not installed: pip install pyg-lib (or torch-sparse), in the build for this torch"


@dataclass(frozen=True)
class Share:
    """What a step reads, and what an exact computation of the same outputs would read."""

    nodes: int
    all_nodes: int
    edges: int
    all_edges: int


def can_sample() -> bool:
    """NeighborLoader needs one of two compiled packages."""
    return any(importlib.util.find_spec(name) is not None for name in ("pyg_lib", "torch_sparse"))


def neighbor_loader(graph: Graph, fanouts: list[int], seeds: int) -> Any:
    """Batches of `seeds` training nodes with at most `fanouts[k]` neighbours per node in hop k + 1, in a fixed order of the seeds."""
    from torch_geometric.data import Data
    from torch_geometric.loader import NeighborLoader

    torch.manual_seed(0)
    target = torch.repeat_interleave(torch.arange(graph.num_nodes), graph.adj.rowptr.diff())
    data = Data(x=graph.x, y=graph.y, edge_index=torch.stack([graph.adj.col.long(), target]))
    chosen = graph.splits[0].train.nonzero().squeeze(1)
    chosen = chosen[torch.randperm(chosen.numel())]
    return NeighborLoader(data, num_neighbors=fanouts, batch_size=seeds, input_nodes=chosen)


class SampledTraining:
    """GraphSAGE (mean) with PyG's layers, Adam, cross entropy on the seeds: each layer computes only what later ones read."""

    def __init__(self, graph: Graph, layers: int, hidden: int, device: torch.device) -> None:
        from torch_geometric.nn.models import GraphSAGE

        torch.manual_seed(0)
        self.device = device
        self.model = GraphSAGE(graph.num_features, hidden, layers, graph.num_classes, dropout=0.5).to(device)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.01)

    def step(self, x: Tensor, y: Tensor, edge_index: Tensor, nodes_per_hop: list[int], edges_per_hop: list[int]) -> None:
        """One update; nodes and edges are sorted by hop, as the loader gives them."""
        loss_of = torch.nn.functional.cross_entropy if y.dim() == 1 else torch.nn.functional.binary_cross_entropy_with_logits
        self.optimizer.zero_grad()
        scores = self.model(x, edge_index, num_sampled_nodes_per_hop=nodes_per_hop, num_sampled_edges_per_hop=edges_per_hop)
        loss_of(scores[: nodes_per_hop[0]], y[: nodes_per_hop[0]]).backward()
        self.optimizer.step()


def hops(edge_index: Tensor, num_nodes: int, seeds: int, depth: int) -> tuple[list[int], list[int]]:
    """Nodes per hop [depth + 1] and edges per hop [depth] of a sampled sub-graph whose first `seeds` nodes are hop 0."""
    source, target = edge_index
    hop = torch.full((num_nodes,), depth, dtype=torch.int64)
    hop[:seeds] = 0
    for distance in range(1, depth):
        reached = source[hop[target] == distance - 1]
        hop[reached] = hop[reached].clamp(max=distance)
    return torch.bincount(hop, minlength=depth + 1).tolist(), torch.bincount(hop[target], minlength=depth)[:depth].tolist()


def neighbourhood(rowptr: NDArray[np.int64], col: NDArray[np.int32], seeds: NDArray[np.int64], depth: int) -> Iterator[NDArray[np.int64]]:
    """The nodes within 0, 1, ..., `depth` hops of the seeds, each set ascending."""
    inside = np.zeros(len(rowptr) - 1, np.bool_)
    inside[seeds] = True
    yield np.flatnonzero(inside)
    newest = seeds
    for _ in range(depth):
        reached = np.unique(np.concatenate([col[rowptr[v] : rowptr[v + 1]] for v in newest])) if len(newest) else newest
        newest = reached[~inside[reached]]
        inside[newest] = True
        yield np.flatnonzero(inside)


def share_of(batch: Any, graph: Graph, depth: int) -> Share:
    """Of the seeds' neighbourhood of `depth` hops: the nodes sampled, and the edges into nodes that some layer computes."""
    rowptr, col = graph.adj.rowptr.numpy(), graph.adj.col.numpy()
    within = list(neighbourhood(rowptr, col, batch.n_id[: batch.batch_size].numpy(), depth))
    return Share(
        nodes=int(batch.n_id.numel()),
        all_nodes=len(within[-1]),
        edges=int(batch.edge_index.shape[1]),
        all_edges=int((rowptr[within[-2] + 1] - rowptr[within[-2]]).sum()),
    )
