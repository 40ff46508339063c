"""ogbn-arxiv and ogbn-products from OGB's raw files (Hu et al. 2020), with their official splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from gas_cli.config.dataset import DatasetConfig
from gas_cli.graph.archive import download_archive
from gas_cli.graph.download import RemoteFile, ensure_files
from gas_cli.graph.graph import Graph
from gas_cli.graph.sources import ogb_raw
from gas_cli.graph.sources.ogb_library import OgbMetadata, ogb_metadata
from gas_cli.graph.sources.raw import choose_folder
from gas_cli.graph.sources.written import written
from gas_cli.graph.splits import split_from_ids
from gas_cli.graph.topology import build_adjacency
from gas_cli.ops.csr import CSR

NAMES = ("ogbn-arxiv", "ogbn-products")
ARRAYS = ("rowptr", "col", "x", "y", *ogb_raw.PARTS)


def candidates(name: str) -> list[str]:
    """Where the raw files may be, below `dataset.root`."""
    title = name.replace("-", "_")
    return [title, f"{title}_pyg"]


def load(config: DatasetConfig, progress: bool) -> Graph:
    """The graph `config.name` from `<root>/ogbn_<name>` (or `<root>/ogbn_<name>_pyg`); features are mapped, not read.

    Both graphs are symmetrised without duplicates: arxiv as the published runs do it (its citations are stored in one direction), products
    because ogb itself adds the inverse of every stored edge.
    """
    metadata = ogb_metadata(config.name)
    names = ogb_raw.file_names(metadata.split)
    folder = choose_folder(config.root, candidates(config.name), names)
    ensure_files(config.name, folder, names, config.download, lambda missing: _fetch(metadata, folder, missing, progress))
    return _read(metadata, folder, names, progress)


def _fetch(metadata: OgbMetadata, folder: Path, missing: list[str], progress: bool) -> None:
    download_archive(RemoteFile(f"{metadata.download_name}.zip", metadata.url), folder, folder, missing, progress)


def _read(metadata: OgbMetadata, folder: Path, names: list[str], progress: bool) -> Graph:
    arrays = written(ARRAYS, lambda target: _parse(metadata, folder, target, progress))
    num_nodes = arrays["y"].shape[0]
    rowptr, col = torch.from_numpy(arrays["rowptr"]), torch.from_numpy(arrays["col"])
    adj = CSR(rowptr, col, torch.ones(col.shape[0], dtype=torch.float32), num_nodes, symmetric=True)
    split = split_from_ids(num_nodes, arrays["train"], arrays["valid"], arrays["test"], str(folder))
    x, y = torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["y"])
    return Graph(metadata.name, x, adj, y, (split,), metadata.num_classes, f"ogb:{metadata.name}", adj.symmetric)


def _parse(metadata: OgbMetadata, folder: Path, target: Path, progress: bool) -> None:
    """Write every array of `ARRAYS` to `target`; the small files come first, so that a damaged one shows at once."""
    num_nodes = ogb_raw.read_count(folder / ogb_raw.NUM_NODES)
    np.save(target / "y.npy", ogb_raw.read_labels(folder))
    for part in ogb_raw.PARTS:
        np.save(target / f"{part}.npy", ogb_raw.read_ids(folder, metadata.split, part))
    adj = build_adjacency(ogb_raw.read_edges(folder, progress), num_nodes, symmetrise=True)
    np.save(target / "rowptr.npy", adj.rowptr.numpy())
    np.save(target / "col.npy", adj.col.numpy())
    ogb_raw.read_features(folder, target / "x.npy", progress)
