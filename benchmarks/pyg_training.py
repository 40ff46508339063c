"""An epoch of training with PyG: on the full graph, or through its loaders."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F

from gas_cli.config.root import Config
from gas_cli.graph.graph import Graph

NEIGHBORS = 10
"""Sampled per node and layer."""

Epoch = Callable[[], None]


class Missing(Exception):
    """A library that this variant needs is not installed."""


def seconds_per_epoch(config: Config, variant: str, epochs: int) -> float:
    """Median over `epochs`, one of warm-up before them. Raises Missing."""
    from benchmarks.pyg_models import build
    from gas_cli.graph.load import load_graph

    graph, device = load_graph(config.dataset), torch.device(config.device)
    full = not variant.endswith("-loader")
    model = build(config.model, graph.num_features, graph.num_classes, graph.adj.rowptr.diff(), cached=full).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=config.optimizer.lr)
    epoch = full_epoch(graph, variant, device) if full else loader_epoch(graph, config, variant, device)
    seconds = []
    for _ in range(epochs + 1):
        started = time.perf_counter()
        for x, adjacency, y, rows in epoch():
            optimizer.zero_grad()
            F.cross_entropy(model(x, adjacency)[rows], y[rows]).backward()
            optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:])


def full_epoch(graph: Graph, variant: str, device: torch.device) -> Callable[[], Iterator[tuple[Any, ...]]]:
    """One step on everything; `pyg-sparse-tensor` with torch-sparse's adjacency instead of edge_index."""
    edges: Any = edge_index(graph)
    if variant == "pyg-sparse-tensor":
        try:
            from torch_sparse import SparseTensor
        except ImportError as error:
            raise Missing("torch-sparse is not installed") from error
        edges = SparseTensor(row=edges[1], col=edges[0], sparse_sizes=graph.adj.shape)
    step = tuple(item.to(device) for item in (dense(graph), edges, graph.y, graph.splits[0].train))

    def epoch() -> Iterator[tuple[Any, ...]]:
        yield step

    return epoch


def loader_epoch(graph: Graph, config: Config, variant: str, device: torch.device) -> Callable[[], Iterator[tuple[Any, ...]]]:
    """The steps of PyG's ClusterLoader (parts and parts per step as ours) or NeighborLoader (as many steps as ours)."""
    from torch_geometric.data import Data

    data = Data(x=dense(graph), edge_index=edge_index(graph), y=graph.y, train=graph.splits[0].train)
    steps = -(-config.partitioner.num_parts // config.trainer.batch_parts)
    loader = cluster_loader(data, config) if variant == "pyg-cluster-loader" else neighbor_loader(data, config.model.num_layers, steps)

    def epoch() -> Iterator[tuple[Any, ...]]:
        for batch in loader:
            batch = batch.to(device)  # noqa: PLW2901 - the same batch, elsewhere
            rows = slice(0, batch.batch_size) if "batch_size" in batch else batch.train
            if not isinstance(rows, slice) and not bool(rows.any()):
                continue
            yield batch.x, batch.edge_index, batch.y, rows

    return epoch


def cluster_loader(data: Any, config: Config) -> Any:
    """ClusterLoader over parts of METIS; by pymetis, since PyG's own needs libraries that are often missing. The parts are not timed."""
    import numpy as np
    import pymetis
    from torch_geometric.loader import ClusterData, ClusterLoader
    from torch_geometric.utils import sort_edge_index
    from torch_geometric.utils.sparse import index2ptr

    class Clusters(ClusterData):  # type: ignore[misc]
        def _metis(self, edges: torch.Tensor, num_nodes: int) -> torch.Tensor:
            row, col = sort_edge_index(edges, num_nodes=num_nodes)
            adjacency = pymetis.CSRAdjacency(index2ptr(row, num_nodes).numpy(), col.numpy())
            return torch.from_numpy(np.asarray(pymetis.part_graph(self.num_parts, adjacency=adjacency)[1], np.int64))

    parts = Clusters(data, num_parts=config.partitioner.num_parts, log=False)
    return ClusterLoader(parts, batch_size=config.trainer.batch_parts, shuffle=True)


def neighbor_loader(data: Any, num_layers: int, steps: int) -> Any:
    import warnings

    from torch_geometric.loader import NeighborLoader

    warnings.filterwarnings("ignore", message="Using 'NeighborSampler' without")
    size = -(-int(data.train.sum()) // steps)
    try:
        return NeighborLoader(data, [NEIGHBORS] * num_layers, input_nodes=data.train, batch_size=size, shuffle=True)
    except ImportError as error:
        raise Missing("neither pyg-lib nor torch-sparse is installed") from error


def edge_index(graph: Graph) -> torch.Tensor:
    target = torch.repeat_interleave(torch.arange(graph.num_nodes), graph.adj.rowptr.diff())
    return torch.stack([graph.adj.col.long(), target])


def dense(graph: Graph) -> torch.Tensor:
    return graph.x if isinstance(graph.x, torch.Tensor) else graph.x.to_dense()
