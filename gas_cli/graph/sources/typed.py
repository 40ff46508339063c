"""Several types of nodes and edges as one graph (`dataset.types=onehot`): the type of a node and of an edge becomes a mark of 0 and 1."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

from gas_cli.config.dataset import FolderConfig
from gas_cli.config.metrics import REGRESSION
from gas_cli.errors import UserError
from gas_cli.graph.features import BYTES_PER_ENTRY
from gas_cli.graph.schema import TYPE, Column, Schema
from gas_cli.graph.sources.edge_table import EdgeTable
from gas_cli.graph.sources.folder_edges import attribute_rows
from gas_cli.graph.sources.labels import OF_ONE_LABEL
from gas_cli.graph.sources.saved_values import MASKS, Saved
from gas_cli.graph.sources.table import Table
from gas_cli.graph.sources.targets import read_y

log = logging.getLogger(__name__)

EdgeType = tuple[str, str, str]
Numbers = NDArray[Any]
OF_NODES, OF_EDGES = ("x", "y", *MASKS, "num_nodes"), ("edge_index", "edge_weight", "edge_attr")


@dataclass(frozen=True)
class Types:
    """What a PyG `HeteroData` holds: the attributes of each type of nodes, and of each type of edges (source, relation, target)."""

    nodes: Mapping[str, Mapping[str, Any]]
    edges: Mapping[EdgeType, Mapping[str, Any]]


def one_graph(path: Path, types: Types, config: FolderConfig) -> tuple[dict[str, Any], Schema]:
    """The arrays of one graph by PyG's names, and the columns of its features and edge attributes.

    Nodes are numbered type by type, in the order of `types`. x [N, T + F]: a mark for each of T types of nodes, then the features of each
    type, zeros at nodes of others. edge_attr [E, R + D]: the same for R types of edges. y is unknown at nodes of other types than the one
    that has labels, and no part of the split has any of them. Raises `UserError` naming the type that does not fit.
    """
    nodes = _Nodes.of(path, types)
    values: dict[str, Any] = {"y": None}
    if config.labelled and (labelled := _labelled(path, nodes)) is not None:
        values |= _with_labels(nodes, labelled, config)
    x, features = _features(nodes)
    edges, attributes = _edges(path, types, nodes)
    _say(path, types, nodes)
    merged = _merged(path, edges, len(types.edges), nodes.count, config.undirected)
    values |= {"x": x, "edge_index": merged.ends, "edge_attr": merged.attributes, "edge_weight": merged.weight}
    return values, Schema(features, attributes)


def check_asked(path: Path, asked: str | None, typed: bool, setting: str) -> None:
    """Raise `UserError` where a graph has types and `setting` is not given, or the other way round."""
    if typed and asked is None:
        raise UserError(
            f"{path}: it is a HeteroData, which has several types of nodes and edges. Type {setting} to read it as one graph whose "
            "features and edge attributes mark the types (docs/graph-files.md, Several types). Or drop the types: data.to_homogeneous()."
        )
    if asked is not None and not typed:
        raise UserError(f"{path}: {setting} is for a HeteroData of torch_geometric, in a .pt file. This has one type: leave it out.")


def spelled(edge_type: EdgeType) -> str:
    """As PyG writes it in one word."""
    return "__".join(edge_type)


@dataclass(frozen=True)
class _Nodes:
    """The attributes of each type by its name, in order; nodes of type t are `starts[t]` to `starts[t + 1]` - 1."""

    stores: Mapping[str, Saved]
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, path: Path, types: Types) -> _Nodes:
        stores = {name: Saved(Path(f"{path}: {name}"), values, {}, f"data[{name!r}]") for name, values in types.nodes.items()}
        return cls(stores, np.cumsum([0, *(_count(store) for store in stores.values())]))

    @property
    def count(self) -> int:
        """N, of all types."""
        return int(self.starts[-1])

    def rows(self, name: str) -> slice:
        """Those of one type."""
        at = list(self.stores).index(name)
        return slice(int(self.starts[at]), int(self.starts[at + 1]))

    def spread(self, name: str, values: Numbers, fill: Any) -> Numbers:
        """[N, …] with `values` at the nodes of a type and `fill` at all others."""
        spread = np.full((self.count, *values.shape[1:]), fill, values.dtype)
        spread[self.rows(name)] = values
        return spread


def _count(store: Saved) -> int:
    said = store.values.get("num_nodes")
    for role in ("x", "y", *MASKS):
        if store.has(role):
            return len(store.table(role).values)
    if isinstance(said, int) and said >= 0:
        return said
    raise UserError(f"{store.path}: it has neither x nor y, so the number of its nodes is not known. Type {store.owner}.num_nodes = N.")


# -- labels ----------------------------------------------------------------------------------------------------------------------------


def _labelled(path: Path, nodes: _Nodes) -> str | None:
    """The one type with labels, None where none has any."""
    found = [name for name, store in nodes.stores.items() if store.has("y")]
    if len(found) > 1:
        raise UserError(
            f"{path}: the node types {' and '.join(found)} have y. Expected labels of one type: the others take part without. "
            f"Type {'; '.join(f'del data[{name!r}].y' for name in found[1:])}, or keep another one."
        )
    return found[0] if found else None


def _with_labels(nodes: _Nodes, name: str, config: FolderConfig) -> dict[str, Any]:
    """y and masks of all nodes."""
    store = nodes.stores[name]
    y = read_y(store.table("y"), config).values
    if config.task != REGRESSION and y.ndim == 2 and config.metric in OF_ONE_LABEL and bool((y.sum(axis=1) == 1).all()):
        y = y.argmax(axis=1)
    several = y.ndim == 2 and config.task != REGRESSION
    masks = [key for key in MASKS if store.has(key)]
    if several and len(nodes.stores) > 1 and (not masks or config.make_split is not None or config.folds is not None):
        raise UserError(
            f"{store.path}: y has several labels per node, in which nodes of other types have none: a split that is made would hold them. "
            f"Set {', '.join(f'{store.owner}.{key}' for key in MASKS)}, without dataset.make_split and dataset.folds."
        )
    fill = float("nan") if config.task == REGRESSION else 0 if several else -1
    found: dict[str, Any] = {"y": nodes.spread(name, y, fill)}
    for key in masks:
        mask = store.table(key).values
        if len(mask) != len(y):
            raise UserError(f"{store.path}: {key} has shape {mask.shape} for {len(y)} nodes. Expected true or false per node.")
        found[key] = nodes.spread(name, mask, 0)
    return found


# -- features --------------------------------------------------------------------------------------------------------------------------


def _features(nodes: _Nodes) -> tuple[Any, tuple[Column, ...]]:
    """float32 [N, T + F], as a matrix of scipy where that is smaller by much; and its columns."""
    tables = {name: _numbers(store, "x") for name, store in nodes.stores.items() if store.has("x")}
    columns = [*_marks(list(nodes.stores)), *(_column(f"{name}.x", table) for name, table in tables.items())]
    blocks = _blocks(len(nodes.stores), tables.values())
    width = sum(column.width for column in columns)
    entries = nodes.count + sum(int(np.count_nonzero(table)) for table in tables.values())
    kind = np.repeat(np.arange(len(nodes.stores)), np.diff(nodes.starts))
    if entries * BYTES_PER_ENTRY < nodes.count * width * 2:  # as `compact` decides, before anything so large is made
        rows, places, values = [np.arange(nodes.count)], [kind], [np.ones(nodes.count, np.float32)]
        for (name, table), block in zip(tables.items(), blocks, strict=True):
            row, place = np.nonzero(table)
            rows, places, values = [*rows, row + nodes.rows(name).start], [*places, place + block.start], [*values, table[row, place]]
        stored = np.concatenate(values), (np.concatenate(rows), np.concatenate(places))
        return sp.csr_array(stored, shape=(nodes.count, width)), tuple(columns)
    x = np.zeros((nodes.count, width), np.float32)
    x[np.arange(nodes.count), kind] = 1
    for (name, table), block in zip(tables.items(), blocks, strict=True):
        x[nodes.rows(name), block] = table
    return x, tuple(columns)


def _numbers(store: Saved, role: str) -> Numbers:
    """float32 [rows, columns]."""
    table = store.table(role)
    values = table.values[:, None] if table.values.ndim == 1 else table.values
    if values.ndim != 2:
        raise table.unfit(f"{role} has shape {values.shape}", "Expected [N, F]: one row per node")
    return np.asarray(replace(table, values=values).finite("feature").values, np.float32)


def _marks(names: Sequence[str]) -> list[Column]:
    return [Column(f"{TYPE}{name}", "boolean") for name in names]


def _column(name: str, table: Numbers) -> Column:
    """All columns of a type's numbers as one: `paper.x` of width 3 is paper.x[0] to paper.x[2]."""
    return Column(name, "vector", table.shape[1])


