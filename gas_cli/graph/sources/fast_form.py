"""The fast form of a graph: a folder of arrays, and `graph.json` with what arrays do not say. `gas-data convert` writes it.

edges.npy             int32 [2, E]: sources, targets, sorted by target and source, each edge once
edge_weight.npy       float32 [E], where not all weights are 1
edge_attr.npy         float32 [R, D], where there are attributes
edge_attr_row.npy     int64 [E]: the row of edge_attr of each edge, where row e is not edge e
features.npy | .npz   float32 [N, F], or a sparse matrix of scipy
labels.npy            as `Graph.y`
*_mask.npy            bool [N], or [N, S] for S splits
node_ids.npy          int64 [N]; or node_ids_data.npy and node_ids_offsets.npy, as `NodeIds`
graph.json            sizes and names of classes, task, metric, schema
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from gas_cli.config.dataset import FolderConfig
from gas_cli.config.metrics import REGRESSION, check_metric_fits
from gas_cli.errors import UserError
from gas_cli.graph.graph import Features, Graph
from gas_cli.graph.node_ids import NodeIds
from gas_cli.graph.schema import Schema
from gas_cli.graph.sources.folder_edges import Edges, edges_of_table
from gas_cli.graph.sources.folder_splits import PARTS, read_splits
from gas_cli.graph.sources.folder_tables import Tables
from gas_cli.graph.sources.npy_format import map_array
from gas_cli.graph.sources.scipy_matrix import merged, read_matrix
from gas_cli.graph.sources.table import Table, find, need, read_table
from gas_cli.ops.csr import CSR

FACTS = "graph.json"
FORMAT = 1
BLOCK = 1 << 22
"""Entries that are copied at a time: features may be larger than memory."""
IDS = ("numbers", "data", "offsets")
AGAIN = "Write the folder again with gas-data convert"
FILES = (FACTS, "edge_attr_row.npy", "node_ids.npy", "node_ids_data.npy", "node_ids_offsets.npy")
"""Those that no other folder has."""
Count = Callable[[int], object]
"""Receives bytes as they are written."""


# -- write -----------------------------------------------------------------------------------------------------------------------------


def fast_bytes(graph: Graph) -> int:
    """About what `write_fast` writes."""
    x = graph.x
    tensors = [graph.y, graph.edge_attr, *({} if graph.node_ids is None else graph.node_ids.tensors).values()]
    features = x.nbytes if isinstance(x, CSR) else 4 * x.numel()
    return features + 8 * graph.num_edges + sum(t.numel() * t.element_size() for t in tensors if t is not None)


def write_fast(graph: Graph, folder: Path, count: Count = lambda nbytes: None) -> None:
    """Write `graph`, which is in the order of its source (no `x_row`), into the empty `folder`. Raises `OSError`."""
    adj = graph.adj
    _write(folder / "edges.npy", np.dtype(np.int32), (2, adj.nnz), _ends(adj), count)
    if adj.weighted:
        _write_tensor(folder / "edge_weight.npy", adj.value, count)
    if graph.edge_attr is not None:
        _write_tensor(folder / "edge_attr.npy", graph.edge_attr, count)
        rows = adj.attr_row
        if rows is not None and not (len(rows) == len(graph.edge_attr) and torch.equal(rows, torch.arange(len(rows)))):
            _write_tensor(folder / "edge_attr_row.npy", rows, count)
    if isinstance(graph.x, CSR):
        with _Flushed(folder / "features.npz") as file:
            sp.save_npz(file, graph.x.to_scipy(), compressed=False)
        count(graph.x.nbytes)
    else:
        _write_tensor(folder / "features.npy", graph.x, count)
    _write_tensor(folder / "labels.npy", graph.y, count)
    for part in PARTS if graph.splits else ():
        masks = torch.stack([getattr(split, part) for split in graph.splits], dim=1)
        _write_tensor(folder / f"{part}_mask.npy", masks[:, 0] if len(graph.splits) == 1 else masks, count)
    for name, tensor in ({} if graph.node_ids is None else graph.node_ids.tensors).items():
        _write_tensor(folder / f"{_ids_stem(name)}.npy", tensor, count)
    with _Flushed(folder / FACTS) as file:  # last: without it the folder is not in the fast form
        file.write(json.dumps(_facts(graph), indent=1).encode())


def _facts(graph: Graph) -> dict[str, Any]:
    kept = {name: getattr(graph, name) for name in ("num_nodes", "num_classes", "metric", "inductive", "regression")}
    return {"format": FORMAT, **kept, "class_names": list(graph.class_names), "schema": graph.schema.as_json()}


def _ids_stem(name: str) -> str:
    return "node_ids" if name == "numbers" else f"node_ids_{name}"


def _ends(adj: CSR) -> Iterator[NDArray[Any]]:
    """All sources, then all targets."""
    rowptr, col = adj.rowptr.numpy(), adj.col.numpy()
    for start in range(0, adj.nnz, BLOCK):
        yield col[start : start + BLOCK]
    for start in range(0, adj.nnz, BLOCK):
        entries = np.arange(start, min(start + BLOCK, adj.nnz))
        yield (np.searchsorted(rowptr, entries, side="right") - 1).astype(np.int32)


def _write_tensor(path: Path, tensor: Tensor, count: Count) -> None:
    array = tensor.numpy()
    rows = max(1, BLOCK // max(1, array[:1].size))
    blocks = (array[start : start + rows] for start in range(0, len(array), rows))
    _write(path, array.dtype, array.shape, blocks, count)


def _write(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...], blocks: Iterator[NDArray[Any]], count: Count) -> None:
    """By write() and not through a mapping: a full disk is an error then, and no signal."""
    with _Flushed(path) as file:
        np.lib.format.write_array_header_1_0(file, {"descr": dtype.str, "fortran_order": False, "shape": shape})
        for block in blocks:
            file.write(np.ascontiguousarray(block, dtype).data)
            count(block.nbytes)


class _Flushed:
    """A new file, on the disk when the context ends."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb")

    def __enter__(self) -> Any:
        return self._file

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._file:
            if kind is None:
                self._file.flush()
                os.fsync(self._file.fileno())


