"""Coauthor CS / Physics and Amazon Computers / Photo (Shchur et al. 2018), with twenty random splits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from gas_cli.config.dataset import DatasetConfig
from gas_cli.graph.download import download_all, ensure_files
from gas_cli.graph.features import compact
from gas_cli.graph.graph import Graph
from gas_cli.graph.sources.raw import choose_folder, damaged, read_csr, reading
from gas_cli.graph.splits import per_class_splits
from gas_cli.graph.topology import build_adjacency

ADDRESS = "https://github.com/shchur/gnn-benchmark/raw/master/data/npz"


@dataclass(frozen=True)
class _Origin:
    """Folder and file as PyG lays them out, and the number of classes."""

    collection: str
    title: str
    file: str
    num_classes: int


ORIGINS = {
    "coauthor-cs": _Origin("Coauthor", "CS", "ms_academic_cs.npz", 15),
    "coauthor-physics": _Origin("Coauthor", "Physics", "ms_academic_phy.npz", 5),
    "amazon-computers": _Origin("Amazon", "Computers", "amazon_electronics_computers.npz", 10),
    "amazon-photo": _Origin("Amazon", "Photo", "amazon_electronics_photo.npz", 8),
}


def candidates(name: str) -> list[str]:
    """Where the raw file may be, below `dataset.root`."""
    origin = ORIGINS[name]
    return [f"{origin.collection}/{origin.title}/raw", f"{origin.title}/raw"]


def load(config: DatasetConfig, progress: bool) -> Graph:
    """The graph `config.name` from `<root>/<Coauthor|Amazon>/<Title>/raw` (or `<root>/<Title>/raw`).

    As in PyG and the published figures: edges symmetrised, words counted as present or absent, features not normalised.
    """
    origin = ORIGINS[config.name]
    folder = choose_folder(config.root, candidates(config.name), [origin.file])
    ensure_files(config.name, folder, [origin.file], config.download, lambda missing: download_all(missing, ADDRESS, folder, progress))
    return _read(config.name, folder / origin.file, origin.num_classes)


def _read(name: str, path: Path, num_classes: int) -> Graph:
    with reading(path), np.load(path, allow_pickle=False) as arrays:
        attributes, links = read_csr(arrays, "attr_"), read_csr(arrays, "adj_", pattern=True).tocoo()
        labels = np.asarray(arrays["labels"], dtype=np.int64)
    if not (attributes.shape[0] == links.shape[0] == links.shape[1]) or labels.shape != (attributes.shape[0],):
        raise damaged(path, f"its features {attributes.shape}, edges {links.shape} and labels {labels.shape} do not fit together")
    attributes.sum_duplicates()
    attributes.data[attributes.data > 0] = 1
    adj = build_adjacency(links.coords, attributes.shape[0], symmetrise=True)
    y = torch.from_numpy(labels)
    return Graph(name, compact(attributes), adj, y, per_class_splits(y, num_classes), num_classes, "accuracy", adj.symmetric)
