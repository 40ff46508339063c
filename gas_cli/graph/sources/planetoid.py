"""Cora, CiteSeer and PubMed: citation graphs with bag-of-words features (Yang et al. 2016, "Planetoid"), public split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

from gas_cli.config.dataset import DatasetConfig
from gas_cli.graph.download import download_all, ensure_files
from gas_cli.graph.features import compact, normalise_rows
from gas_cli.graph.graph import Graph, Split
from gas_cli.graph.sources.raw import choose_folder, damaged, reading
from gas_cli.graph.sources.restricted_pickle import read_adjacency, read_array, read_sparse
from gas_cli.graph.splits import split_from_ids
from gas_cli.graph.topology import build_adjacency

ADDRESS = "https://github.com/kimiyoung/planetoid/raw/master/data"
FOLDERS = {"cora": "Cora", "citeseer": "CiteSeer", "pubmed": "PubMed"}
PARTS = ("tx", "allx", "y", "ty", "ally", "graph", "test.index")
"""Of the eight published files; `x` repeats the first rows of `allx`."""

NUM_VAL = 500


@dataclass(frozen=True)
class _Nodes:
    """x [N, F], y int64 [N] and the ids of the public split."""

    x: sp.csr_array
    y: NDArray[np.int64]
    train: NDArray[np.int64]
    val: NDArray[np.int64]
    test: NDArray[np.int64]
    num_classes: int


def candidates(name: str) -> list[str]:
    """Where the raw files may be, below `dataset.root`."""
    return [f"Planetoid/{FOLDERS[name]}/raw", f"{FOLDERS[name]}/raw"]


def load(config: DatasetConfig, progress: bool) -> Graph:
    """The graph `config.name` from `<root>/Planetoid/<Name>/raw` (or `<root>/<Name>/raw`), features row-normalised."""
    names = [f"ind.{config.name}.{part}" for part in PARTS]
    folder = choose_folder(config.root, candidates(config.name), names)
    ensure_files(config.name, folder, names, config.download, lambda missing: download_all(missing, ADDRESS, folder, progress))
    return _read(config.name, folder)


def _read(name: str, folder: Path) -> Graph:
    prefix = folder / f"ind.{name}"
    nodes = _read_nodes(prefix)
    adj = build_adjacency(_read_edges(Path(f"{prefix}.graph")), nodes.y.shape[0], symmetrise=False)
    split: Split = split_from_ids(nodes.y.shape[0], nodes.train, nodes.val, nodes.test, str(prefix))
    x = compact(normalise_rows(nodes.x))
    return Graph(name, x, adj, torch.from_numpy(nodes.y), (split,), nodes.num_classes, "accuracy", adj.symmetric)


def _read_nodes(prefix: Path) -> _Nodes:
    """Training and validation nodes come first (`all*`); the test nodes (`t*`) follow, in the order of `test.index`."""
    allx, tx = read_sparse(Path(f"{prefix}.allx")), read_sparse(Path(f"{prefix}.tx"))
    y, ally, ty = (read_array(Path(f"{prefix}.{part}")) for part in ("y", "ally", "ty"))
    test = _read_test_index(Path(f"{prefix}.test.index"))
    _check_shapes(prefix, allx, tx, y, ally, ty, test)
    num_nodes = int(test.max()) + 1
    # CiteSeer's test ids have gaps: isolated nodes without features and labels, which get zeros
    placed = sp.csr_array((np.ones(test.size, np.float32), (test, np.arange(test.size))), shape=(num_nodes, test.size))
    x = placed @ tx + sp.csr_array(
        (allx.data, allx.indices, np.pad(allx.indptr, (0, num_nodes - allx.shape[0]), "edge")), shape=(num_nodes, allx.shape[1])
    )
    labels = np.zeros(num_nodes, np.int64)
    labels[: ally.shape[0]] = ally.argmax(axis=1)
    labels[test] = ty.argmax(axis=1)
    num_train = y.shape[0]
    val = np.arange(num_train, min(num_train + NUM_VAL, ally.shape[0]))
    return _Nodes(sp.csr_array(x), labels, np.arange(num_train), val, test, int(ally.shape[1]))


def _read_test_index(path: Path) -> NDArray[np.int64]:
    with reading(path):
        index = np.array(path.read_text().split(), dtype=np.int64)
    if index.size == 0 or np.unique(index).size != index.size:
        raise damaged(path, "expected one node id per line, each once")
    return index


def _check_shapes(prefix: Path, allx: sp.csr_array, tx: sp.csr_array, y: Any, ally: Any, ty: Any, test: NDArray[np.int64]) -> None:
    """Corrupt files may still be readable: the eight have to agree."""
    agreements = (
        ("y, ally and ty", y.ndim == ally.ndim == ty.ndim == 2),
        ("allx and tx", allx.shape[1] == tx.shape[1]),
        ("allx and ally", allx.shape[0] == ally.shape[0]),
        ("tx and ty", tx.shape[0] == ty.shape[0]),
        ("ally and ty", ally.shape[-1] == ty.shape[-1]),
        ("y and ally", y.shape[0] <= ally.shape[0]),
        ("tx and test.index", tx.shape[0] == test.size),
        ("allx and test.index", int(test.min()) == allx.shape[0]),
    )
    for files, agree in agreements:
        if not agree:
            raise damaged(Path(f"{prefix}.*"), f"the shapes of {files} do not fit together")


def _read_edges(path: Path) -> NDArray[np.int64]:
    """Edges int64 [2, E] as listed: node first, neighbour second, duplicates and self-loops included."""
    neighbours = read_adjacency(path)
    counts = [len(others) for others in neighbours.values()]
    with reading(path):
        source = np.repeat(np.fromiter(neighbours, np.int64, len(neighbours)), counts)
        target = np.fromiter((other for others in neighbours.values() for other in others), np.int64, sum(counts))
    return np.stack([source, target])
