"""The edges of a user's graph, with or without weights and attributes."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from gas_cli.errors import UserError
from gas_cli.graph.sources.folder_tables import Tables
from gas_cli.graph.sources.scipy_matrix import merged, read_matrix
from gas_cli.graph.sources.table import BEGINS_AT_1, MATRIX, Table, find, ids_from_0, need
from gas_cli.graph.topology import build_adjacency
from gas_cli.ops.csr import CSR

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Edges:
    """`ends` are sources and targets, int [E] each; `weight` [E] or None; `numbered` says whether the adjacency is to lead to rows of
    attributes. The tables are those that they come from."""

    table: Table
    ends: tuple[NDArray[Any], NDArray[Any]]
    weight: Table | None
    numbered: bool = False

    def __len__(self) -> int:
        return len(self.ends[0])

    def adjacency(self, num_nodes: int, undirected: bool) -> CSR:
        """Raises `UserError` naming the first edge with an id out of range or a weight that is not finite."""
        self.check(num_nodes)
        weight = None if self.weight is None else self.weight.finite("weight").values
        adj = build_adjacency(self.ends, num_nodes, weight, symmetrise=undirected, number_edges=self.numbered)
        self._log_dropped(adj.nnz, undirected)
        return adj

    def check(self, num_nodes: int) -> None:
        """Raise `UserError` naming the first edge with an id out of range."""
        least, most = (min(int(end.min(initial=0)) for end in self.ends), max(int(end.max(initial=0)) for end in self.ends))
        if len(self) and (least < 0 or most >= num_nodes):
            edge = min(int(bad[0]) for end in self.ends if (bad := np.flatnonzero((end < 0) | (end >= num_nodes))).size)
            source, target = (int(end[edge]) for end in self.ends)
            one_based = min(int(end.min()) for end in self.ends) == 1 and most == num_nodes
            raise self.table.wrong(
                edge,
                f"it joins nodes {source} and {target} of {num_nodes}",
                f"Expected ids from 0 to {num_nodes - 1}, the rows of the labels{BEGINS_AT_1 if one_based else ''}",
                ids_from_0(self.table, 2) if one_based else "",
            )

    def _log_dropped(self, kept: int, undirected: bool) -> None:
        loops = int(np.count_nonzero(self.ends[0] == self.ends[1]))
        if loops:
            log.info("%s: dropped %s self-loop(s); models that need self-loops add them.", self.table.path, f"{loops:,}")
        repeated = len(self) - loops - (kept // 2 if undirected else kept)
        if repeated:
            again = "listed before, in this or the other direction" if undirected else "listed before"
            largest = "" if self.weight is None else "; the largest weight is kept"
            log.info("%s: dropped %s edge(s) that were %s%s.", self.table.path, f"{repeated:,}", again, largest)


def read_adjacency(folder: Path, tables: Tables, num_nodes: int, undirected: bool) -> tuple[CSR, Tensor | None]:
    """From `edges.*`, whose rows are source and target, and `edge_weight.*` where there is one; the attributes of `edge_attr.*`, if any,
    are float32 [E, D] in the order of the edges, to whose rows `CSR.attr_row` leads."""
    path = need(folder, "edges", MATRIX)
    edges = edges_of_matrix(path, read_matrix(path), num_nodes) if path.suffix == ".npz" else edges_of_table(tables.read(path))
    attributes = _read_attributes(folder, tables, edges)
    edges = replace(_with_weights(folder, tables, edges), numbered=attributes is not None)
    return edges.adjacency(num_nodes, undirected), attributes


def _read_attributes(folder: Path, tables: Tables, edges: Edges) -> Tensor | None:
    path = find(folder, "edge_attr")
    if path is None:
        return None
    if edges.table.path.suffix == ".npz":
        raise UserError(
            f"{path}: {edges.table.path.name} is a matrix and does not keep the order of edges. Write the edges as .npy, .csv or .parquet."
        )
    return attribute_rows(tables.read(path, np.float32), len(edges))


def attribute_rows(table: Table, num_edges: int) -> Tensor:
    """float32 [E, D] of a table [E, D] or [E]; a float32 file stays mapped. Raises `UserError` naming the first row that does not fit."""
    values = table.values[:, None] if table.values.ndim == 1 else table.values
    if values.ndim != 2:
        raise table.unfit(f"edge attributes have shape {values.shape}", "Expected [E, D]: one row per edge")
    if values.shape[0] != num_edges:
        where = f"row {min(values.shape[0], num_edges)} is in only one of them"
        raise table.unfit(
            f"there are {values.shape[0]} rows of edge attributes for {num_edges} edges ({where})", "Expected one per edge, in their order"
        )
    replace(table, values=values).finite("edge attribute")
    return torch.from_numpy(np.require(values, np.float32, ["C", "W"]))


def _with_weights(folder: Path, tables: Tables, edges: Edges) -> Edges:
    weights = find(folder, "edge_weight")
    if weights is None:
        return edges
    path = edges.table.path
    if edges.weight is not None:
        raise UserError(f"{weights}: {path.name} has weights too. Remove one of the two.")
    table = tables.read(weights)
    flat = table.values.reshape(-1) if table.values.ndim == 2 and table.values.shape[1] == 1 else table.values
    if flat.shape != (len(edges),):
        raise table.unfit(f"it has shape {flat.shape} for {len(edges)} edges", "Expected one weight per edge, in the order of the edges")
    return replace(edges, weight=replace(table, values=flat))


def edges_of_table(table: Table) -> Edges:
    values = table.values
    if table.path.suffix == ".npy":
        if values.ndim == 2 and values.shape[1] == 2 and values.shape[0] != 2:
            log.info("%s: it has shape [%s, 2], so row e is edge e: source, target.", table.path, f"{values.shape[0]:,}")
            values = values.T
        elif values.shape == (2, 2):
            log.info("%s: it has shape [2, 2]; row 0 is read as the sources, row 1 as the targets.", table.path)
        if values.ndim != 2 or values.shape[0] != 2:
            raise table.unfit(f"it has shape {values.shape} where [2, E] or [E, 2] was expected", _remedy_for_shape(values.shape))
        if values.dtype.kind == "b":
            raise table.unfit(
                "it holds true and false where node ids were expected", "Row 0 holds sources, row 1 holds targets, as integers"
            )
        named = Table(table.path, values.T, "edge")
        return Edges(named, _two(named.whole_numbers("node id").values), None)
    if values.shape[1] not in (2, 3):
        raise table.unfit(
            f"it has {values.shape[1]} columns", "Expected source, target and possibly weight; attributes belong in edge_attr"
        )
    ends = _two(replace(table, values=values[:, :2]).whole_numbers("node id").values)
    return Edges(table, ends, replace(table, values=values[:, 2]) if values.shape[1] == 3 else None)


def _two(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The columns of [E, 2]."""
    return values[:, 0], values[:, 1]


