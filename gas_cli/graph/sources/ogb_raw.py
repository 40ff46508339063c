"""OGB's raw folder: gzipped tables without header, read in pieces into arrays of their final type."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from gas_cli.graph.sources.raw import damaged, reading
from gas_cli.graph.topology import check_node_ids

EDGES_AT_A_TIME = 1 << 22
NODES_AT_A_TIME = 1 << 16

EDGES, FEATURES, LABELS = "raw/edge.csv.gz", "raw/node-feat.csv.gz", "raw/node-label.csv.gz"
NUM_NODES, NUM_EDGES = "raw/num-node-list.csv.gz", "raw/num-edge-list.csv.gz"
PARTS = ("train", "valid", "test")


def file_names(split: str) -> list[str]:
    """The files that are read, relative to the dataset's folder, for the split scheme `split`."""
    return [EDGES, FEATURES, LABELS, NUM_NODES, NUM_EDGES, *(f"split/{split}/{part}.csv.gz" for part in PARTS)]


def read_edges(folder: Path, progress: bool) -> NDArray[np.int32]:
    """Edges int32 [2, E] as stored. Raises `UserError` for a damaged file, ids out of range, or another number of edges than announced."""
    path, num_nodes, num_edges = folder / EDGES, read_count(folder / NUM_NODES), read_count(folder / NUM_EDGES)
    edges = np.empty((2, num_edges), np.int32)
    filled = 0
    for block in _blocks(path, np.int64, EDGES_AT_A_TIME, num_edges, progress):
        if block.shape[1] != 2:
            raise damaged(path, f"it has {block.shape[1]} columns where 2 were expected")
        check_node_ids(block.T, num_nodes, filled)
        stop = min(filled + block.shape[0], num_edges)
        edges[:, filled:stop] = block[: stop - filled].T
        filled += block.shape[0]
    _check_rows(path, filled, num_edges, NUM_EDGES)
    return edges


def read_features(folder: Path, target: Path, progress: bool) -> None:
    """Write the features float32 [N, F] to the .npy file `target`, never holding more than a block of rows."""
    path, num_nodes = folder / FEATURES, read_count(folder / NUM_NODES)
    filled = 0
    with target.open("wb") as out:  # a stream, not a writable mapping: a full disk is an error here, and there a dead process
        for block in _blocks(path, np.float32, NODES_AT_A_TIME, num_nodes, progress):
            if filled == 0:
                header = {"descr": "<f4", "fortran_order": False, "shape": (num_nodes, block.shape[1])}
                np.lib.format.write_array_header_1_0(out, header)
            out.write(np.ascontiguousarray(block, "<f4").data)
            filled += block.shape[0]
    _check_rows(path, filled, num_nodes, NUM_NODES)


def read_labels(folder: Path) -> NDArray[np.int64]:
    """Labels int64 [N], -1 where the source has none."""
    path, num_nodes = folder / LABELS, read_count(folder / NUM_NODES)
    values = _column(path, np.float64)
    _check_rows(path, values.size, num_nodes, NUM_NODES)
    known = np.where(np.isnan(values), -1.0, values)
    if not np.array_equal(known, np.rint(known)):
        raise damaged(path, f"node {int(np.flatnonzero(known != np.rint(known))[0])} has a label that is not a whole number")
    return known.astype(np.int64)


def read_ids(folder: Path, split: str, part: str) -> NDArray[np.int64]:
    """Node ids int64 of the `part` (train, valid, test) of a split scheme."""
    return _column(folder / "split" / split / f"{part}.csv.gz", np.int64)


def read_count(path: Path) -> int:
    """The single number in a `num-*-list` file (one graph)."""
    numbers = _column(path, np.int64)
    if numbers.size != 1 or numbers[0] < 1:
        raise damaged(path, f"it holds {numbers.tolist()[:3]} where one positive count was expected")
    return int(numbers[0])


def _blocks(path: Path, dtype: type[np.generic], rows: int, total: int, progress: bool) -> Iterator[NDArray[Any]]:
    """The table in pieces of `rows` rows, each [rows, columns] of `dtype`."""
    import pandas as pd

    with reading(path):
        table = pd.read_csv(path, header=None, dtype=dtype, compression="gzip", chunksize=rows)
    with table, tqdm(total=total, unit=" rows", unit_scale=True, desc=f"reading {path.name}", disable=None if progress else True) as bar:
        pieces = iter(table)
        while True:
            with reading(path):  # pandas' parser errors are ValueErrors
                piece = next(pieces, None)
            if piece is None:
                return
            bar.update(len(piece))
            yield piece.to_numpy()


def _column(path: Path, dtype: type[np.generic]) -> NDArray[Any]:
    blocks = list(_blocks(path, dtype, EDGES_AT_A_TIME, 0, False))
    if any(block.shape[1] != 1 for block in blocks):
        raise damaged(path, f"it has {blocks[0].shape[1]} columns where 1 was expected")
    return np.concatenate(blocks).ravel()


def _check_rows(path: Path, found: int, announced: int, announcement: str) -> None:
    if found != announced:
        raise damaged(path, f"it has {found} rows where {announcement} announces {announced}")
