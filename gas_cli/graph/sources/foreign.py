"""Graphs as other programs write them, for `gas-data convert`: each is put into a temporary folder of tables that `folder` reads."""

from __future__ import annotations

import csv
import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from gas_cli.config.dataset import FolderConfig
from gas_cli.errors import UserError
from gas_cli.graph.graph import Graph
from gas_cli.graph.load import load_graph
from gas_cli.graph.sources import graphsaint
from gas_cli.graph.sources.named_files import file_role
from gas_cli.graph.sources.npy_format import first_line
from gas_cli.graph.sources.table import TEXT

EDGE_LISTS = (".edgelist", ".edges", ".el", *TEXT)
COMMENTS = ("#", "%")
MUSAE_LABELS = ("ml_target", "page_type", "mature")
"""Of the sets of GitHub, Facebook and Twitch; `dataset.columns.label` names another column."""


RAW = {
    "ogbn-papers100M": ("raw/data.npz",),
    "ogbn-products": ("raw/edge.csv.gz", "split/sales_ranking"),
    "ogbn-arxiv": ("raw/edge.csv.gz", "split/time"),
    "ppi": ("raw/train_graph_id.npy",),
    "cora": ("raw/ind.cora.graph",),
    "citeseer": ("raw/ind.citeseer.graph",),
    "pubmed": ("raw/ind.pubmed.graph",),
    "reddit": ("raw/reddit_graph.npz",),
}
"""What tells the raw folders of datasets that have a name, below the dataset's own folder."""

RAW_BY_FOLDER = {
    **{name: (origin.folders, "raw/role.json") for name, origin in graphsaint.ORIGINS.items()},
    "wiki-cs": (("WIKICS", "WikiCS"), "raw/data.json"),
}
"""The same for files whose names tell too little: what the dataset's own folder may be called, and one of its files."""


def refuse_raw(path: Path) -> None:
    """Raise `UserError` that names the dataset where `path` is the folder of its raw files, or `raw` in it.

    Datasets are read by name: labels, splits and directions of their edges follow from it.
    """
    place = path.absolute()
    folder = place.parent if place.name == "raw" else place
    found = [name for name, marks in RAW.items() if all((folder / mark).exists() for mark in marks)]
    found += [name for name, (names, mark) in RAW_BY_FOLDER.items() if folder.name in names and (folder / mark).exists()]
    if found:
        root = folder.parent.parent if folder.parent.name == "Planetoid" else folder.parent
        raise UserError(
            f"{path} has the raw files of {found[0]}, expected a graph's own folder or file. "
            f"Type gas-data convert dataset={found[0]} DIR root={root}"
        )


def is_foreign(path: Path) -> bool:
    """Whether `load_foreign` reads it, and `folder` does not."""
    if path.is_dir():
        return bool(list(path.glob("*_features.json")))
    return path.is_file() and (path.suffix == ".graphml" or _is_edge_list(path))


def load_foreign(config: FolderConfig, progress: bool = False) -> Graph:
    """A GraphML file; an edge list with comments, next to the files of its nodes; or a folder of musae. Raises `UserError`."""
    path = Path(config.path).expanduser()
    with tempfile.TemporaryDirectory(prefix="gas-convert-") as name:
        folder = Path(name)
        if path.is_dir():
            config = _musae(path, folder, config)
        elif path.suffix == ".graphml":
            config = _graphml(path, folder, config)
        else:
            _edge_list(path, folder)
        try:
            graph = load_graph(replace(config, path=str(folder)), progress)
        except UserError as error:
            raise UserError(_by_source(str(error), folder, path)) from error
        return replace(graph, name=config.title)


def _by_source(message: str, folder: Path, path: Path) -> str:
    """The message with the names of what the user has in the place of the temporary ones."""
    tables = {"edges.csv": path, "nodes.csv": path} if path.is_file() else {}
    for name, own in tables.items():
        if str(folder / name) in message and not (folder / name).is_symlink():  # made here: its lines are others
            message = re.sub(r" \(line \d+\)", "", message).replace(str(folder / name), str(own))
    return message.replace(str(folder), str(path if path.is_dir() or path.suffix == ".graphml" else path.parent))


# -- GraphML ---------------------------------------------------------------------------------------------------------------------------


def _graphml(path: Path, folder: Path, config: FolderConfig) -> FolderConfig:
    """Attributes of nodes and edges are the columns; an undirected graph has every edge in both directions."""
    try:
        import networkx
    except ImportError as error:
        raise UserError(f"{path}: reading GraphML needs NetworkX: pip install networkx") from error
    try:
        graph = networkx.read_graphml(path)
    except Exception as error:  # of the XML parser, of types, of keys that no attribute declares
        raise UserError(f"{path}: it is not an intact GraphML file ({first_line(error)}). Write it again.") from error
    _write_rows(folder / "nodes.csv", ("id",), [((node,), attributes) for node, attributes in graph.nodes(data=True)])
    _write_rows(folder / "edges.csv", ("source", "target"), [((s, t), attributes) for s, t, attributes in graph.edges(data=True)])
    return config if graph.is_directed() else replace(config, undirected=True)