def _remedy_for_shape(shape: tuple[int, ...]) -> str:
    if len(shape) == 2 and shape[0] == shape[1]:
        return "If it is an adjacency matrix: scipy.sparse.save_npz('edges.npz', scipy.sparse.csr_array(matrix)), and remove edges.npy"
    return "Row 0 holds sources, row 1 holds targets"


def edges_of_matrix(path: Path, stored: sp.sparray, num_nodes: int, name: str = "it") -> Edges:
    """Rows are sources; entries are weights, where they are not all 1; a stored zero is no edge. `path` and `name` are where the matrix
    is from."""
    if stored.shape != (num_nodes, num_nodes):
        table = Table(path, stored.data)
        raise table.unfit(
            f"{name} joins {stored.shape[0]} by {stored.shape[1]} nodes where there are {num_nodes} labels", "Expected [N, N]"
        )
    log.info("%s: a scipy matrix in %s format; rows are sources, columns are targets.", path, stored.format.upper())
    matrix = merged(stored, path)
    entries = matrix.nnz
    matrix.eliminate_zeros()
    if zeros := entries - matrix.nnz:
        log.info("%s: ignored %s stored zero(s), which are not edges.", path, f"{zeros:,}")
    links = matrix.tocoo()
    table = Table(path, links.data, "entry")
    return Edges(table, links.coords, None if (links.data == 1).all() else table)
