"""A graph in one file: a PyG `Data` or a dictionary that torch saved, arrays of numpy.savez, variables of MATLAB."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from gas_cli.config.dataset import MAX_CLASSES, FolderConfig
from gas_cli.config.metrics import REGRESSION
from gas_cli.errors import UserError
from gas_cli.graph.graph import Features, Graph
from gas_cli.graph.made_features import WITHOUT, none_of
from gas_cli.graph.sources.folder import assemble, sparse_features, unlabelled
from gas_cli.graph.sources.folder_edges import Edges, attribute_rows, edges_of_matrix
from gas_cli.graph.sources.folder_splits import PARTS, node_mask, read_mask, to_splits
from gas_cli.graph.sources.labels import named_classes
from gas_cli.graph.sources.names import EDGE_LISTS, IDS, KEYS, plain
from gas_cli.graph.sources.one_file import Stored, listed, recognise, stored_mat, stored_npz
from gas_cli.graph.sources.saved_file import load_values
from gas_cli.graph.sources.saved_values import MASKS, Saved
from gas_cli.graph.sources.scipy_matrix import merged
from gas_cli.graph.sources.table import Table
from gas_cli.graph.sources.targets import read_y
from gas_cli.graph.sources.typed import Types, check_asked, one_graph

log = logging.getLogger(__name__)

NEEDED = ("edge_index", "x", "y")


def load_saved(path: Path, config: FolderConfig) -> Graph:
    """The graph in `path`: the arrays `NEEDED`, `edge_weight` and `edge_attr` where there are any. Nothing in the file is executed.

    Raises `UserError` for a file with more than tensors, arrays and plain values, missing tensors, and contents that do not fit.
    """
    content = load_values(path) if path.suffix == ".pt" else None
    check_asked(path, config.types, isinstance(content, Types), "dataset.types=onehot")
    if isinstance(content, Types):
        return graph_of_types(path, content, config)
    if content is not None:
        stored = Stored(path, [str(key) for key, value in content.items() if value is not None], content.__getitem__, pyg=True)
    else:
        stored = (stored_npz if path.suffix == ".npz" else stored_mat)(path)
    values, keys = recognise(stored, config.columns)
    return graph_of_values(path, values, config, keys, stored.names)


def graph_of_types(path: Path, types: Types, config: FolderConfig) -> Graph:
    """Several types of nodes and edges as one graph (`typed.one_graph`), whose columns its schema names."""
    values, schema = one_graph(path, types, config)
    if config.labelled and values["y"] is None:
        raise UserError(f"{path}: no type of nodes has y. Expected labels of one type: {', '.join(types.nodes)}. Set data[TYPE].y first.")
    return replace(graph_of_values(path, values, config), schema=schema)


def graph_of_values(
    path: Path, values: Mapping[str, Any], config: FolderConfig, keys: Mapping[str, str] = {}, present: Sequence[str] = ()
) -> Graph:
    """The graph of these tensors, arrays and matrices by PyG's names; `path` is where they are from, for names and messages.

    keys     what the file calls them, where that is another name
    present  all that the file holds, for the message of what is missing
    """
    if config.features is not None and values.get("x") is None:
        values = {**values, "x": _no_features(path, values)}
    saved = Saved(path, values, keys)
    masks = MASKS if config.labelled and any(saved.has(key) for key in MASKS) else ()  # without any, it is a graph without a split
    needed = (*(NEEDED if config.labelled else NEEDED[:2]), *masks)
    if missing := [key for key in needed if not saved.has(key)]:
        raise _missing(path, missing, needed, present)
    if not config.labelled:
        num_nodes = len(saved.values["x"]) if isinstance(saved.values["x"], np.ndarray) else int(saved.values["x"].shape[0])
        edges, edge_attr = _edges(saved, num_nodes)
        return unlabelled(path.stem, _features(saved, num_nodes), edges.adjacency(num_nodes, config.undirected), edge_attr)
    labels, names = _labels(saved, config)
    num_nodes = len(labels.values)
    edges, edge_attr = _edges(saved, num_nodes)
    adj = edges.adjacency(num_nodes, config.undirected)
    splits = to_splits([_mask(saved, part, num_nodes) for part in PARTS]) if masks else ()
    graph = assemble(path.stem, path, config, _features(saved, num_nodes), adj, labels, splits, edge_attr, names)
    return graph if names or graph.regression else _named(path, graph, values.get("class_names"))


def _no_features(path: Path, values: Mapping[str, Any]) -> Tensor:
    """float32 [N, 0] of as many nodes as there are labels, as a PyG `Data` says, or as a matrix of the edges has rows."""
    y, edges, said = values.get("y"), values.get("edge_index"), values.get("num_nodes")
    if y is not None:
        row = sp.issparse(y) or getattr(y, "ndim", 1) == 2
        return none_of(max(y.shape) if row and y.shape[0] == 1 else int(y.shape[0]))
    if isinstance(said, int) and said > 0:
        return none_of(said)
    if edges is not None and sp.issparse(edges):
        return none_of(int(edges.shape[0]))
    raise UserError(f"{path}: it has neither features nor labels, so the number of its nodes is not known. Add num_nodes, or x [N, F].")


def _missing(path: Path, missing: Sequence[str], needed: Sequence[str], present: Sequence[str]) -> UserError:
    without = WITHOUT if "x" in missing else ""
    if path.suffix in (".npz", ".mat"):
        other = "; ".join(f"{key} may be called {', '.join(KEYS[key][:8])}" for key in missing)
        remedy = f"It holds {listed(present) or 'nothing'}. Add or rename arrays: {other}"
        return UserError(f"{path}: it has no array {', '.join(missing)}. Expected {', '.join(needed)}. {remedy}.{without}")
    split = " Without any mask, dataset.make_split=random makes a split." if set(missing) & set(MASKS) else ""
    return UserError(f"{path}: it has no tensor {', '.join(missing)}. Expected {', '.join(needed)}: set them first.{split}{without}")


def _labels(saved: Saved, config: FolderConfig) -> tuple[Table, tuple[str, ...]]:
    """What `read_y` gives, or codes and the names of classes where labels are texts."""
    y = saved.values["y"]
    if isinstance(y, np.ndarray) and y.dtype.kind == "U" and config.task != REGRESSION:
        codes, names = named_classes(np.char.strip(y.ravel()))
        return Table(saved.path, codes, f"{saved.key('y')}, row"), names
    if sp.issparse(y):
        if y.shape[1] > MAX_CLASSES:
            raise UserError(
                f"{saved.path}: {saved.key('y')} has {y.shape[1]:,} columns. Expected a column per class, up to {MAX_CLASSES:,}."
            )
        y = merged(y, saved.path).toarray()
    table = replace(saved, values={"y": y}).table("y")
    row = table.values.ndim == 2 and table.values.shape[0] == 1  # as MATLAB stores a list
    return read_y(replace(table, values=table.values[0]) if row else table, config), ()


def _named(path: Path, graph: Graph, given: Any) -> Graph:
    """With the names of classes that the file gives, if these fit: name c is that of label c, or of label c + 1 where labels begin at 1."""
    names = tuple(str(name).strip() for name in np.ravel(given)) if _are_texts(given) else ()
    labels = [int(name) for name in graph.class_names] or list(range(graph.num_classes))
    first = 1 if labels and labels[0] == 1 and labels[-1] == len(names) else 0
    if given is None or not labels:
        return graph
    if labels[-1] - first >= len(names) or len(set(names)) < len(names):
        log.info("%s: the names of classes are left out: expected a different text for each of %d classes.", path, labels[-1] - first + 1)
        return graph
    return replace(graph, class_names=tuple(names[label - first] for label in labels))


def _are_texts(given: Any) -> bool:
    several = isinstance(given, (list, tuple)) and all(isinstance(name, str) for name in given)
    return several or (isinstance(given, np.ndarray) and given.dtype.kind == "U")


def _edges(saved: Saved, num_nodes: int) -> tuple[Edges, Tensor | None]:
    """With their weights and attributes, if any."""
    key = saved.key("edge_index")
    if sp.issparse(saved.values["edge_index"]) or plain(key) not in EDGE_LISTS:
        return _edges_of_matrix(saved, num_nodes), None
    index = saved.table("edge_index").values
    if key != "edge_index" and index.ndim == 2 and index.shape[1] == 2 and index.shape[0] != 2:
        index = index.T
    if index.ndim != 2 or index.shape[0] != 2:
        raise UserError(f"{saved.path}: {key} has shape {index.shape}. Expected [2, E]: row 0 holds sources, row 1 holds targets.")
    table = Table(saved.path, index.T, f"{key}, edge")
    weight = _weight(saved, index.shape[1]) if saved.has("edge_weight") else None
    attributes = attribute_rows(saved.table("edge_attr"), index.shape[1]) if saved.has("edge_attr") else None
    ends = table.whole_numbers("node id").values
    if saved.path.suffix == ".mat" and ends.size and ends.min() > 0:
        remedy = "Subtract 1 if they begin at 1, as in MATLAB, or store a sparse matrix instead"
        raise table.unfit(f"{key} has no node 0, so its ids may begin at 0 or at 1", remedy)
    return Edges(table, (ends[:, 0], ends[:, 1]), weight, numbered=attributes is not None), attributes


def _edges_of_matrix(saved: Saved, num_nodes: int) -> Edges:
    """Of a sparse or dense matrix [N, N]."""
    matrix, key = saved.values["edge_index"], saved.key("edge_index")
    for role in ("edge_weight", "edge_attr"):
        if saved.has(role):
            found = f"{key} is a matrix and does not keep the order of edges, so {saved.key(role)} has no meaning"
            remedy = f"Store edge_index [2, E] instead, or leave it out: dataset.columns.ignore=[{saved.key(role)}]"
            raise UserError(f"{saved.path}: {found}. {remedy}.")
    if not sp.issparse(matrix):
        table = saved.table("edge_index")
        if table.values.ndim != 2:
            raise table.unfit(f"{key} has shape {table.values.shape}", "Expected a matrix [N, N]")
        matrix = sp.csr_array(table.values)
    return edges_of_matrix(saved.path, matrix, num_nodes, key)


def _weight(saved: Saved, num_edges: int) -> Table:
    table = saved.table("edge_weight")
    single = table.values.ndim == 2 and 1 in table.values.shape and table.values.size == num_edges
    values = table.values.ravel() if single else table.values
    if values.shape != (num_edges,):
        raise table.unfit(f"{saved.key('edge_weight')} has shape {values.shape} for {num_edges} edges", "Expected one weight per edge")
    return Table(table.path, values, table.rows)


def _mask(saved: Saved, part: str, num_nodes: int) -> Table:
    """bool [N, S] from a mask [N], [N, S] or [S, N], or from ids [n]."""
    key = saved.key(f"{part}_mask")
    table = saved.table(f"{part}_mask")
    values = table.values
    if plain(key) in IDS[part]:
        if saved.path.suffix == ".mat":
            raise table.unfit(f"{key} holds ids, which may begin at 0 or at 1 in a .mat file", f"Store a mask of 0 and 1 as {part}_mask")
        return replace(table, values=node_mask(replace(table, values=values.ravel()), num_nodes)[:, None])
    if values.ndim == 2 and values.shape[0] != num_nodes and values.shape[1] == num_nodes:
        table = replace(table, values=values.T)
    if table.values.shape[0] != num_nodes:
        remedy = f"mask = torch.zeros({num_nodes}, dtype=torch.bool); mask[data.{key}] = True; data.{key} = mask"
        remedy = f"For a list of node ids type: {remedy}" if saved.torch else f"A list of node ids is called {part}_idx"
        raise table.unfit(f"{key} has shape {values.shape} for {num_nodes} nodes", f"Expected true or false per node. {remedy}")
    return read_mask(table, num_nodes)


def _features(saved: Saved, num_nodes: int) -> Features:
    if sp.issparse(saved.values["x"]):
        return sparse_features(saved.path, saved.values["x"], num_nodes, "labels")
    table = saved.table("x")
    values = table.values[:, None] if table.values.ndim == 1 else table.values
    if values.ndim != 2 or values.shape[0] != num_nodes:
        found = f"{saved.key('x')} has shape {table.values.shape} for {num_nodes} labels"
        raise table.unfit(found, "Expected [N, F]: one row per node")
    return torch.from_numpy(np.require(Table(table.path, values, table.rows).finite("feature").values, np.float32, ["C", "W"]))
