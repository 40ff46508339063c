"""A list of ids that users give to nodes: those of a part of a split, one per line, row or entry."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gas_cli.errors import UserError
from gas_cli.graph.node_ids import NodeIds
from gas_cli.graph.sources.frame import column_names, open_text, read_frame
from gas_cli.graph.sources.names import NODE_COLUMNS, plain
from gas_cli.graph.sources.table import Table, read_table, text_form


def rows_of_list(path: Path, ids: NodeIds) -> Table:
    """The rows of the nodes that the file names. Raises `UserError` for an id that no node has."""
    if not path.stat().st_size:
        return Table(path, np.empty(0))
    if path.suffix == ".npy":
        numbers = read_table(path).whole_numbers("node id").values.reshape(-1)
        return _checked(Table(path, numbers), ids.rows_of(numbers.tolist()), numbers.tolist())
    if text_form(path):
        return _of_lines(path, ids)
    names = column_names(path)
    if len(names) != 1:
        raise Table(path, np.empty(0)).unfit(f"it has {len(names)} columns", "Expected one: the ids")
    known = read_frame(path).texts(names[0]).to_pylist()
    return _checked(Table(path, np.empty(0)), ids.rows_of(known), known)


def _of_lines(path: Path, ids: NodeIds) -> Table:
    """A first line that is no id and names a column is a header."""
    try:
        with open_text(path) as file:
            lines = [line.strip().strip('"') for line in file.read().splitlines()]
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: it cannot be read as text ({error}). Expected one id per line, as UTF-8.") from error
    rows = ids.rows_of(lines)
    header = int(len(lines) > 0 and rows[0] < 0 and plain(lines[0]) in NODE_COLUMNS["id"])
    return _checked(Table(path, np.empty(0), skipped=header), rows[header:], lines[header:])


def _checked(table: Table, rows: NDArray[np.int32], given: Sequence[object]) -> Table:
    if (bad := np.flatnonzero(rows < 0)).size:
        row = int(bad[0])
        raise table.wrong(row, f"{given[row]!r} is the id of no node", "Add the node, or remove the line")
    return Table(table.path, rows, table.rows, table.skipped)
