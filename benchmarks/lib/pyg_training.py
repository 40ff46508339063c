"""An epoch of training with PyG: on the full graph, or through its loaders."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
import torch.nn.functional as F

from benchmarks.lib.turns import device_seconds
from gas_cli.config.root import Config
from gas_cli.graph.graph import Graph
from gas_cli.graph.load import load_graph
from gas_cli.training.assemble import pick_device

NEIGHBORS = 10
"""Sampled per node and layer."""

Epoch = Callable[[], Iterator[tuple[Any, ...]]]


class Missing(Exception):
    """A library that this variant needs is not installed."""


def or_missing(measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What is measured; where a library is missing, or memory of the device, `{"missing": why}`."""
    try:
        return measure()
    except (Missing, torch.OutOfMemoryError) as missing:
        return {"missing": str(missing).partition("\n")[0]}


@dataclass(frozen=True)
class Training:
    """PyG's model and the steps of an epoch: (x, adjacency, labels, rows whose labels count)."""

    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    epoch: Epoch
    device: torch.device

    def run_epoch(self) -> dict[str, float]:
        """Train on all steps; `seconds`, and of them those spent on `batch` and `compute` (on CUDA: the host's)."""
        now = device_seconds if self.device.type == "cuda" else time.perf_counter
        self.model.train()
        began, waited, steps = now(), 0.0, self.epoch()
        while True:
            asked = time.perf_counter()
            step = next(steps, None)
            waited += time.perf_counter() - asked
            if step is None:
                break
            x, adjacency, y, rows = step
            self.optimizer.zero_grad()
            F.cross_entropy(self.model(x, adjacency)[rows], y[rows]).backward()
            self.optimizer.step()
        seconds = now() - began
        return {"seconds": seconds, "batch": waited, "compute": seconds - waited}


def measure_epochs(config: Config, variant: str, epochs: int) -> dict[str, Any]:
    """`seconds` and `phases`: medians over `epochs`, one of warm-up before them. Raises Missing."""
    graph = load_graph(config.dataset)
    training = make_training(graph, graph.splits[0].train, config, variant)
    taken = [training.run_epoch() for _ in range(epochs + 1)][1:]
    median = {name: statistics.median(epoch[name] for epoch in taken) for name in taken[0]}
    return {"seconds": median.pop("seconds"), "phases": median}


def make_training(graph: Graph, train: torch.Tensor, config: Config, variant: str) -> Training:
    """On the nodes of the mask `train` [N]. Raises Missing."""
    from scripts.lib.pyg_models import build

    device = pick_device(config.device)
    full = not variant.endswith("-loader")
    model = build(config.model, graph.num_features, graph.num_classes, graph.adj.rowptr.diff(), cached=full).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=config.optimizer.lr)
    epoch = full_epoch(graph, train, variant, device) if full else loader_epoch(graph, train, config, variant, device)
    return Training(model, optimizer, epoch, device)


def full_epoch(graph: Graph, train: torch.Tensor, variant: str, device: torch.device) -> Epoch:
    """One step on everything; `pyg-sparse-tensor` with torch-sparse's adjacency instead of edge_index."""
    edges: Any = edge_index(graph)
    if variant == "pyg-sparse-tensor":
        try:
            from torch_sparse import SparseTensor
        except ImportError as error:
            raise Missing("torch-sparse is not installed") from error
        edges = SparseTensor(row=edges[1], col=edges[0], sparse_sizes=graph.adj.shape)
    step = tuple(item.to(device) for item in (dense(graph), edges, graph.y, train))

    def epoch() -> Iterator[tuple[Any, ...]]:
        yield step

    return epoch


def loader_epoch(graph: Graph, train: torch.Tensor, config: Config, variant: str, device: torch.device) -> Epoch:
    """The steps of PyG's ClusterLoader (parts and parts per step as ours) or NeighborLoader (as many steps as ours)."""
    from torch_geometric.data import Data

    data = Data(x=dense(graph), edge_index=edge_index(graph), y=graph.y, train=train)
    steps = -(-config.partitioner.parts // config.trainer.parts_per_step)
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

    parts = Clusters(data, num_parts=config.partitioner.parts, log=False)
    return ClusterLoader(parts, batch_size=config.trainer.parts_per_step, shuffle=True)


def neighbor_loader(data: Any, num_layers: int, steps: int) -> Any:
    import warnings

    from torch_geometric.loader import NeighborLoader

    # Asked here: the loader itself finds out with its first batch.
    if not any(find_spec(name) for name in ("pyg_lib", "torch_sparse")):
        raise Missing("neither pyg-lib nor torch-sparse is installed")
    warnings.filterwarnings("ignore", message="Using 'NeighborSampler' without")
    size = -(-int(data.train.sum()) // steps)
    return NeighborLoader(data, [NEIGHBORS] * num_layers, input_nodes=data.train, batch_size=size, shuffle=True)


def edge_index(graph: Graph) -> torch.Tensor:
    target = torch.repeat_interleave(torch.arange(graph.num_nodes), graph.adj.rowptr.diff())
    return torch.stack([graph.adj.col.long(), target])


def dense(graph: Graph) -> torch.Tensor:
    return graph.x if isinstance(graph.x, torch.Tensor) else graph.x.to_dense()