def _blocks(start: int, tables: Any) -> list[slice]:
    """The columns of each of the tables, which stand side by side from `start` on."""
    ends = np.cumsum([start, *(table.shape[1] for table in tables)]).tolist()
    return [slice(*ends_of) for ends_of in itertools.pairwise(ends)]


# -- edges -----------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Edges:
    """ends int64 [2, E]; attributes float32 [E, R + D]; weight [E] or None; `blocks` are the columns of D of each type's attributes."""

    ends: Numbers
    attributes: Numbers
    weight: Numbers | None
    blocks: Mapping[int, slice]


def _edges(path: Path, types: Types, nodes: _Nodes) -> tuple[_Edges, tuple[Column, ...]]:
    """The edges of all types, one type after the other, and the columns of their attributes."""
    if not types.edges:
        raise UserError(f"{path}: it has no type of edges. Expected data['author', 'writes', 'paper'].edge_index, or others.")
    stores = {kind: Saved(Path(f"{path}: {spelled(kind)}"), values, {}, f"data{list(kind)}") for kind, values in types.edges.items()}
    ends = [_ends(store, kind, nodes) for kind, store in stores.items()]
    counts = [found.shape[1] for found in ends]
    tables = {
        at: attribute_rows(store.table("edge_attr"), counts[at]).numpy()
        for at, store in enumerate(stores.values())
        if store.has("edge_attr")
    }
    blocks = dict(zip(tables, _blocks(len(stores), tables.values()), strict=True))
    names = [spelled(kind) for kind in stores]
    columns = [*_marks(names), *(_column(f"{names[at]}.edge_attr", table) for at, table in tables.items())]
    kind_of, starts = np.repeat(np.arange(len(stores)), counts), np.cumsum([0, *counts])
    attributes = np.zeros((int(starts[-1]), sum(column.width for column in columns)), np.float32)
    attributes[np.arange(starts[-1]), kind_of] = 1
    for at, table in tables.items():
        attributes[starts[at] : starts[at + 1], blocks[at]] = table
    weighted = any(store.has("edge_weight") for store in stores.values())
    weight = np.concatenate([_weight(store, count) for store, count in zip(stores.values(), counts, strict=True)]) if weighted else None
    return _Edges(np.concatenate(ends, axis=1), attributes, weight, blocks), tuple(columns)


