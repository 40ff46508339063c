"""ogbn-papers100M from OGB's binary raw files (Hu et al. 2020): 111 million papers, too large to be read at once."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from gas_cli.config.dataset import DatasetConfig
from gas_cli.graph.download import DownloadError, ensure_files
from gas_cli.graph.graph import Graph
from gas_cli.graph.sources import ogb_raw
from gas_cli.graph.sources.large_adjacency import write_symmetric
from gas_cli.graph.sources.ogb_library import ogb_metadata
from gas_cli.graph.sources.raw import choose_folder, damaged, reading
from gas_cli.graph.sources.written import written
from gas_cli.graph.sources.zipped_array import ZippedArray
from gas_cli.graph.splits import split_from_ids
from gas_cli.ops.csr import CSR

NAME = "ogbn-papers100M"
CANDIDATES = ["ogbn_papers100M", "papers100M-bin"]
DATA, LABELS = "raw/data.npz", "raw/node-label.npz"
ARRAYS = ("rowptr", "col", "x", "y", *ogb_raw.PARTS)
EDGES_AT_A_TIME = 1 << 24
VALUES_AT_A_TIME = 1 << 24


def load(config: DatasetConfig, progress: bool) -> Graph:
    """The graph from `<root>/ogbn_papers100M`, symmetrised; features and the adjacency's columns are mapped, not read.

    The archive of 57 GB is not downloaded unasked. The files written from it take about 70 GB; edge weights are in memory, with
    4 bytes per message.
    """
    metadata = ogb_metadata(NAME)
    names = [DATA, LABELS, *(f"split/{metadata.split}/{part}.csv.gz" for part in ogb_raw.PARTS)]
    folder = choose_folder(config.root, CANDIDATES, names)
    ensure_files(config.name, folder, names, config.download, lambda missing: _refuse(metadata.url))
    arrays = written(ARRAYS, partial(_parse, folder, metadata.split, progress), mapped=("x", "col"))
    rowptr, col = torch.from_numpy(arrays["rowptr"]), torch.from_numpy(arrays["col"])
    num_nodes = rowptr.shape[0] - 1
    adj = CSR(rowptr, col, torch.ones(col.shape[0], dtype=torch.float32), num_nodes, symmetric=True)
    split = split_from_ids(num_nodes, arrays["train"], arrays["valid"], arrays["test"], str(folder))
    x, y = torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["y"])
    return Graph(NAME, x, adj, y, (split,), metadata.num_classes, f"ogb:{NAME}", adj.symmetric)


def _refuse(url: str) -> None:
    raise DownloadError(f"{url} has 57 GB and is not downloaded automatically: download and unpack it yourself")


def _parse(folder: Path, scheme: str, progress: bool, target: Path) -> None:
    """Write every array of `ARRAYS` to `target`; the small ones come first, so that a damaged file shows at once."""
    edges, features = ZippedArray.find(folder / DATA, "edge_index"), ZippedArray.find(folder / DATA, "node_feat")
    if edges.dtype.kind not in "iu" or len(edges.shape) != 2 or edges.shape[0] != 2:
        raise damaged(edges.path, f"edge_index has shape {edges.shape} and type {edges.dtype} where whole numbers [2, E] were expected")
    if len(features.shape) != 2 or features.fortran_order:
        raise damaged(features.path, f"node_feat has shape {features.shape} where rows [N, F] were expected")
    num_nodes = features.shape[0]
    np.save(target / "y.npy", _read_labels(folder / LABELS, num_nodes))
    for part in ogb_raw.PARTS:
        np.save(target / f"{part}.npy", ogb_raw.read_ids(folder, scheme, part))
    write_symmetric(partial(_edge_pieces, edges, progress), num_nodes, target)
    _write_features(features, target / "x.npy", progress)


def _read_labels(path: Path, num_nodes: int) -> NDArray[np.int64]:
    """int64 [N], -1 for the papers without one (most of them: only those on arXiv are labelled)."""
    with reading(path), np.load(path, allow_pickle=False) as arrays:
        values = np.asarray(arrays["node_label"], np.float64).reshape(-1)
    if values.shape[0] != num_nodes:
        raise damaged(path, f"it has {values.shape[0]} labels for {num_nodes} nodes")
    known = np.where(np.isnan(values), -1.0, values)
    if (fractions := np.flatnonzero(known != np.rint(known))).size:
        raise damaged(path, f"node {fractions[0]} has a label that is not a whole number")
    return known.astype(np.int64)


def _edge_pieces(edges: ZippedArray, progress: bool) -> Iterator[NDArray[Any]]:
    """Pieces [2, k] of the edge list, which is stored by rows (all sources first) or by columns."""
    count = edges.shape[1]
    with _bar("edges", count, progress) as bar:
        if edges.fortran_order:
            for pairs in edges.pieces(0, 2 * count, 2 * EDGES_AT_A_TIME):
                yield np.ascontiguousarray(pairs.reshape(-1, 2).T)
                bar.update(pairs.size // 2)
            return
        sources, targets = edges.pieces(0, count, EDGES_AT_A_TIME), edges.pieces(count, 2 * count, EDGES_AT_A_TIME)
        for source, target in zip(sources, targets, strict=True):
            yield np.stack([source, target])
            bar.update(source.size)


def _write_features(features: ZippedArray, target: Path, progress: bool) -> None:
    """float32 [N, F], in the order in which they are stored."""
    size = features.shape[0] * features.shape[1]
    with target.open("wb") as out, _bar("features", size, progress) as bar:
        np.lib.format.write_array_header_1_0(out, {"descr": "<f4", "fortran_order": False, "shape": features.shape})
        for values in features.pieces(0, size, VALUES_AT_A_TIME):
            out.write(np.ascontiguousarray(values, "<f4").data)
            bar.update(values.size)


def _bar(what: str, total: int, progress: bool) -> Any:
    return tqdm(total=total, unit="", unit_scale=True, desc=f"reading {what}", disable=None if progress else True)
