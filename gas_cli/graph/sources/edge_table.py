"""A table with one row per edge: ends by the ids of the nodes, weight and attributes, read in a stream."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gas_cli.config.dataset import FolderConfig
from gas_cli.errors import UserError
from gas_cli.graph.node_ids import NodeIds
from gas_cli.graph.schema import Column
from gas_cli.graph.sources.columns import Numbers, numbers_of
from gas_cli.graph.sources.folder_edges import Edges
from gas_cli.graph.sources.frame import Layout, column_names, layout_of, read_frame, stream
from gas_cli.graph.sources.names import EDGE_COLUMNS, INDEX_NAMES, known_columns
from gas_cli.graph.sources.node_table import found_roles, meaning_of_types, table_of
from gas_cli.graph.sources.table import Table, text_form
from gas_cli.graph.sources.text_table import is_number

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

ENDS = ("source", "target")
EXACT_IN_DOUBLE = 2.0**53


@dataclass(frozen=True)
class EdgeTable:
    """The edges, their attributes float32 [E, D] (None without), what the columns of these are, and how many of them mark a type."""

    edges: Edges
    attributes: Tensor | None
    columns: tuple[Column, ...] = ()
    marks: int = 0


def read_edges(path: Path, config: FolderConfig, ids: NodeIds | None) -> EdgeTable:
    """Raises `UserError` for columns that may mean two things, and for the first end that is no id of a node.

    ids  of the nodes; None where a node's id is its row
    """
    layout = layout_of(path) if text_form(path) else None
    header = layout is None or _has_header(path, layout.first, config)
    names = column_names(path, layout) if layout is None or header else [str(number) for number in range(len(layout.first))]
    roles = _roles(path, names, config) if header else _by_position(path, names)
    others = [name for name in names if header and name not in (*roles.values(), *config.columns.ignore) and not _is_index(name)]
    ends = _Ends(path, layout, roles, ids, skipped=int(header and layout is not None))
    both, weight = ends.read(header)
    if not header and weight is not None and config.index == "auto" and _counts(both[0]):
        reason = "without a header, its first column counts the rows, so it may be an index or the source of a chain of edges"
        raise Table(path, np.empty(0)).unfit(reason, "Name the columns in a first line, or type dataset.index=false if it is the source")
    types = roles.get("relation")
    attributes = _attributes(path, layout, others, types, config) if others or types is not None else None
    marks = attributes.columns[0] if attributes is not None and types is not None else None
    meanings = {role: _meaning(role, ids) if marks is None or role != "relation" else meaning_of_types(marks) for role in roles}
    rows = [*((role, name, meanings[role]) for role, name in roles.items()), *(("attribute", name, "") for name in others)]
    log.info("%s: %s edges.\n%s", path, f"{len(both[0]):,}", table_of(rows))
    table = Table(path, np.empty(0), "edge", ends.skipped)
    weights = None if weight is None else Table(path, weight, "edge", ends.skipped)
    edges = Edges(table, both, weights, numbered=attributes is not None)
    if attributes is None:
        return EdgeTable(edges, None)
    return EdgeTable(edges, torch.from_numpy(attributes.values), attributes.columns, 0 if marks is None else marks.width)


def _attributes(path: Path, layout: Layout | None, names: list[str], types: str | None, config: FolderConfig) -> Numbers:
    texts = [name for name in (types, *config.words) if name is not None]
    only = names if types is None else [types, *names]
    return numbers_of(read_frame(path, dict.fromkeys(texts, "string"), only, layout), names, config, "edge attributes", types)


def _counts(rows: NDArray[Any]) -> bool:
    return len(rows) > 1 and bool(np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows), dtype=rows.dtype)))


def _is_index(name: str) -> bool:
    return name in INDEX_NAMES


def _meaning(role: str, ids: NodeIds | None) -> str:
    if role == "weight":
        return "numbers"
    return "rows of the nodes, from 0" if ids is None else f"ids of the nodes ({'text' if ids.kind == 'text' else 'whole numbers'})"


def _has_header(path: Path, first: tuple[str, ...], config: FolderConfig) -> bool:
    """Whether the `first` line of a text table names the columns: a name that is recognised or asked for says so, numbers say the contrary.

    Raises `UserError` for words that may be either.
    """
    asked = [name for name in (config.columns.source, config.columns.target, config.columns.weight) if name is not None]
    known = {role: EDGE_COLUMNS[role] for role in ENDS}
    if any(name in first for name in asked) or found_roles(path, list(first), known, {}).keys() >= {"source", "target"}:
        return True
    if config.header != "auto":
        return config.header == "true"
    if all(is_number(cell) for cell in first) and list(first) != [str(k) for k in range(len(first))]:  # 0,1 may be pandas' header
        return False
    raise UserError(
        f"{path}, row 0 (line 1): {','.join(first)[:60]!r} may be a header or an edge. If it is a header type dataset.columns.source=NAME "
        "dataset.columns.target=NAME; if it is an edge, dataset.header=false."
    )


def _roles(path: Path, names: list[str], config: FolderConfig) -> dict[str, str]:
    here = [name for name in names if name not in config.columns.ignore]
    roles = found_roles(path, here, known_columns(EDGE_COLUMNS, config.types is not None), vars(config.columns))
    if missing := [role for role in ENDS if role not in roles]:
        shown = ", ".join(map(repr, here[:12]))
        role = missing[0]
        raise UserError(f"{path}: no column is recognised as the {role} of the edges. Type dataset.columns.{role}=NAME, one of {shown}.")
    return roles


def _by_position(path: Path, names: list[str]) -> dict[str, str]:
    if len(names) not in (2, 3):
        found = f"it has {len(names)} columns and no header"
        raise Table(path, np.empty(0)).unfit(found, "Expected source, target and possibly weight, or a header that names the columns")
    return dict(zip(("source", "target", "weight"), names, strict=False))


@dataclass
class _Ends:
    """Reads ends and weights. Batches of rows are parsed by pyarrow and looked up in threads; a batch that is done is stored away."""

    path: Path
    layout: Layout | None
    roles: Mapping[str, str]
    ids: NodeIds | None
    skipped: int

    def read(self, header: bool) -> tuple[tuple[NDArray[Any], NDArray[Any]], NDArray[np.float32] | None]:
        """Sources and targets, int32 [E] each, and the weights."""
        types = {self.roles[role]: self._type_of_ends(header) for role in ENDS} | (
            {self.roles["weight"]: "double"} if "weight" in self.roles else {}
        )
        source, target, weight = _Growing(np.int32), _Growing(np.int32), _Growing(np.float32)
        if self.ids is not None:
            self.ids.check()  # makes the hash table before threads need it
        done = 0
        for batch, rows in _in_threads(stream(self.path, types, self.layout, header), self._rows):
            for found, store, role in zip(rows, (source, target), ENDS, strict=True):
                if (bad := np.flatnonzero(found < 0)).size:
                    raise self._unknown(done + int(bad[0]), role, batch.column(self.roles[role])[int(bad[0])].as_py())
                store.append(found)
            if "weight" in self.roles:
                weight.append(_weights(batch.column(self.roles["weight"])))
            done += len(batch)
        if not done:
            raise UserError(f"{self.path}: it has no edges. Expected at least one row.")
        return (source.values, target.values), weight.values if "weight" in self.roles else None

    def _type_of_ends(self, header: bool) -> str:
        if self.ids is not None and self.ids.kind == "text":
            return "string"
        if self.layout is None:
            return "int64"
        first = self.layout.second if header else self.layout.first
        return "double" if any(cell.endswith(".0") for cell in first) else "int64"  # pandas writes 1.0 once a column had a gap

    def _rows(self, batch: pa.RecordBatch) -> list[NDArray[Any]]:
        return [self._rows_of(batch.column(self.roles[role])) for role in ENDS]

    def _rows_of(self, column: Any) -> NDArray[Any]:
        if self.ids is not None and self.ids.kind == "text":
            return self.ids.rows_of_texts(column)
        keys = column.fill_null(-1).to_numpy(zero_copy_only=False)
        whole = keys.dtype.kind == "i" or ((keys == np.rint(keys)) & (np.abs(keys) < EXACT_IN_DOUBLE))
        keys = keys if keys.dtype.kind == "i" else np.where(whole, keys, -1).astype(np.int64)
        if self.ids is not None:
            rows = self.ids.rows_of_numbers(keys)
            if column.null_count:
                rows[column.is_null().to_numpy(zero_copy_only=False)] = -1
            return np.where(whole, rows, -1).astype(np.int32, copy=False)
        return np.where((keys < 0) | (keys > np.iinfo(np.int32).max), -1, keys).astype(np.int32)

    def _unknown(self, edge: int, role: str, found: Any) -> UserError:
        table = Table(self.path, np.empty(0), "edge", self.skipped)
        if found is None:
            return table.wrong(edge, f"its {role} is empty", "Expected the id of a node in every row")
        if self.ids is None:
            remedy = "Expected rows of the nodes, from 0. If these are ids, name the column of the nodes with them: dataset.columns.id=NAME"
            return table.wrong(edge, f"its {role} {found!r} is no row of the nodes", remedy)
        return table.wrong(edge, f"its {role} {found!r} is the id of no node", "Add the node, or remove the edge")


def _weights(column: Any) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        values: NDArray[np.float32] = column.to_numpy(zero_copy_only=False).astype(np.float32)
    return values


def _in_threads(batches: Iterator[pa.RecordBatch], work: Callable[[Any], Any]) -> Iterator[tuple[Any, Any]]:
    """Each batch with `work(batch)`, in order; as many are under way as there are cores, and no more are held."""
    workers = max(1, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[tuple[Any, Future[Any]]] = deque()
        for batch in batches:
            waiting.append((batch, pool.submit(work, batch)))
            if len(waiting) > workers:
                first, future = waiting.popleft()
                yield first, future.result()
        for first, future in waiting:
            yield first, future.result()


class _Growing:
    """An array that grows at its end, in place where the system can."""

    def __init__(self, dtype: Any) -> None:
        self._values, self._used = np.empty(1 << 16, dtype), 0

    def append(self, more: NDArray[Any]) -> None:
        needed = self._used + len(more)
        if needed > len(self._values):
            self._values.resize(max(needed, len(self._values) * 5 // 4), refcheck=False)
        self._values[self._used : needed] = more
        self._used = needed

    @property
    def values(self) -> NDArray[Any]:
        self._values.resize(self._used, refcheck=False)
        return self._values
