"""PPI: 24 graphs of proteins and their interactions (Zitnik and Leskovec 2017), 20 to train on, 2 to validate, 2 to test."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gas_cli.config.dataset import DatasetConfig
from gas_cli.graph.archive import download_archive
from gas_cli.graph.download import RemoteFile, ensure_files
from gas_cli.graph.graph import Graph
from gas_cli.graph.sources.raw import as_array, choose_folder, damaged, read_json, reading
from gas_cli.graph.sources.stored_graph import ARRAYS, TEST, TRAIN, VAL, graph_of, write_features, write_graph
from gas_cli.graph.sources.written import written
from gas_cli.graph.topology import build_adjacency

NAME = "ppi"
ADDRESS = "https://data.dgl.ai/dataset/ppi.zip"
NUM_CLASSES = 121
CANDIDATES = ["PPI"]
ROLES = {"train": TRAIN, "valid": VAL, "test": TEST}
FILES = [f"{part}_{name}" for part in ROLES for name in ("feats.npy", "graph_id.npy", "graph.json", "labels.npy")]


def load(config: DatasetConfig, progress: bool) -> Graph:
    """All graphs from `<root>/PPI/raw` as one, inductive: training sees the training graphs alone.

    121 labels that may hold together, measured by micro-F1. The masks are whole graphs.
    """
    names = [f"raw/{name}" for name in FILES]
    folder = choose_folder(config.root, CANDIDATES, names)
    ensure_files(config.name, folder, names, config.download, lambda missing: _fetch(folder, missing, progress))
    arrays = written(ARRAYS, partial(_parse, folder / "raw"))
    return graph_of(NAME, arrays, NUM_CLASSES, "micro_f1", inductive=True)


def _fetch(folder: Path, missing: list[str], progress: bool) -> None:
    download_archive(RemoteFile("ppi.zip", ADDRESS), folder, folder / "raw", [Path(name).name for name in missing], progress)


def _parse(raw: Path, target: Path) -> None:
    x = {part: _read_table(raw / f"{part}_feats.npy", np.float32) for part in ROLES}
    y = {part: _read_table(raw / f"{part}_labels.npy", np.int64) for part in ROLES}
    edges, first = [], 0
    for part in ROLES:
        _check_labels(raw / f"{part}_labels.npy", y[part], x[part].shape[0])
        edges.append(_read_edges(raw, part, x[part].shape[0]) + first)
        first += x[part].shape[0]
    role = np.repeat(np.array(list(ROLES.values()), np.uint8), [x[part].shape[0] for part in ROLES])
    if len({table.shape[1] for table in x.values()}) != 1:
        raise damaged(raw / "*_feats.npy", "they differ in the number of columns")
    write_graph(target, build_adjacency(np.concatenate(edges, axis=1), first, symmetrise=False), np.concatenate(list(y.values())), role)
    write_features(np.concatenate(list(x.values())), target / "x.npy")


def _read_table(path: Path, dtype: type[np.generic]) -> NDArray[Any]:
    with reading(path):
        table = np.load(path, allow_pickle=False)
    return as_array(path, "entries", table, dtype, 2)


def _check_labels(path: Path, y: NDArray[Any], num_nodes: int) -> None:
    if y.shape != (num_nodes, NUM_CLASSES) or not np.isin(y, (0, 1)).all():
        raise damaged(path, f"expected zeros and ones of shape {(num_nodes, NUM_CLASSES)}, found shape {y.shape}")


def _read_edges(raw: Path, part: str, num_nodes: int) -> NDArray[np.int64]:
    """Edges int64 [2, E] of one part's graphs, in both directions where the file says that it is undirected.

    Links between two graphs of the part are left out, as PyG does when it cuts the part into its graphs.
    """
    path = raw / f"{part}_graph_id.npy"
    with reading(path):
        graph_id = as_array(path, "graph ids", np.load(path, allow_pickle=False), np.int64, 1)
    if graph_id.shape[0] != num_nodes:
        raise damaged(path, f"it has {graph_id.shape[0]} entries where {part}_feats.npy has {num_nodes} rows")
    path = raw / f"{part}_graph.json"
    content = read_json(path, ("links",))
    try:
        ends = [(link["source"], link["target"]) for link in content["links"]]
    except (TypeError, KeyError) as error:
        raise damaged(path, f"its links are not pairs of 'source' and 'target': {error}") from error
    edges = as_array(path, "links", ends or np.empty((0, 2)), np.int64, 2).T
    if edges.size and (edges.min() < 0 or edges.max() >= num_nodes):
        raise damaged(path, f"it links other nodes than 0 to {num_nodes - 1}, the rows of {part}_feats.npy")
    edges = edges[:, graph_id[edges[0]] == graph_id[edges[1]]]
    return edges if content.get("directed", False) else np.concatenate([edges, edges[::-1]], axis=1)
