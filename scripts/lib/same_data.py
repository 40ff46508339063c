"""The small graphs and the file of a layer that the cases of `same_cases.py` read; the same bytes every time."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

NODES, FEATURES, CLASSES = 90, 10, 4
PPI_CLASSES = 121
OWN_LAYER = '''\
"""A custom convolution, with edge weights."""

from torch import nn


class Weighted(nn.Module):
    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.own, self.message = nn.Linear(in_channels, out_channels), nn.Linear(in_channels, out_channels)

    def forward(self, x, edge_index, edge_weight=None):
        x_source, x_target = x
        messages = self.message(x_source)[edge_index[0]].tanh()
        if edge_weight is not None:
            messages = messages * edge_weight.unsqueeze(1)
        return self.own(x_target).index_add(0, edge_index[1], messages)
'''


def write_data(folder: Path) -> None:
    """Everything that `DATA` stands for: graphs of dataset=folder, the raw files of PPI, a layer."""
    both_ways, one_way = _edges(1, directed=False), _edges(2, directed=True)
    rng = np.random.default_rng(3)
    write_graph(folder / "weights", both_ways, edge_weight=_symmetric(both_ways, rng))
    write_graph(folder / "attributes", both_ways, edge_attr=rng.standard_normal((both_ways.shape[1], 3)).astype(np.float32))
    write_graph(folder / "directed", one_way)
    write_graph(folder / "multilabel", both_ways, labels=_several_labels(NODES, CLASSES, rng))
    write_graph(folder / "sparse", both_ways)
    (folder / "sparse" / "features.npy").unlink()
    sp.save_npz(folder / "sparse" / "features.npz", sp.random_array((NODES, 60), density=0.06, rng=rng, dtype=np.float32).tocsr())
    write_graph(folder / "several-splits", both_ways, splits=3)
    write_graph(folder / "split-files", both_ways)
    _as_lists(folder / "split-files")
    _write_ppi(folder / "PPI" / "raw", rng)
    (folder / "own_layer.py").write_text(OWN_LAYER)


def write_graph(folder: Path, edges: NDArray[np.int64], splits: int = 1, **further: NDArray[np.generic]) -> None:
    """A graph of dataset=folder, with `further` tables on top or in the place of ordinary ones."""
    rng = np.random.default_rng(4)
    role = np.stack([rng.permutation(np.arange(NODES) % 3) for _ in range(splits)], axis=1)
    tables = {
        "edges": edges,
        "features": rng.standard_normal((NODES, FEATURES)).astype(np.float32),
        "labels": rng.integers(0, CLASSES, NODES),
        **{f"{name}_mask": (role == number).squeeze() for number, name in enumerate(("train", "val", "test"))},
    }
    folder.mkdir(parents=True)
    for name, table in (tables | further).items():
        np.save(folder / f"{name}.npy", table)


def _edges(seed: int, directed: bool) -> NDArray[np.int64]:
    """Distinct edges [2, E] without self-loops, about six for each node; a few nodes have none."""
    rng = np.random.default_rng(seed)
    links = rng.random((NODES, NODES)) < 6 / NODES / (1 if directed else 2)
    links[:3], links[:, :3] = False, False
    links &= ~np.eye(NODES, dtype=bool)
    return np.stack(np.nonzero(links if directed else links | links.T))


def _symmetric(edges: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float32]:
    """A positive weight for each edge, the same in both directions."""
    table = rng.uniform(0.2, 2.0, (NODES, NODES)).astype(np.float32)
    return np.maximum(table, table.T)[edges[0], edges[1]]


def _several_labels(nodes: int, classes: int, rng: np.random.Generator) -> NDArray[np.int64]:
    return rng.integers(0, 2, (nodes, classes))


def _as_lists(folder: Path) -> None:
    """Put lists of node ids in the place of a folder's masks."""
    (folder / "split").mkdir()
    for name in ("train", "val", "test"):
        mask = folder / f"{name}_mask.npy"
        np.save(folder / "split" / f"{name}.npy", np.flatnonzero(np.load(mask)))
        mask.unlink()


def _write_ppi(raw: Path, rng: np.random.Generator) -> None:
    """Two graphs of 20 nodes each for training, validation and testing."""
    raw.mkdir(parents=True)
    nodes, each = 40, 20
    for part in ("train", "valid", "test"):
        graph_id = np.arange(nodes) // each
        links = np.argwhere(np.triu(rng.random((nodes, nodes)) < 0.2, 1) & (graph_id[:, None] == graph_id))
        np.save(raw / f"{part}_feats.npy", rng.standard_normal((nodes, FEATURES)))
        np.save(raw / f"{part}_labels.npy", _several_labels(nodes, PPI_CLASSES, rng))
        np.save(raw / f"{part}_graph_id.npy", graph_id + 1)
        listed = [{"source": int(a), "target": int(b)} for a, b in links]
        content = {"directed": False, "multigraph": False, "graph": {}, "nodes": [{"id": i} for i in range(nodes)], "links": listed}
        (raw / f"{part}_graph.json").write_text(json.dumps(content))
