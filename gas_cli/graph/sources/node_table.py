"""A table with one row per node and a header: ids, labels, split and features, each column found by its name."""

from __future__ import annotations

import difflib
import itertools
import logging
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from gas_cli.config.dataset import ColumnsConfig, FolderConfig
from gas_cli.config.metrics import REGRESSION
from gas_cli.errors import UserError
from gas_cli.graph.grouping import Grouping
from gas_cli.graph.node_ids import NodeIds, Repeated
from gas_cli.graph.schema import Column
from gas_cli.graph.sources.columns import Numbers, codes_of, grouping_of, numbers_of
from gas_cli.graph.sources.frame import Frame, column_names, read_frame
from gas_cli.graph.sources.names import INDEX_NAMES, NODE_COLUMNS, PARTS, columns_of, known_columns
from gas_cli.graph.sources.table import Table

log = logging.getLogger(__name__)

MASKS = ("train", "val", "test")
NAMED = frozenset(one.name for one in fields(ColumnsConfig))
"""The roles for which a setting names a column."""
UNKNOWN_TEXTS = frozenset({"", "-1"})
"""What a label is where it is unknown, besides an empty cell and NaN; compared as text."""
SHOWN_CLASSES = 6


@dataclass(frozen=True)
class NodeTable:
    """What the columns gave; None for what no column gives.

    labels  int64 [N] or float [N] (`class_names` are () then, and `labels.read_labels` decides), or codes into `class_names`, -1 unknown
    parts   bool [N, 1] of train, val and test
    x       float32 [N, F]
    types   whether a column said the type of each node
    """

    frame: Frame
    ids: NodeIds | None
    labels: Table | None
    class_names: tuple[str, ...]
    parts: Mapping[str, Table] | None
    features: Numbers | None
    groups: Grouping | None = None
    types: bool = False

    def __len__(self) -> int:
        return len(self.frame)


def read_nodes(path: Path, config: FolderConfig) -> NodeTable:
    """Raises `UserError` for columns that may mean two things, that mean nothing, or that hold something else than their name says."""
    roles = roles_of(path, config)
    types = {roles["id"]: "string"} if "id" in roles else {}  # so that 007 stays 007, and 20 digits stay exact
    types |= {name: "string" for name in (roles.get("split"), roles.get("type"), *config.words) if name is not None}
    by, names = config.split_by, column_names(path)
    if by is not None and by not in names:
        near = difflib.get_close_matches(by, names, n=3, cutoff=0.5)
        raise UserError(f"{path}: it has no column {by!r} (dataset.split_by). Expected one of {_listed(near or names)}.")
    frame = without_index(read_frame(path, types, [name for name in names if name == by or name not in config.columns.ignore]), roles)
    ids = _ids(frame, roles["id"]) if "id" in roles else None
    labels, classes = _labels(frame, roles["label"], config.task) if "label" in roles and config.labelled else (None, ())
    parts = _parts(frame, roles) if config.labelled else None
    others = [name for name in frame.names if name not in roles.values() and name != by]
    features = numbers_of(frame, others, config, "features", roles.get("type")) if others or "type" in roles else None
    groups = None if by is None else grouping_of(frame, by)
    nodes = NodeTable(frame, ids, labels, classes, parts, features, groups, types="type" in roles)
    _say(nodes, roles)
    return nodes


def without_index(frame: Frame, roles: Mapping[str, str]) -> Frame:
    """Without the column that pandas or R add to number the rows. Raises `UserError` where it has no name and does not number them."""
    for name in [name for name in frame.names if name in INDEX_NAMES and name not in roles.values()]:
        column = frame.column(name).to_numpy()
        if not (np.array_equal(column, np.arange(len(frame))) or np.array_equal(column, np.arange(1, len(frame) + 1))):
            remedy = "Name it, such as id, or delete it"
            raise frame.unfit("its first column has no name and does not number the rows", remedy)
        log.info("%s: the column %r numbers the rows and is left out.", frame.path, name)
        frame = replace(frame, table=frame.table.drop_columns([name]))
    return frame


def roles_of(path: Path, config: FolderConfig) -> dict[str, str]:
    """The column of each role that the table has. Raises `UserError` where several may be meant, or the named one is missing."""
    names, columns = column_names(path), config.columns
    for name in columns.ignore:
        if name not in names and config.labelled:
            log.warning("%s has no column %r, which dataset.columns.ignore names.", path.name, name)
    asked = dict(vars(columns))
    if not config.labelled:  # these columns need not be there; where they are, they are no features
        asked |= {role: asked[role] if asked[role] in names else None for role in ("label", "split")}
    known = known_columns(NODE_COLUMNS, config.types is not None)
    return found_roles(path, [name for name in names if name not in columns.ignore], known, asked)