def _write_rows(path: Path, keys: tuple[str, ...], rows: list[tuple[tuple[Any, ...], Mapping[str, Any]]]) -> None:
    """A table with the columns `keys`, and a column for each attribute that a row has; a missing one is an empty cell."""
    names = [name for name in dict.fromkeys(name for _, attributes in rows for name in attributes) if name not in keys]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*keys, *names])
        writer.writerows([*ends, *(attributes.get(name, "") for name in names)] for ends, attributes in rows)


# -- edge lists ------------------------------------------------------------------------------------------------------------------------


def _is_edge_list(path: Path) -> bool:
    """Text that begins with a comment, or has a suffix of edge lists and is no table by its name."""
    if path.suffix not in EDGE_LISTS:
        return False
    with path.open("rb") as file:
        commented = file.read(1).decode("latin-1") in COMMENTS
    return commented or (file_role(path) is None and path.suffix not in (".csv", ".tsv", ".tab"))


def _edge_list(path: Path, folder: Path) -> None:
    """Source, target and possibly weight in each line, blanks between them; labels, features and splits are the other files next to it."""
    for other in path.parent.iterdir():
        if other != path and file_role(other) != "edges" and not other.name.startswith("."):
            (folder / other.name).symlink_to(other.absolute())
    width = 0
    with path.open(encoding="utf-8", errors="replace") as lines, (folder / "edges.csv").open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        for number, line in enumerate(lines, 1):
            cells = line.split()
            if not cells or cells[0][0] in COMMENTS:
                continue
            if not width:
                width = len(cells)
                writer.writerow(("source", "target", "weight")[:width])
            if len(cells) != width or width not in (2, 3):
                found = f"{len(cells)} words in line {number}" + (f", {width} in the first one" if len(cells) != width else "")
                raise UserError(f"{path}: {found}. Expected source, target and possibly a weight in each line; comments begin with #.")
            writer.writerow(cells)
    if not width:
        raise UserError(f"{path}: it has no edges. Expected source and target in each line.")


# -- musae -----------------------------------------------------------------------------------------------------------------------------


def _musae(path: Path, folder: Path, config: FolderConfig) -> FolderConfig:
    """`*_edges.csv`, `*_target.csv` and `*_features.json`: the numbers of the features that each node has."""
    edges, targets, features = (_only(path, pattern) for pattern in ("*_edges.csv", "*_target.csv", "*_features.json"))
    (folder / "edges.csv").symlink_to(edges.absolute())
    with targets.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = list(rows[0]) if rows else []
    label = config.columns.label or next((name for name in MUSAE_LABELS if name in names), None)
    key = config.columns.id or ("new_id" if "new_id" in names else "id")
    for role, name in (("id", key), ("label", label)):
        if name not in names:
            raise UserError(f"{targets}: its columns are {', '.join(names) or '(none)'}. Name one: dataset.columns.{role}=NAME.")
    assert label is not None
    with (folder / "nodes.csv").open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(("id", "label"))
        writer.writerows((row[key], row[label]) for row in rows)
    sp.save_npz(folder / "features.npz", _feature_matrix(features, [row[key] for row in rows]))
    return replace(config, columns=replace(config.columns, id=None, label=None))


def _feature_matrix(path: Path, ids: list[str]) -> sp.csr_array:
    """Zeros and ones [N, F]: row i for the node of `ids[i]`."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        lists = [np.unique(np.asarray(stored[node], np.int64)) for node in ids]
    except KeyError as error:
        raise UserError(f"{path}: node {error.args[0]} has no features. Expected a list for every node of *_target.csv.") from error
    except (ValueError, TypeError) as error:
        raise UserError(f"{path}: expected JSON with a list of numbers of features for each node ({first_line(error)}).") from error
    column = np.concatenate([*lists, np.empty(0, np.int64)])
    if column.min(initial=0) < 0 or not column.size:
        raise UserError(f"{path}: expected numbers of features from 0 on, and at least one.")
    rowptr = np.cumsum([0, *map(len, lists)])
    return sp.csr_array((np.ones(len(column), np.float32), column, rowptr), shape=(len(ids), int(column.max()) + 1))


def _only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise UserError(f"{folder}: it has {len(found)} files {pattern}. Expected one of each: *_edges.csv, *_target.csv, *_features.json.")
    return found[0]
