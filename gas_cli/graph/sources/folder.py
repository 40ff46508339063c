"""One's own graph: a folder of tables, or a .pt file with a PyG `Data`. The page for users is docs/own-graph.md."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gas_cli.config.dataset import DatasetConfig, FolderConfig
from gas_cli.errors import UserError
from gas_cli.graph.features import compact
from gas_cli.graph.graph import Features, Graph, Split
from gas_cli.graph.sources.folder_edges import read_adjacency
from gas_cli.graph.sources.folder_splits import read_splits
from gas_cli.graph.sources.scipy_matrix import merged, read_matrix
from gas_cli.graph.sources.table import MATRIX, SUFFIXES, Table, need, read_table
from gas_cli.ops.csr import CSR


def load(config: DatasetConfig, progress: bool) -> Graph:
    """The graph in `config.path`. Raises `UserError` that says file, row, reason and remedy for whatever does not fit."""
    if not isinstance(config, FolderConfig) or not config.path:
        raise UserError("dataset=folder needs the folder of your graph: type dataset.path=DIR (docs/own-graph.md lists the files).")
    path = Path(config.path).expanduser()
    if path.suffix == ".pt" and path.is_file():
        from gas_cli.graph.sources.saved_data import load_saved

        return load_saved(path, config)
    if not path.is_dir():
        raise UserError(f"dataset.path={path} is no folder: expected one with edges, features, labels and splits, or a .pt file.")
    labels = read_labels(read_table(need(path, "labels", SUFFIXES)))
    x = read_features(need(path, "features", MATRIX), labels)
    adj, edge_attr = read_adjacency(path, len(labels.values), config.undirected)
    return assemble(path.name, config, x, adj, labels, read_splits(path, len(labels.values)), edge_attr)


def assemble(
    name: str, config: FolderConfig, x: Features, adj: CSR, labels: Table, splits: tuple[Split, ...], edge_attr: Tensor | None
) -> Graph:
    """The `Graph`, once number of classes and metric are decided and every node in a mask is seen to have a label."""
    several = labels.values.ndim == 2
    num_classes = labels.values.shape[1] if several else config.num_classes or int(labels.values.max()) + 1
    if config.num_classes not in (0, num_classes):
        raise labels.unfit(f"it has {num_classes} columns where dataset.num_classes={config.num_classes}", "Correct either")
    metric = ("micro_f1" if several else "accuracy") if config.metric == "auto" else config.metric
    if metric != "roc_auc" and several != (metric == "micro_f1"):
        raise labels.unfit(f"dataset.metric={metric} does not fit {'several labels' if several else 'one label'} per node", "Use auto")
    if not several:
        _check_classes(labels, num_classes, splits)
    y = torch.from_numpy(labels.values.astype(np.float32 if several else np.int64))
    return Graph(name, x, adj, y, splits, num_classes, metric, adj.symmetric, edge_attr=edge_attr)


def _check_classes(labels: Table, num_classes: int, splits: tuple[Split, ...]) -> None:
    values = labels.values
    if (beyond := np.flatnonzero(values >= num_classes)).size:
        node = int(beyond[0])
        raise labels.wrong(
            node, f"label {values[node]} is out of range", f"Expected 0 to {num_classes - 1}, or a larger dataset.num_classes"
        )
    used = np.zeros(values.shape[0], bool)
    for split in splits:
        used |= (split.train | split.val | split.test).numpy()
    if (unknown := np.flatnonzero(used & (values < 0))).size:
        node = int(unknown[0])
        raise labels.wrong(node, f"node {node} has label -1 (unknown), but is in a split", "Label it, or take it out of the split")


def read_labels(table: Table) -> Table:
    """int64 [N], -1 where unknown; or [N, C] of zeros and ones."""
    labels = table.whole_numbers("class")
    values = labels.values
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim > 2:
        raise table.unfit(f"it has shape {values.shape}", "Expected [N], or [N, C] of zeros and ones")
    least, most = (-1, np.iinfo(np.int32).max) if values.ndim == 1 else (0, 1)
    bad = (values < least) | (values > most)
    if bad.any():
        row = int(np.argwhere(bad)[0][0])
        expected = "Expected classes from 0 on, -1 for unknown" if values.ndim == 1 else "Expected 0 or 1 in each of several columns"
        raise table.wrong(row, f"label {values[tuple(np.argwhere(bad)[0])]} is out of range", expected)
    return Table(table.path, np.ascontiguousarray(values), table.rows)


def read_features(path: Path, labels: Table) -> Features:
    """Features of as many nodes as there are labels; a float32 .npy file stays on the disk, mapped."""
    if path.suffix == ".npz":
        stored = read_matrix(path)
        _check_rows(path, stored.shape[0], labels)
        matrix = merged(stored, path)
        if not np.isfinite(matrix.data).all():
            row = int(np.searchsorted(matrix.indptr, np.flatnonzero(~np.isfinite(matrix.data))[0], side="right")) - 1
            raise Table(path, matrix.data).wrong(row, "a feature is NaN or infinite", "Expected finite numbers: fill or drop it")
        return compact(matrix)
    table = read_table(path, np.float32)
    if table.values.ndim == 1:
        table = Table(path, table.values[:, None])
    if table.values.ndim != 2:
        raise table.unfit(f"it has shape {table.values.shape}", "Expected [N, F]: one row per node")
    _check_rows(path, table.values.shape[0], labels)
    values = table.finite("feature").values
    return torch.from_numpy(np.require(values, np.float32, ["C", "W"]))  # no copy of a mapped float32 file


def _check_rows(path: Path, rows: int, labels: Table) -> None:
    if rows != len(labels.values):
        row = min(rows, len(labels.values))
        where = f"row {row} is in only one of them"
        raise UserError(
            f"{path}: it has {rows} rows where {labels.path.name} has {len(labels.values)} ({where}). Expected one row per node in both."
        )