def found_roles(path: Path, names: list[str], known: Mapping[str, tuple[str, ...]], asked: Mapping[str, Any]) -> dict[str, str]:
    """The column of each role, by `asked` or by its name. Raises `UserError`."""
    roles: dict[str, str] = {}
    for role in known:
        if (name := asked.get(role)) is not None:
            if name not in names:
                raise UserError(f"{path}: it has no column {name!r} (dataset.columns.{role}). Expected one of {_listed(names)}.")
            roles[role] = name
            continue
        found = [name for name in columns_of(role, names, known) if name not in roles.values() and name not in asked.values()]
        if len(found) > 1:
            raise UserError(f"{path}: {_listed(found)} may each be the {role}. {_choice(role, found)}.")
        if found:
            roles[role] = found[0]
    return roles


def _choice(role: str, found: list[str]) -> str:
    """What to type where several columns may have the role."""
    if role not in NAMED:  # a mask
        return f"Rename one to {role}, or leave the others out: dataset.columns.ignore=[{','.join(found[1:])}]"
    choices = " or ".join(f"dataset.columns.{role}={name}" for name in found[:4])
    return f"Type {choices}; dataset.columns.ignore=[NAME] leaves a column out"


def _listed(names: list[str]) -> str:
    return ", ".join(map(repr, names[:12])) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


# -- ids -------------------------------------------------------------------------------------------------------------------------------


def _ids(frame: Frame, name: str) -> NodeIds:
    """Whole numbers where every id is written as one, else texts. Raises `UserError` for a missing id, and for one that is repeated."""
    texts = frame.texts(name)
    if texts.null_count:
        row = int(np.flatnonzero(texts.is_null().to_numpy())[0])
        raise frame.values(name, np.empty(0)).wrong(row, "the id is empty", "Expected an id for every node")
    try:
        return _typed_ids(texts).check()
    except Repeated as error:
        again = texts[error.row].as_py()
        raise frame.values(name, np.empty(0)).wrong(
            error.row, f"the id {again!r} is also that of row {error.other}", "Expected each id once: remove one of the rows"
        ) from None


def _typed_ids(texts: Any) -> NodeIds:
    import pyarrow as pa

    try:
        numbers = texts.cast(pa.int64())
    except pa.ArrowInvalid:
        return NodeIds.of_texts(texts)
    exact = numbers.cast(texts.type).equals(texts)
    return NodeIds.of_numbers(numbers.to_numpy()) if exact else NodeIds.of_texts(texts)


# -- labels ----------------------------------------------------------------------------------------------------------------------------


def _labels(frame: Frame, name: str, task: str) -> tuple[Table, tuple[str, ...]]:
    """Numbers as they are, or codes and the names of classes, in alphabetical order. An empty cell among whole numbers is -1, or nan among
    targets of a regression, which have no words. Raises `UserError`."""
    import pyarrow as pa
    import pyarrow.compute as cp

    column = frame.column(name)
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_null(column.type):
        if column.null_count and pa.types.is_integer(column.type) and task != REGRESSION:
            column = cp.fill_null(column, -1)
        return frame.values(name, column.to_numpy()), ()
    if pa.types.is_temporal(column.type):
        raise frame.unfit(f"column {name!r}, read as the label, holds dates", "Name another one: dataset.columns.label=NAME")
    texts = cp.utf8_trim_whitespace(frame.texts(name))
    if task == REGRESSION:
        remedy = "Expected a column of numbers with dataset.task=regression. Name another one: dataset.columns.label=NAME"
        raise frame.unfit(f"column {name!r}, read as the target, holds words", remedy)
    words = tuple(sorted(word for word in cp.unique(texts).to_pylist() if word is not None and word not in UNKNOWN_TEXTS))
    return frame.values(name, codes_of(texts, words)), words


# -- split -----------------------------------------------------------------------------------------------------------------------------


def _parts(frame: Frame, roles: Mapping[str, str]) -> dict[str, Table] | None:
    masks = {part: roles[f"{part}_mask"] for part in MASKS if f"{part}_mask" in roles}
    if "split" in roles and masks:
        others = _listed(list(masks.values()))
        raise frame.unfit(f"{roles['split']!r} and {others} both say the split", "Leave one out: dataset.columns.ignore=[NAME]")
    if "split" in roles:
        return _said_parts(frame, roles["split"])
    if not masks:
        return None
    if missing := [part for part in MASKS if part not in masks]:
        raise frame.unfit(f"it has no mask of {missing[0]}", f"Expected a column {missing[0]}_mask, or a column split")
    return {part: _mask(frame, name) for part, name in masks.items()}


