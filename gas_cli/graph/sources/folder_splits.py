"""The splits of a user's graph: masks, or lists of node ids."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from gas_cli.errors import UserError
from gas_cli.graph.graph import Split
from gas_cli.graph.node_ids import NodeIds
from gas_cli.graph.sources.folder_tables import Tables
from gas_cli.graph.sources.id_list import rows_of_list
from gas_cli.graph.sources.table import BEGINS_AT_1, SUFFIXES, Table, find, ids_from_0

PARTS = ("train", "val", "test")


def read_splits(folder: Path, tables: Tables, num_nodes: int, ids: NodeIds | None = None) -> tuple[Split, ...]:
    """From `<part>_mask.*` [N] or [N, S] for S splits, or the ids in `split/<part>.*`, which are those of the nodes where these have any;
    all three parts are needed, or none: a graph without a split.

    Raises `UserError` naming the file and row of an id that is out of range or listed twice, and of a mask's entry that is
    neither 0 nor 1; and the first node in two parts.
    """
    masks = {part: read_mask(tables.read(path), num_nodes) for part in PARTS if (path := _find(folder, part, "{}_mask"))}
    lists = {part: _list(tables, path, num_nodes, ids) for part in PARTS if (path := _find(folder / "split", part, "{}"))}
    if masks and lists:
        raise UserError(f"{folder} has both masks and lists of ids in split/. Remove one of the two.")
    found = masks or lists
    if not found:
        return ()
    if missing := [part for part in PARTS if part not in found]:
        names = " or ".join(f"{pattern}{'|'.join(SUFFIXES)}" for pattern in (f"{missing[0]}_mask", f"split/{missing[0]}"))
        raise UserError(
            f"{folder} has no split for {', '.join(missing)}: expected {names}. Masks are 0 or 1 per node, split/ holds node ids."
        )
    return to_splits([found[part] for part in PARTS])


def _list(tables: Tables, path: Path, num_nodes: int, ids: NodeIds | None) -> Table:
    return _read_ids(_id_table(tables, path) if ids is None else rows_of_list(path, ids), num_nodes)


def _find(folder: Path, part: str, pattern: str) -> Path | None:
    found = find(folder, pattern.format(part))
    return found or (find(folder, pattern.format("valid")) if part == "val" else None)


def read_mask(table: Table, num_nodes: int) -> Table:
    """bool [N, S]."""
    values = table.values[:, None] if table.values.ndim == 1 else table.values
    if values.ndim != 2 or values.shape[0] != num_nodes:
        raise table.unfit(
            f"it has shape {table.values.shape} for {num_nodes} nodes",
            "Expected one row per node; ids belong in split/",
            _move_ids(table),
        )
    bad = (values != 0) & (values != 1)
    if bad.any():
        row, column = np.argwhere(bad)[0].tolist()
        raise table.wrong(row, f"{values[row, column]} is neither 0 nor 1", "Expected a mask; ids belong in split/", _move_ids(table))
    return replace(table, values=values.astype(bool))


def node_mask(ids: Table, num_nodes: int) -> NDArray[np.bool_]:
    """bool [N], true at the ids [n]. Raises `UserError` naming the row of an id that is out of range or listed twice."""
    mask: NDArray[np.bool_] = _read_ids(ids, num_nodes).values[:, 0]
    return mask


def _move_ids(table: Table) -> str:
    """What to type where files of masks hold ids."""
    if table.path.suffix not in SUFFIXES:  # no table in a file of its own
        return "mask = torch.zeros(N, dtype=torch.bool); mask[ids] = True"
    suffix, folder = table.path.suffix, shlex.quote(str(table.path.parent))
    return f'(cd {folder} && mkdir -p split && for mask in *_mask{suffix}; do mv "$mask" "split/${{mask%_mask{suffix}}}{suffix}"; done)'


def _id_table(tables: Tables, path: Path) -> Table:
    """An empty file is a part without nodes."""
    return tables.read(path) if path.stat().st_size else Table(path, np.empty(0))


def _read_ids(table: Table, num_nodes: int) -> Table:
    """bool [N, 1] from ids [n]."""
    if table.values.ndim == 2 and table.values.shape[1] != 1:
        raise table.unfit(f"it has {table.values.shape[1]} columns", "Expected one node id per row")
    ids = table.whole_numbers("node id").values.reshape(-1)
    if (bad := np.flatnonzero((ids < 0) | (ids >= num_nodes))).size:
        one_based = int(ids.min()) >= 1 and int(ids.max()) == num_nodes
        expected = f"Expected ids from 0 to {num_nodes - 1}{BEGINS_AT_1 if one_based else ''}"
        raise table.wrong(int(bad[0]), f"node id {ids[bad[0]]} is out of range", expected, ids_from_0(table, 1) if one_based else "")
    first = np.full(num_nodes, ids.size)
    np.minimum.at(first, ids, np.arange(ids.size))
    if (again := np.flatnonzero(first[ids] < np.arange(ids.size))).size:
        row = int(again[0])
        raise table.wrong(row, f"node {ids[row]} is also listed in row {first[ids[row]]}", "Remove one of them")
    mask = np.zeros((num_nodes, 1), bool)
    mask[ids] = True
    return replace(table, values=mask)


def to_splits(parts: list[Table]) -> tuple[Split, ...]:
    """Masks [N, S] of train, val and test as S splits; a part with one mask serves all of them."""
    count = max(part.values.shape[1] for part in parts)
    for part in parts:
        if part.values.shape[1] not in (1, count):
            raise part.unfit(
                f"it has {part.values.shape[1]} masks where another part has {count}", "Expected the same number, or one for all"
            )
    train, val, test = (np.broadcast_to(part.values, (part.values.shape[0], count)) for part in parts)
    for one, other, first, second in ((train, val, 0, 1), (train, test, 0, 2), (val, test, 1, 2)):
        _check_disjoint(one & other, parts[first], parts[second])
    return tuple(Split(*(torch.from_numpy(part[:, s].copy()) for part in (train, val, test))) for s in range(count))


def _check_disjoint(both: NDArray[np.bool_], one: Table, other: Table) -> None:
    if both.any():
        node = int(np.argwhere(both)[0][0])
        names = f"{one.path} and {other.path.name}"
        if one.path == other.path:  # two tensors of one file or program: `rows` begins with their names
            names = f"{one.path}: {one.rows.partition(',')[0]} and {other.rows.partition(',')[0]}"
        raise UserError(f"{names}: node {node} is in both. Expected each node in at most one part: remove it from one.")