# -- read ------------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Facts:
    num_nodes: int
    num_classes: int
    metric: str
    inductive: bool
    regression: bool
    class_names: tuple[str, ...]
    schema: Schema


def is_fast(folder: Path) -> bool:
    """Whether the folder is in the fast form."""
    return (folder / FACTS).is_file()


def read_fast(folder: Path, config: FolderConfig) -> Graph:
    """The graph that `write_fast` wrote; `config` may add reverse edges and choose another metric. Raises `UserError`."""
    facts = _read_facts(folder / FACTS)
    tables = Tables(folder, config)
    x = _features(folder, facts.num_nodes)
    adj, edge_attr = _adjacency(folder, tables, facts.num_nodes, config.undirected)
    ids = _node_ids(folder, facts.num_nodes)
    if not config.labelled:
        y = torch.full((facts.num_nodes,), -1)
        unlabelled = Graph(folder.name, x, adj, y, (), 0, "accuracy", adj.symmetric, edge_attr=edge_attr)
        return replace(unlabelled, node_ids=ids, schema=facts.schema)
    _check_settings(folder, config, facts)
    graph = Graph(
        name=folder.name,
        x=x,
        adj=adj,
        y=_labels(folder, facts),
        splits=read_splits(folder, tables, facts.num_nodes),
        num_classes=facts.num_classes,
        metric=facts.metric,
        symmetric=adj.symmetric,
        inductive=facts.inductive,
        edge_attr=edge_attr,
        class_names=facts.class_names,
        node_ids=ids,
        schema=facts.schema,
        regression=facts.regression,
    )
    if config.metric == "auto":
        return graph
    check_metric_fits("dataset.metric", config.metric, graph.task)
    return replace(graph, metric=config.metric)


def _read_facts(path: Path) -> _Facts:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["format"] != FORMAT:
            raise ValueError(f"format {stored['format']!r}, expected {FORMAT}")
        numbers = int(stored["num_nodes"]), int(stored["num_classes"])
        names, schema = tuple(map(str, stored["class_names"])), Schema.from_json(stored["schema"])
        return _Facts(*numbers, str(stored["metric"]), bool(stored["inductive"]), bool(stored["regression"]), names, schema)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        remedy = "Write the folder again with gas-data convert; without this file it is read as arrays without names"
        raise UserError(f"{path}: it is not what gas-data convert writes ({error}). {remedy}.") from error


def _check_settings(folder: Path, config: FolderConfig, facts: _Facts) -> None:
    """What was decided when the folder was written cannot be decided again."""
    again = f"in {folder}, which gas-data convert wrote: convert the source again with this setting"
    if config.task == REGRESSION and not facts.regression:
        raise UserError(f"dataset.task=regression does not fit the classes {again}.")
    if config.num_classes not in (0, facts.num_classes):
        raise UserError(f"dataset.num_classes={config.num_classes} does not fit the {facts.num_classes} classes {again}.")
    if config.split_by is not None:
        raise UserError(f"dataset.split_by={config.split_by} names a column, and there are none {again}; the split is kept.")


def _features(folder: Path, num_nodes: int) -> Features:
    path = need(folder, "features", (".npy", ".npz"))
    if path.suffix == ".npz":
        stored = read_matrix(path)
        _check_rows(path, stored.shape[0], num_nodes)
        return CSR.from_scipy(merged(stored, path))
    table = read_table(path)
    if table.values.ndim != 2:
        raise table.unfit(f"it has shape {table.values.shape}", "Expected [N, F]: one row per node")
    _check_rows(path, table.values.shape[0], num_nodes)
    return torch.from_numpy(np.require(table.finite("feature").values, np.float32, ["C", "W"]))