def _ends(store: Saved, kind: EdgeType, nodes: _Nodes) -> NDArray[np.int64]:
    """int64 [2, E]: rows of the graph."""
    if not store.has("edge_index"):
        instead = "adj_t: leave out the transform ToSparseTensor" if store.has("adj_t") else "no edge_index: expected [2, E]"
        raise UserError(f"{store.path}: it has {instead}.")
    index = store.table("edge_index").values
    if index.ndim != 2 or index.shape[0] != 2:
        raise UserError(f"{store.path}: edge_index has shape {index.shape}. Expected [2, E]: row 0 holds sources, row 1 holds targets.")
    table = Table(store.path, index.T, "edge_index, edge").whole_numbers("node id")
    found = np.empty(index.shape, np.int64)
    for row, name in enumerate((kind[0], kind[2])):
        if name not in nodes.stores:
            raise UserError(f"{store.path}: there are no nodes of type {name!r}. Expected one of {', '.join(nodes.stores)}.")
        rows, ids = nodes.rows(name), table.values[:, row]
        size = rows.stop - rows.start
        if (bad := np.flatnonzero((ids < 0) | (ids >= size))).size:
            raise table.wrong(int(bad[0]), f"it has node {ids[bad[0]]} of {size} of type {name!r}", f"Expected ids from 0 to {size - 1}")
        found[row] = ids.astype(np.int64) + rows.start
    return found