def _said_parts(frame: Frame, name: str) -> dict[str, Table]:
    import pyarrow.compute as cp

    texts = cp.utf8_lower(cp.utf8_trim_whitespace(frame.texts(name)))
    words = [word for word in cp.unique(texts).to_pylist() if word]
    if other := [word for word in words if word not in PARTS]:
        row = cp.index(texts, other[0]).as_py()
        raise frame.values(name, np.empty(0)).wrong(
            row, f"{other[0]!r} is no part of a split", "Expected train, val, test, or an empty cell for none of them"
        )
    codes = codes_of(texts, words)
    meant = np.array([*(MASKS.index(PARTS[word]) for word in words), -1])[codes]
    return {part: frame.values(name, (meant == number)[:, None]) for number, part in enumerate(MASKS)}


def _mask(frame: Frame, name: str) -> Table:
    values = frame.column(name).to_numpy()
    bad = [row for row, value in enumerate(values) if value not in (0, 1)] if values.dtype.kind != "b" else []
    if bad:
        found = f"{values[bad[0]]!r} is neither 0 nor 1, neither true nor false"
        raise frame.values(name, values).wrong(bad[0], found, f"Expected a mask. If it is none: dataset.columns.ignore=[{name}]")
    return frame.values(name, values.astype(bool)[:, None])


# -- what is said ----------------------------------------------------------------------------------------------------------------------


def _say(nodes: NodeTable, roles: Mapping[str, str]) -> None:
    """What each column was taken for, in one table."""
    rows = [(role, name, _meaning(nodes, role)) for role, name in roles.items()]
    if nodes.features is not None:
        rows += _feature_rows(nodes.features.columns[int(nodes.types) :])
    if nodes.groups is not None and nodes.groups.column not in roles.values():
        kind = "in order" if nodes.groups.ordered else "text"
        rows.append(("split_by", nodes.groups.column, f"{len(nodes.groups.values):,} values, {kind}; no feature"))
    if nodes.ids is None:
        rows.insert(0, ("id", "-", "no column: a node's id is its row, from 0"))
    log.info("%s: %s nodes.\n%s", nodes.frame.path, f"{len(nodes):,}", table_of(rows))


def table_of(rows: list[tuple[str, str, str]]) -> str:
    """Role, column and meaning, below each other."""
    widths = [max(len(row[k]) for row in rows) for k in (0, 1)]
    return "\n".join(f"  {role:<{widths[0]}}  {name:<{widths[1]}}  {meaning}" for role, name, meaning in rows)


def _meaning(nodes: NodeTable, role: str) -> str:
    if role == "id":
        return "whole numbers" if nodes.ids is not None and nodes.ids.kind == "integer" else "text"
    if role == "type":
        assert nodes.features is not None
        return meaning_of_types(nodes.features.columns[0])
    if (role == "label" and nodes.labels is None) or (role != "label" and nodes.parts is None):
        return "left out: predictions do not need it"
    if role == "label":
        names = nodes.class_names
        shown = ", ".join(names if len(names) <= SHOWN_CLASSES else (*names[: SHOWN_CLASSES - 1], "…"))
        return f"{len(names)} classes: {shown}" if names else "numbers"
    assert nodes.parts is not None
    counts = {part: int(table.values.sum()) for part, table in nodes.parts.items()}
    return ", ".join(f"{part} {count:,}" for part, count in counts.items()) if role == "split" else f"{counts[role[:-5]]:,} nodes"


def meaning_of_types(column: Column) -> str:
    """How a column of types is read."""
    names = column.categories
    shown = names if len(names) <= SHOWN_CLASSES else (*names[: SHOWN_CLASSES - 1], "…")
    return f"{len(names)} types, one column of 0 and 1 each: {', '.join(shown)}"


def _feature_rows(columns: tuple[Column, ...]) -> list[tuple[str, str, str]]:
    """Columns of numbers, or of booleans, that follow each other are one row."""
    meanings = {"number": "numbers", "boolean": "true and false, as 1 and 0"}
    rows: list[tuple[str, str, str]] = []
    for kind, group in itertools.groupby(columns, lambda column: column.kind if column.kind in meanings else column.name):
        run = list(group)
        if kind not in meanings:
            rows.append(("feature", run[0].name, f"{run[0].kind}: {run[0].width} columns"))
        elif len(run) == 1:
            rows.append(("feature", run[0].name, meanings[kind]))
        else:
            rows.append(("features", f"{run[0].name} … {run[-1].name}", f"{len(run):,} columns: {meanings[kind]}"))
    return rows