def _adjacency(folder: Path, tables: Tables, num_nodes: int, undirected: bool) -> tuple[CSR, Tensor | None]:
    """With `edge_attr_row.npy` each edge has the row that it names, else row e is edge e."""
    edges = edges_of_table(tables.read(need(folder, "edges", (".npy",)))) if _num_edges(folder) else _no_edges(folder)
    if (path := find(folder, "edge_weight", (".npy",))) is not None:
        weight = _of_edges(tables.read(path), len(edges))
        edges = replace(edges, weight=weight)
    path = find(folder, "edge_attr", (".npy",))
    if path is None:
        return edges.adjacency(num_nodes, undirected), None
    table = tables.read(path, np.float32)
    attributes = torch.from_numpy(np.require(table.finite("edge attribute").values, np.float32, ["C", "W"]))
    rows = find(folder, "edge_attr_row", (".npy",))
    row = np.arange(len(edges)) if rows is None else _of_edges(read_table(rows), len(edges)).whole_numbers("row").values
    if attributes.dim() != 2 or len(attributes) <= int(row.max(initial=-1)) or int(row.min(initial=0)) < 0:
        raise table.unfit(f"it has shape {tuple(attributes.shape)}, and edges have the rows {row.min()} to {row.max()}", "Convert it again")
    adj = replace(edges, numbered=True).adjacency(num_nodes, undirected)
    assert adj.attr_row is not None
    return replace(adj, attr_row=torch.from_numpy(row.astype(np.int64))[adj.attr_row]), attributes


def _num_edges(folder: Path) -> int:
    return int(np.load(folder / "edges.npy", mmap_mode="r", allow_pickle=False).size) if (folder / "edges.npy").is_file() else 1


def _no_edges(folder: Path) -> Edges:
    none = np.empty(0, np.int32)
    return Edges(Table(folder / "edges.npy", none, "edge"), (none, none), None)


def _of_edges(table: Table, num_edges: int) -> Table:
    if table.values.shape != (num_edges,):
        raise table.unfit(f"it has shape {table.values.shape} for {num_edges} edges", "Expected one number per edge")
    return table


def _labels(folder: Path, facts: _Facts) -> Tensor:
    table = read_table(need(folder, "labels", (".npy",)))
    _check_rows(table.path, table.values.shape[0], facts.num_nodes)
    several = table.values.ndim == 2 and not facts.regression
    kind = "f" if facts.regression or several else "iu"
    if table.values.dtype.kind not in kind or table.values.ndim > 2:
        raise table.unfit(f"it has shape {table.values.shape} and type {table.values.dtype}", AGAIN)
    width = facts.num_classes if several or (facts.regression and table.values.ndim == 2) else None
    if width is not None and table.values.shape[1] != width:
        raise table.unfit(f"it has {table.values.shape[1]} columns where {FACTS} says {width}", AGAIN)
    return torch.from_numpy(table.values.astype(np.float32 if kind == "f" else np.int64))


def _node_ids(folder: Path, num_nodes: int) -> NodeIds | None:
    found = {name: path for name in IDS if (path := folder / f"{_ids_stem(name)}.npy").is_file()}
    if not found:
        return None
    try:
        ids = NodeIds(**_checked_ids({name: map_array(path) for name, path in found.items()}))
        _check_rows(next(iter(found.values())), len(ids), num_nodes)
        return ids.check()
    except (ValueError, OSError) as error:  # `Repeated` is a ValueError
        names = ", ".join(path.name for path in found.values())
        raise UserError(f"{folder}: {names}: these are not the ids of its nodes ({error}). {AGAIN}.") from error


def _checked_ids(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Tensor]:
    """As tensors, once nothing outside of them will be read. Raises `ValueError`."""
    types = {"numbers": np.int64, "data": np.uint8, "offsets": np.int64}
    if set(arrays) not in ({"numbers"}, {"data", "offsets"}) or any(a.ndim != 1 or a.dtype != types[name] for name, a in arrays.items()):
        raise ValueError("their files or types are others")
    if "offsets" in arrays:
        offsets = arrays["offsets"]
        ends = offsets.size and int(offsets[0]) == 0 and int(offsets[-1]) == len(arrays["data"])
        if not ends or (np.diff(offsets) < 0).any():
            raise ValueError("the offsets do not fit the texts")
    return {name: torch.from_numpy(np.require(array, types[name], ["C", "W"])) for name, array in arrays.items()}


def _check_rows(path: Path, rows: int, num_nodes: int) -> None:
    if rows != num_nodes:
        raise UserError(f"{path}: it has {rows} rows where {FACTS} says {num_nodes} nodes. Write the folder again with gas-data convert.")
