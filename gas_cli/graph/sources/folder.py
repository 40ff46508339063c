"""One's own graph: a folder of tables, or a .pt file with a PyG `Data`. The page for users is docs/own-graph.md."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from gas_cli.config.dataset import DatasetConfig, FolderConfig
from gas_cli.errors import UserError
from gas_cli.graph.features import compact
from gas_cli.graph.graph import Features, Graph, Split
from gas_cli.graph.sources.folder_edges import read_adjacency
from gas_cli.graph.sources.folder_splits import read_splits
from gas_cli.graph.sources.folder_tables import Tables
from gas_cli.graph.sources.labels import check_labelled, check_metric, classes_of, read_labels, report_empty_parts
from gas_cli.graph.sources.scipy_matrix import merged, read_matrix
from gas_cli.graph.sources.table import MATRIX, SUFFIXES, Table, need
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
        raise UserError(f"dataset.path={path} is not a folder: expected one with edges, features, labels and splits, or a .pt file.")
    needed = {"labels": need(path, "labels", SUFFIXES), "features": need(path, "features", MATRIX), "edges": need(path, "edges", MATRIX)}
    tables = Tables(path, config)
    labels = read_labels(tables.read(needed["labels"]))
    x = read_features(tables, needed["features"], labels)
    adj, edge_attr = read_adjacency(path, tables, len(labels.values), config.undirected)
    return assemble(path.name, path, config, x, adj, labels, read_splits(path, tables, len(labels.values)), edge_attr)


def assemble(
    name: str, source: Path, config: FolderConfig, x: Features, adj: CSR, labels: Table, splits: tuple[Split, ...], edge_attr: Tensor | None
) -> Graph:
    """The `Graph`, once classes and metric are decided and every node in a split is seen to have a label; messages name `source`."""
    classes = classes_of(labels, config)
    metric = check_metric(labels, classes, config.metric)
    check_labelled(labels, splits)
    report_empty_parts(source, splits)
    y = torch.from_numpy(classes.y)
    return Graph(name, x, adj, y, splits, classes.num_classes, metric, adj.symmetric, edge_attr=edge_attr, class_names=classes.names)


def read_features(tables: Tables, path: Path, labels: Table) -> Features:
    """Features of as many nodes as there are labels; a float32 .npy file stays on the disk, mapped."""
    if path.suffix == ".npz":
        return sparse_features(path, read_matrix(path), len(labels.values), labels.path.name)
    table = tables.read(path, np.float32)
    if table.values.ndim == 1:
        table = replace(table, values=table.values[:, None])
    if table.values.ndim != 2:
        raise table.unfit(f"it has shape {table.values.shape}", "Expected [N, F]: one row per node")
    _check_rows(path, table.values.shape[0], len(labels.values), labels.path.name)
    values = table.finite("feature").values
    return torch.from_numpy(np.require(values, np.float32, ["C", "W"]))  # no copy of a mapped float32 file


def sparse_features(path: Path, stored: sp.sparray, num_nodes: int, labels: str) -> Features:
    """The matrix as features of `num_nodes` nodes, whose number `labels` says."""
    _check_rows(path, stored.shape[0], num_nodes, labels)
    matrix = merged(stored, path)
    if not np.isfinite(matrix.data).all():
        row = int(np.searchsorted(matrix.indptr, np.flatnonzero(~np.isfinite(matrix.data))[0], side="right")) - 1
        raise Table(path, matrix.data).wrong(row, "a feature is NaN or infinite", "Expected finite numbers: fill or drop it")
    return compact(matrix)


def _check_rows(path: Path, rows: int, num_nodes: int, labels: str) -> None:
    if rows != num_nodes:
        where = f"row {min(rows, num_nodes)} is in only one of them"
        raise UserError(f"{path}: it has {rows} rows where {labels} has {num_nodes} ({where}). Expected one row per node in both.")
