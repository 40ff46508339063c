"""A text table of a user without known columns: its numbers, its first line, and the ways in which header and index can be read."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gas_cli.errors import UserError
from gas_cli.graph.sources.frame import MISSING, decimal_of, open_text, separator_of
from gas_cli.graph.sources.labels import named_classes
from gas_cli.graph.sources.names import NODE_COLUMNS, plain
from gas_cli.graph.sources.table import PACKED_TEXT, ROWS_AT_A_TIME, SPACES_TO_COMMAS, Table, in_place

INDEX_NAMES = frozenset({"", "unnamed: 0", "id", "idx", "index", "node", "node_id", "nodeid", "row"})
"""Names of a column that numbers rows; pandas leaves the name empty."""


@dataclass(frozen=True)
class Reading:
    """How a text table is read: whether its first line is a header, and whether its first column is an index."""

    header: bool = False
    index: bool = False


@dataclass(frozen=True)
class TextTable:
    """`values` [R, K] of the lines after `names`, which is the first line where that is text and else None; `first` are the first line's
    cells in any case."""

    path: Path
    values: NDArray[Any]
    first: tuple[str, ...]
    names: tuple[str, ...] | None
    separator: str = ","

    def readings(self, ordered: bool, columns: int) -> list[Reading]:
        """How this table can be read on its own, given that it needs `columns` beside an index. `ordered` says that row i belongs to node
        i, so that an index has to count the rows. Raises `UserError` for a named index that does not."""
        if self.names is not None:
            return [Reading(True, index) for index in self._named_index(ordered, columns)]
        found = [Reading()]
        if self.counts_columns and len(self.values) > 1:
            found.append(Reading(header=True))
        if self.values.shape[1] > columns and len(self.values) > 1 and self._counts_rows(0) and self.first[0] == "0":
            found.append(Reading(index=True))
        return found

    def _named_index(self, ordered: bool, columns: int) -> list[bool]:
        assert self.names is not None
        if self.values.shape[1] <= columns:
            if self.names[0] == "":
                raise Table(self.path, self.values).wrong(0, "its first cell is empty", "Expected a number, or a name in every cell")
            return [False]
        counts = self._counts_rows(0) or self._counts_rows(1)
        if self.names[0].lower() not in INDEX_NAMES:
            return [False, True] if self._counts_rows(0) else [False]
        if ordered and not counts:
            column = self.values[:, 0]
            row = int(np.flatnonzero(column != np.arange(len(column)))[0])
            named = f"named {self.names[0]!r}" if self.names[0] else "without a name"
            raise self.table(Reading(header=True)).wrong(
                row,
                f"the first column, {named}, is {column[row]:g}, so it does not number the rows",
                "Expected row i to be node i: sort the rows by this column, number them from 0, or delete the column if it means nothing",
            )
        return [True]

    @property
    def counts_columns(self) -> bool:
        """Whether the first line is 0,1,2…, as pandas numbers columns without names."""
        return self.first == tuple(map(str, range(len(self.first))))

    def _counts_rows(self, start: int) -> bool:
        return bool(np.array_equal(self.values[:, 0], np.arange(start, start + len(self.values), dtype=self.values.dtype)))

    def take(self, reading: Reading) -> NDArray[Any]:
        """The numbers that are data."""
        return self.values[int(reading.header and self.names is None) :, int(reading.index) :]

    def table(self, reading: Reading) -> Table:
        """The table that this reading gives, whose errors count lines as editors do."""
        return Table(self.path, self.take(reading), skipped=int(reading.header), dropped=int(reading.index), separator=self.separator)


def read_text(path: Path, dtype: type[np.generic] = np.float64) -> TextTable:
    """The numbers in a text table. Raises `UserError` for a file that cannot be read, is empty, or holds anything but numbers below
    its first line."""
    form, first, second = _first_lines(path)
    if first is None:
        raise UserError(f"{path}: it is empty. Expected one line per row, numbers separated by commas.")
    named = _is_header(first, second)
    values = _numbers(path, form, dtype, skip=int(named))
    if values.shape[0] == 0:
        raise UserError(f"{path}: it has no rows. Expected at least one below its first line.")
    names = tuple(first) if named else None
    if names is not None and values.shape[1] == len(names) + 1:  # R leaves the index out of its header
        names = ("", *names)
    if names is not None and values.shape[1] != len(names):
        raise UserError(f"{path}: its header has {len(names)} cells where the rows have {values.shape[1]}. Expected a name per column.")
    return TextTable(path, values, tuple(first), names, form["sep"])


def read_words(path: Path, header: bool) -> tuple[Table, tuple[str, ...]] | None:
    """Labels that are words: codes [N], -1 for an empty cell, and the classes in alphabetical order; None where the file holds anything
    but one column of words, possibly after one that numbers the rows.

    header  whether the first line is one in any case; else it is, where it names a label
    """
    import pandas as pd

    form, first, _ = _first_lines(path)
    header = header or (first is not None and plain(first[-1]) in NODE_COLUMNS["label"])
    try:
        with open_text(path) as file:
            cells = pd.read_csv(file, **form, header=None, dtype=str, keep_default_na=False, skip_blank_lines=False, skiprows=int(header))
    except (OSError, ValueError):  # pandas' errors are ValueErrors
        return None
    rows = cells.shape[0]
    if cells.shape[1] == 2 and cells[0].tolist() not in ([str(k) for k in range(rows)], [str(k + 1) for k in range(rows)]):
        return None
    words = ["" if cell.lower() in MISSING or cell == "-1" else cell for cell in cells.iloc[:, -1].str.strip()]
    if cells.shape[1] > 2 or any(is_number(word) for word in words if word):
        return None
    codes, names = named_classes(np.array(words, str))
    return Table(path, codes, skipped=int(header), dropped=cells.shape[1] - 1), names


Form = dict[str, str]
"""What separates cells and decimals, as pandas calls it."""


def _first_lines(path: Path) -> tuple[Form, list[str] | None, list[str]]:
    try:
        with open_text(path) as file:
            head = [line for line in (file.readline(), file.readline()) if line]
            _check_spaces(path, head)
            separator = separator_of(path, head) if head else ","
            lines = [[cell.strip() for cell in cells] for cells in csv.reader(head, delimiter=separator)]
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(path, error) from error
    form = {"sep": separator, "decimal": decimal_of(separator, lines[-1] if lines else ())}
    return form, (lines[0] if lines else None), (lines[1] if len(lines) > 1 else [])


def _unreadable(path: Path, error: Exception) -> UserError:
    return UserError(f"{path}: it cannot be read as text ({error}). Save it as UTF-8 with commas, or use .npy.")


def _check_spaces(path: Path, head: list[str]) -> None:
    """Raises `UserError` with the command that turns spaces into commas."""
    last = head[-1].strip() if head else ""
    if any(mark in last for mark in ",;|\t\"'") or len(last.split()) < 2:
        return
    found = f"{last[:40]!r} has spaces between its cells"
    command = in_place(SPACES_TO_COMMAS, path) if path.suffix not in PACKED_TEXT else ""
    raise Table(path, np.empty(0)).wrong(len(head) - 1, found, "Expected commas", command)


def _is_header(first: list[str], second: list[str]) -> bool:
    """Whether the first line is text above numbers: all its cells, or the rest counts the columns after the name of an index."""
    text = [not is_number(cell) and cell.lower() not in MISSING for cell in first]
    if first[:1] and first[0].lower() in INDEX_NAMES and len(first) > 1:
        counts = first[1:] == [str(number) for number in range(len(first) - 1)]
        return counts or all(text[1:])
    below = [not is_number(cell) and cell.lower() not in MISSING for cell in second]
    return bool(text) and all(text) and not (below and all(below))


def is_number(cell: str) -> bool:
    """Whether a cell is one for every program that reads tables."""
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell  # Python's 1_000 is text elsewhere


def _numbers(path: Path, form: Form, dtype: type[np.generic], skip: int) -> NDArray[Any]:
    import pandas as pd

    try:
        with open_text(path) as file:
            values: NDArray[Any] = pd.read_csv(file, **form, header=None, dtype=dtype, skip_blank_lines=False, skiprows=skip).to_numpy()
    except pd.errors.EmptyDataError:
        return np.empty((0, 0))
    except pd.errors.ParserError as error:
        reason = str(error).partition("error: ")[2].strip() or str(error)  # "Expected 2 fields in line 5, saw 3"
        raise UserError(
            f"{path}: {reason}. Expected the same number of cells, separated by {_NAMES[form['sep']]}, in every line."
        ) from error
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error
    except ValueError as error:
        raise _non_numeric(path, form, skip) from error
    return values


_NAMES = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "|"}


def _non_numeric(path: Path, form: Form, skip: int) -> UserError:
    """Read again, as text, to find the first cell that is no number."""
    import pandas as pd

    first = 0
    with open_text(path) as file:
        for piece in pd.read_csv(
            file, sep=form["sep"], header=None, dtype=str, skip_blank_lines=False, skiprows=skip, chunksize=ROWS_AT_A_TIME
        ):
            numbers = piece.replace(",", ".", regex=True) if form["decimal"] == "," else piece
            bad = (numbers.apply(pd.to_numeric, errors="coerce").isna() & piece.notna()).to_numpy()
            if bad.any():
                row, column = np.argwhere(bad)[0].tolist()
                table = Table(path, bad, skipped=skip)
                found = f"{piece.iat[row, column]!r} in column {column} is not a number"
                return table.wrong(first + row, found, *_remedy(path, piece.iloc[:, column].dropna().tolist()))
            first += len(piece)
    return UserError(f"{path}: a number in it is too large. Expected numbers of at most 64 bits.")


def _remedy(path: Path, cells: list[str]) -> tuple[str, str]:
    """What to do about text; for ids such as user7, whose text is the same in every cell, with the command that deletes it."""
    heads = {cell.rstrip("0123456789") for cell in cells}
    head = next(iter(heads))
    if len(heads) == 1 and head.replace("_", "").replace("-", "").isalnum() and all(cell != head for cell in cells):
        expected = (
            f"Expected node ids, which are rows of the labels from 0. If {cells[0]!r} is row {cells[0][len(head) :]}, delete the text"
        )
        return expected, in_place(f"sed 's/{head}//g'", path) if path.suffix not in PACKED_TEXT else ""
    return "Expected numbers only: encode or remove the text; a node's id is its row in the labels, from 0", ""
