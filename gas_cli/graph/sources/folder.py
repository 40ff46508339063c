"""A user's graph: a folder of tables, or one file that holds all. The page for users is docs/own-graph.md."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from gas_cli.config.dataset import ONE_FILE, DatasetConfig, FolderConfig
from gas_cli.config.metrics import REGRESSION
from gas_cli.errors import UserError
from gas_cli.graph.features import compact
from gas_cli.graph.graph import Features, Graph, Split
from gas_cli.graph.made_features import WITHOUT, none_of
from gas_cli.graph.schema import Schema
from gas_cli.graph.sources.edge_table import EdgeTable, read_edges
from gas_cli.graph.sources.fast_form import is_fast, read_fast
from gas_cli.graph.sources.folder_edges import edges_of_matrix, edges_of_table, read_adjacency
from gas_cli.graph.sources.folder_splits import PARTS, read_splits, to_splits
from gas_cli.graph.sources.folder_tables import PARTS as PART_FILES
from gas_cli.graph.sources.folder_tables import Tables
from gas_cli.graph.sources.labels import check_labelled, check_metric, classes_of
from gas_cli.graph.sources.named_files import file_role, find_named
from gas_cli.graph.sources.node_table import NodeTable, read_nodes
from gas_cli.graph.sources.scipy_matrix import merged, read_matrix
from gas_cli.graph.sources.table import MATRIX, SUFFIXES, Table, find, need, read_table, text_form
from gas_cli.graph.sources.targets import check_targets, metric_of_targets, read_y
from gas_cli.graph.sources.typed import merged_table
from gas_cli.ops.csr import CSR


def load(config: DatasetConfig, progress: bool) -> Graph:
    """The graph in `config.path`. Raises `UserError` that says file, row, reason and remedy for whatever does not fit."""
    if not isinstance(config, FolderConfig) or not config.path:
        raise UserError("dataset=folder needs the folder of your graph: type dataset.path=DIR (docs/graph-files.md lists the files).")
    return replace(_load(config), name=config.title)


def _load(config: FolderConfig) -> Graph:
    path = Path(config.path).expanduser()
    if path.suffix in ONE_FILE and path.is_file():
        from gas_cli.graph.sources.saved_data import load_saved

        return load_saved(path, config)
    if path.is_file() and file_role(path):  # edges.csv next to nodes.csv
        path = path.parent
    if not path.is_dir():
        raise UserError(
            f"dataset.path={path} is not a folder: expected one with edges, features, labels and splits, or a file {' or '.join(ONE_FILE)}."
        )
    if is_fast(path):
        return read_fast(path, config)
    if (nodes := find_named(path, "nodes")) is not None:
        return load_named(path, nodes, config)
    if config.types is not None:
        raise _no_table_of_types(path)
    if not config.labelled:
        return _unlabelled(path, config)
    needed = need(path, "labels", SUFFIXES), _features_file(path, config)
    need(path, "edges", MATRIX)
    tables = Tables(path, config)
    labels = read_y(tables.read(needed[0]), config)
    x = none_of(len(labels.values)) if needed[1] is None else read_features(tables, needed[1], labels)
    adj, edge_attr = read_adjacency(path, tables, len(labels.values), config.undirected)
    return assemble(path.name, path, config, x, adj, labels, read_splits(path, tables, len(labels.values)), edge_attr, tables.class_names)


def _no_table_of_types(folder: Path) -> UserError:
    tables = [entry.name for entry in sorted(folder.iterdir()) if text_form(entry) or entry.suffix == ".parquet"]
    there = f" It holds {', '.join(tables[:8])}: write the nodes of all types below each other into nodes.csv." if tables else ""
    return UserError(
        f"{folder}: dataset.types=onehot is for a HeteroData of torch_geometric in a .pt file, and for one table nodes with a column type "
        f"and one table edges with a column relation (docs/graph-files.md, Several types). This folder has no table nodes.{there} "
        "Without types leave the setting out."
    )


def _unlabelled(path: Path, config: FolderConfig) -> Graph:
    """The nodes are those that have features; without these, those that have a row in the labels, which are not read otherwise."""
    tables, features = Tables(path, config), _features_file(path, config)
    need(path, "edges", MATRIX)
    if features is not None:
        x = read_features(tables, features, None)
    elif (labels := find(path, "labels", SUFFIXES)) is not None:
        x = none_of(len(tables.read(labels).values))
    else:
        raise UserError(
            f"{path} has neither features nor labels, so the number of its nodes is not known. "
            "Add nodes.csv with a column id, or features.npy with a row per node."
        )
    adj, edge_attr = read_adjacency(path, tables, int(x.shape[0]), config.undirected)
    return unlabelled(path.name, x, adj, edge_attr)


def _features_file(path: Path, config: FolderConfig) -> Path | None:
    """None where there is none, and `dataset.features` makes some."""
    return need(path, "features", MATRIX, WITHOUT) if config.features is None else find(path, "features", MATRIX)


def load_named(folder: Path, path: Path, config: FolderConfig) -> Graph:
    """The graph of the node table `path` and of what else is in `folder`: edges by the ids of the nodes, and files for what no column of
    the table gives."""
    nodes = read_nodes(path, config)
    tables = Tables(folder, config, leave_out=("edges", "edge_weight", "edge_attr", *(f"split/{part}" for part in PART_FILES)))
    labels = _labels(folder, nodes, tables, config) if config.labelled else None
    features = find(folder, "features", MATRIX)
    if nodes.features is not None and features is not None:
        names = ", ".join(column.name for column in nodes.features.columns[:8])
        raise UserError(
            f"{folder}: {features.name} and {path.name} (columns {names}) both hold features. Remove one of them; "
            "dataset.columns.ignore=[NAME,...] leaves columns out."
        )
    x: Features
    if nodes.features is not None:
        x = torch.from_numpy(nodes.features.values)
    elif features is None and config.features is not None:
        x = none_of(len(nodes))
    else:
        x = read_features(tables, features or _other_file(folder, nodes, "features", MATRIX, "feature"), labels)
    edges = _named_edges(folder, config, nodes)
    if config.types is not None and not nodes.types and not edges.marks:
        raise UserError(
            f"{path}: dataset.types={config.types}, and no column is recognised as the type of nodes or edges. "
            "Type dataset.columns.type=NAME (of nodes) or dataset.columns.relation=NAME (of edges), or leave dataset.types out."
        )
    edges = merged_table(edges, len(nodes), config.undirected)
    adj = edges.edges.adjacency(len(nodes), config.undirected)
    schema = Schema(
        () if nodes.features is None else nodes.features.columns, edges.columns, "rows" if nodes.ids is None else nodes.ids.kind
    )
    if labels is None:
        return replace(unlabelled(folder.name, x, adj, edges.attributes), schema=schema, node_ids=nodes.ids)
    splits = to_splits([nodes.parts[part] for part in PARTS]) if nodes.parts else read_splits(folder, tables, len(nodes), nodes.ids)
    graph = assemble(folder.name, folder, config, x, adj, labels, splits, edges.attributes, nodes.class_names or tables.class_names)
    return replace(graph, schema=schema, node_ids=nodes.ids, groups=nodes.groups)


def _labels(folder: Path, nodes: NodeTable, tables: Tables, config: FolderConfig) -> Table:
    labels = nodes.labels if nodes.labels is not None else tables.read(_other_file(folder, nodes, "labels", SUFFIXES, "label"))
    labels = labels if nodes.class_names else read_y(labels, config)
    if len(labels.values) != len(nodes):
        found = f"it has {len(labels.values)} rows where {nodes.frame.path.name} has {len(nodes)}"
        raise labels.unfit(found, "Expected one row per node in both")
    return labels


def _other_file(folder: Path, nodes: NodeTable, stem: str, suffixes: tuple[str, ...], role: str) -> Path:
    path = find(folder, stem, suffixes)
    if path is None:
        shown = ", ".join(map(repr, nodes.frame.names[:12]))
        named = f"Name the column: dataset.columns.{role}=NAME" if role != "feature" else "Add columns of numbers"
        without = WITHOUT if role == "feature" else ""
        raise UserError(f"{nodes.frame.path} has no column of {stem} (it has {shown}). {named}, or add {stem}{suffixes[0]}.{without}")
    return path


def _named_edges(folder: Path, config: FolderConfig, nodes: NodeTable) -> EdgeTable:
    """From a table, whose ends are ids of the nodes where these have any; an array of integers likewise; a matrix goes by rows."""
    path = find_named(folder, "edges")
    if path is not None:
        return read_edges(path, config, nodes.ids)
    array = find(folder, "edges", (".npy", ".npz"))
    if array is None:
        there = ", ".join(sorted(entry.name for entry in folder.iterdir())[:8])
        raise UserError(f"{folder} has no edges: expected edges.csv, edges.parquet, edges.npy or edges.npz. It holds {there}.")
    if array.suffix == ".npz":
        return EdgeTable(edges_of_matrix(array, read_matrix(array), len(nodes)), None)
    edges = edges_of_table(read_table(array))
    if nodes.ids is None:
        return EdgeTable(edges, None)
    if nodes.ids.kind == "text":
        raise edges.table.unfit("it holds whole numbers where the ids of the nodes are text", "Write the edges as .csv, by these ids")
    source, target = (nodes.ids.rows_of_numbers(end) for end in edges.ends)
    for found, end in zip((source, target), edges.ends, strict=True):
        if (bad := np.flatnonzero(found < 0)).size:
            raise edges.table.wrong(int(bad[0]), f"{end[bad[0]]} is the id of no node", "Add the node, or remove the edge")
    return EdgeTable(replace(edges, ends=(source, target)), None)


def assemble(
    name: str,
    source: Path,
    config: FolderConfig,
    x: Features,
    adj: CSR,
    labels: Table,
    splits: tuple[Split, ...],
    edge_attr: Tensor | None,
    class_names: tuple[str, ...] = (),
) -> Graph:
    """The `Graph`, once classes and metric are decided and every node in a split is seen to have a label; messages name `source`.

    class_names  of labels that are codes into them; () where labels are numbers of their own
    """
    if config.task == REGRESSION:
        check_targets(labels, splits)
        y, width = torch.from_numpy(labels.values), 1 if labels.values.ndim == 1 else labels.values.shape[1]
        metric = metric_of_targets(config.metric)
        return Graph(name, x, adj, y, splits, width, metric, adj.symmetric, edge_attr=edge_attr, regression=True)
    classes = classes_of(labels, config, class_names)
    metric = check_metric(labels, classes, config.metric)
    check_labelled(labels, splits)
    y = torch.from_numpy(classes.y)
    return Graph(name, x, adj, y, splits, classes.num_classes, metric, adj.symmetric, edge_attr=edge_attr, class_names=classes.names)


def unlabelled(name: str, x: Features, adj: CSR, edge_attr: Tensor | None) -> Graph:
    """A graph to predict on: no label is known, no node is in a split."""
    y = torch.full((adj.num_rows,), -1)
    return Graph(name, x, adj, y, (), 0, "accuracy", adj.symmetric, edge_attr=edge_attr)


def read_features(tables: Tables, path: Path, labels: Table | None) -> Features:
    """Features of as many nodes as there are labels, where these are given; a float32 .npy file stays on the disk, mapped."""
    if path.suffix == ".npz":
        matrix = read_matrix(path)
        return sparse_features(path, matrix, *((len(labels.values), labels.path.name) if labels else (matrix.shape[0], path.name)))
    table = tables.read(path, np.float32)
    if table.values.ndim == 1:
        table = replace(table, values=table.values[:, None])
    if table.values.ndim != 2:
        raise table.unfit(f"it has shape {table.values.shape}", "Expected [N, F]: one row per node")
    if labels is not None:
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
