"""Reddit: posts joined where the same users comment (Hamilton et al. 2017), all edges, split by time."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gas_cli.config.dataset import DatasetConfig
from gas_cli.graph.archive import download_archive
from gas_cli.graph.download import RemoteFile, ensure_files
from gas_cli.graph.graph import Graph
from gas_cli.graph.sources.raw import as_array, choose_folder, damaged, reading
from gas_cli.graph.sources.stored_graph import ARRAYS, TEST, graph_of, write_features, write_graph
from gas_cli.graph.sources.written import written
from gas_cli.graph.topology import build_adjacency, check_node_ids

NAME = "reddit"
ADDRESS = "https://data.dgl.ai/dataset/reddit.zip"
NODES, EDGES = "reddit_data.npz", "reddit_graph.npz"
NUM_CLASSES = 41
CANDIDATES = ["Reddit"]
EDGES_AT_A_TIME = 1 << 22


def load(config: DatasetConfig, progress: bool) -> Graph:
    """The graph from `<root>/Reddit/raw`, edges as stored, features mapped."""
    names = [f"raw/{NODES}", f"raw/{EDGES}"]
    folder = choose_folder(config.root, CANDIDATES, names)
    ensure_files(config.name, folder, names, config.download, lambda missing: _fetch(folder, missing, progress))
    arrays = written(ARRAYS, partial(_parse, folder / "raw"))
    return graph_of(NAME, arrays, NUM_CLASSES, "accuracy")


def _fetch(folder: Path, missing: list[str], progress: bool) -> None:
    download_archive(RemoteFile("reddit.zip", ADDRESS), folder, folder / "raw", [Path(name).name for name in missing], progress)


def _parse(raw: Path, target: Path) -> None:
    path = raw / NODES
    with reading(path), np.load(path, allow_pickle=False) as arrays:
        labels, roles, x = arrays["label"], arrays["node_types"], arrays["feature"]
    y, role = as_array(path, "labels", labels, np.int64, 1), as_array(path, "node_types", roles, np.uint8, 1)
    x = as_array(path, "features", x, np.float32, 2)
    if not y.shape[0] == role.shape[0] == x.shape[0] or role.max(initial=0) > TEST:
        raise damaged(path, f"its labels {y.shape}, node_types {role.shape} (1, 2 or 3) and features {x.shape} do not fit together")
    edges = _read_edges(raw / EDGES, x.shape[0])
    write_graph(target, build_adjacency(edges, x.shape[0], symmetrise=False), y, role)
    write_features(x, target / "x.npy")


def _read_edges(path: Path, num_nodes: int) -> NDArray[np.int32]:
    """Edges int32 [2, E] of the matrix in coordinates: rows are sources, as PyG takes them."""
    with reading(path), np.load(path, allow_pickle=False) as arrays:
        row, col = arrays["row"], arrays["col"]
    if row.shape != col.shape or row.ndim != 1:
        raise damaged(path, f"its rows {row.shape} and columns {col.shape} do not fit together")
    edges = np.empty((2, row.size), np.int32)
    for start in range(0, row.size, EDGES_AT_A_TIME):
        piece = slice(start, start + EDGES_AT_A_TIME)
        ends = [as_array(path, what, ids[piece], np.int64, 1) for what, ids in (("rows", row), ("columns", col))]
        check_node_ids(ends, num_nodes, start)
        edges[:, piece] = ends
    return edges