def _weight(store: Saved, count: int) -> Numbers:
    """float [count]; 1 where the type has none."""
    if not store.has("edge_weight"):
        return np.ones(count)
    table = store.table("edge_weight")
    if table.values.size != count:
        raise table.unfit(f"edge_weight has shape {table.values.shape} for {count} edges", "Expected one weight per edge")
    return np.asarray(replace(table, values=table.values.ravel()).finite("weight").values, np.float64)


def _merged(path: Path, edges: _Edges, marks: int, num_nodes: int, undirected: bool) -> _Edges:
    """Edges that join the same nodes as one: it has the marks of all of them, their attributes, the largest weight.

    With `undirected` the direction does not count. Of several edges of one type the attributes are those of the first, and so are
    attributes that all types share.
    """
    source, target = edges.ends
    low, high = (np.minimum(source, target), np.maximum(source, target)) if undirected else (source, target)
    _, first, pair = np.unique(low * num_nodes + high, return_index=True, return_inverse=True)
    if first.size == pair.size:
        return edges
    log.info(
        "%s: %s edge(s) join nodes that an earlier one joins%s: each becomes one edge, with the types of both.",
        path, f"{pair.size - first.size:,}", " in this or the other direction" if undirected else "",
    )  # fmt: skip
    attributes = edges.attributes[first]
    for kind in range(marks):
        rows = np.flatnonzero(edges.attributes[:, kind])[::-1]  # of equal places the last one stays, which is the first in the file
        attributes[pair[rows], kind] = 1
        if kind in edges.blocks:
            attributes[pair[rows], edges.blocks[kind]] = edges.attributes[rows, edges.blocks[kind]]
    weight = None
    if edges.weight is not None:
        weight = edges.weight[first]
        np.maximum.at(weight, pair, edges.weight)
    return replace(edges, ends=edges.ends[:, first], attributes=attributes, weight=weight)


def merged_table(found: EdgeTable, num_nodes: int, undirected: bool) -> EdgeTable:
    """The same for a table of edges with a column of types. Raises `UserError` naming the first edge that does not fit."""
    if not found.marks or found.attributes is None:
        return found
    table, weight = found.edges, found.edges.weight
    table.check(num_nodes)
    weights = None if weight is None else weight.finite("weight").values
    ends = np.stack(table.ends).astype(np.int64)
    edges = _merged(table.table.path, _Edges(ends, found.attributes.numpy(), weights, {}), found.marks, num_nodes, undirected)
    kept = None if weight is None or edges.weight is None else replace(weight, values=edges.weight)
    ends_of = edges.ends[0], edges.ends[1]
    return replace(found, edges=replace(table, ends=ends_of, weight=kept), attributes=torch.from_numpy(edges.attributes))


def _say(path: Path, types: Types, nodes: _Nodes) -> None:
    """Which rows are of which type, which types have no features, and what is not read."""
    ranges = [f"{name} {nodes.rows(name).start:,} to {nodes.rows(name).stop - 1:,}" for name in nodes.stores]
    log.info("%s: one graph of %d types of edges and %d of nodes: %s.", path, len(types.edges), len(ranges), ", ".join(ranges))
    if without := [name for name, store in nodes.stores.items() if not store.has("x")]:
        log.info("%s: without features, so their nodes have only the mark of the type: %s.", path, ", ".join(without))
    left = [f"{name}.{key}" for name, values in types.nodes.items() for key in values if key not in OF_NODES]
    left += [f"{spelled(kind)}.{key}" for kind, values in types.edges.items() for key in values if key not in OF_EDGES]
    if left:
        log.info("%s: left out: %s.", path, ", ".join(left))
