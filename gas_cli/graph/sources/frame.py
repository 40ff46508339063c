"""Named columns of a table that a user has: text with any separator, compressed or not, or parquet. pyarrow reads both.

`read_frame` reads a whole table, `stream` one that may be larger than memory, in batches of rows.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gas_cli.errors import UserError
from gas_cli.graph.sources.table import PACKED_TEXT, Table, text_form

if TYPE_CHECKING:
    import pyarrow as pa

MISSING = frozenset({"", "#n/a", "#na", "-nan", "<na>", "n/a", "na", "nan", "none", "null"})
"""What pandas reads as NaN, in lower case: a missing number, not text."""
SEPARATORS = (",", "\t", ";", "|")
MOST_HEADER = 1 << 22
"""Characters of a header at most: more is no table."""
BLOCK = 1 << 20
"""Bytes of text parsed at a time. With 4 MiB, reading 10 million edges held 3.3 times the adjacency at its peak, with 1 MiB 2.5."""
BATCH_ROWS = 1 << 18
WIDER = {"null": "int64", "int64": "double", "double": "string", "bool": "string"}
"""The type to try next, where a cell further down does not fit the one that the first rows suggested; text for all others."""


@dataclass(frozen=True)
class Layout:
    """How a text table is written: what separates cells and decimals, and the cells of its first line."""

    separator: str
    decimal: str
    first: tuple[str, ...]
    second: tuple[str, ...]


@dataclass(frozen=True)
class Frame:
    """The columns of the file `path` by name; `skipped` lines stand before the first row."""

    path: Path
    table: pa.Table
    skipped: int = 0

    @property
    def names(self) -> list[str]:
        names: list[str] = self.table.column_names
        return names

    def __len__(self) -> int:
        rows: int = self.table.num_rows
        return rows

    def column(self, name: str) -> pa.ChunkedArray:
        """The column; categories of pandas as the values that they stand for."""
        import pyarrow as pa

        column = self.table.column(name)
        return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column

    def texts(self, name: str) -> pa.ChunkedArray:
        """The column as text, missing cells as null."""
        import pyarrow as pa

        column = self.column(name)
        return column if pa.types.is_large_string(column.type) else column.cast(pa.large_string())

    def values(self, name: str, values: NDArray[Any]) -> Table:
        """`values` of the column as a table whose errors name the column and the line."""
        return Table(self.path, values, f"column {name!r}, row", self.skipped)

    def unfit(self, reason: str, remedy: str) -> UserError:
        return Table(self.path, np.empty(0)).unfit(reason, remedy)


def layout_of(path: Path) -> Layout:
    """The layout of a text table, from its first two lines. Raises `UserError` for a file that is empty or no text."""
    try:
        with open_text(path) as file:
            head = [line for line in (file.readline(MOST_HEADER), file.readline(MOST_HEADER)) if line.strip()]
    except (OSError, EOFError, UnicodeDecodeError, ValueError) as error:
        raise UserError(f"{path}: it cannot be read as text ({error}). Save it as UTF-8 text, or as parquet.") from error
    if not head:
        raise UserError(f"{path}: it is empty. Expected a header and one line per row.")
    separator = separator_of(path, head)
    lines = [tuple(cell.strip() for cell in cells) for cells in csv.reader(head, delimiter=separator)]
    second = lines[1] if len(lines) > 1 else ()
    return Layout(separator, decimal_of(separator, second), lines[0], second)


@contextmanager
def open_text(path: Path) -> Iterator[io.TextIOWrapper]:
    """The text in `path`, unpacked while it is read, without an order mark."""
    with _opened(path) as raw, io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as file:
        yield file


def _opened(path: Path) -> Any:
    import pyarrow as pa

    return pa.input_stream(str(path), compression="detect")


def separator_of(path: Path, head: Sequence[str]) -> str:
    """The one that stands equally often in both lines; quoted cells may hold others."""
    counts = {s: [len(cells) for cells in csv.reader(head, delimiter=s)] for s in SEPARATORS}
    several = [s for s, cells in counts.items() if min(cells) > 1]
    even = [s for s in several if len(set(counts[s])) == 1]
    found = even or several
    if len(found) == 2 and found[0] == "," and all(_with_comma(cell) for cell in next(csv.reader(head[-1:], delimiter=found[1]))):
        found = found[1:]
    if len(found) > 1:
        shown = " and ".join(map(repr, found))
        raise UserError(f"{path}: its cells may be separated by {shown}. Expected one of them: put cells that hold the other into quotes.")
    return found[0] if found else ","


def decimal_of(separator: str, second: Sequence[str]) -> str:
    """A comma, where cells are separated otherwise and one of the first row is a number with one."""
    comma = separator != "," and any(_with_comma(cell) for cell in second)
    return "," if comma else "."


def _with_comma(cell: str) -> bool:
    """Whether it is a number with a decimal comma."""
    return cell.count(",") == 1 and cell.strip().replace(",", "").lstrip("+-").isdigit()


def read_frame(path: Path, types: Mapping[str, str] = {}, only: Sequence[str] | None = None, layout: Layout | None = None) -> Frame:
    """All columns, or `only` some, of a text table with a header, a parquet file, or a folder of parquet files; `layout` of a text table,
    where it is known.

    `types` are arrow types by column; those of other text columns follow from their cells, text where nothing else fits all of them.
    Raises `UserError` for a file that cannot be read, repeated names, and rows of other lengths.
    """
    if text_form(path):
        return _read_text(path, layout or layout_of(path), dict(types), only)
    table = _parquet(path).to_table(columns=None if only is None else list(only))
    frame = Frame(path, table)
    _check_names(path, frame.names)
    return frame


def _parquet(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.dataset as ds

    try:
        return ds.dataset(str(path), format="parquet")
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UserError(f"{path}: it is not a readable parquet file ({_line(error)}). Write it again, or save it as .csv.") from error


def _check_names(path: Path, names: Sequence[str]) -> None:
    repeated = sorted({name for name in names if list(names).count(name) > 1})
    if repeated:
        raise UserError(f"{path}: several columns are called {repeated[0]!r}. Expected a name of its own for each: rename them.")


def _read_text(path: Path, layout: Layout, types: dict[str, str], only: Sequence[str] | None) -> Frame:
    import pyarrow as pa
    import pyarrow.csv as pc

    names = _header(path, layout)
    while True:
        options = _options(layout, names, types, only, newlines=True)
        try:
            with _opened(path) as stream:
                table = pc.read_csv(stream, **options)
            break
        except pa.ArrowInvalid as error:
            _widen(path, layout, names, types, error)
        except (pa.ArrowException, OSError, EOFError) as error:
            raise _unreadable(path, error) from error
    if table.num_rows == 0:
        raise UserError(f"{path}: it has no rows below its header. Expected at least one.")
    return Frame(path, table, skipped=1)


def _header(path: Path, layout: Layout) -> list[str]:
    """The names of the columns; R leaves out the one of its row names."""
    names = list(layout.first)
    if len(layout.second) == len(names) + 1:
        names = ["", *names]
    _check_names(path, names)
    return names


def _options(layout: Layout, names: Sequence[str], types: Mapping[str, str], only: Sequence[str] | None, newlines: bool) -> dict[str, Any]:
    import pyarrow as pa
    import pyarrow.csv as pc

    spellings = sorted({s for word in MISSING for s in (word, word.upper(), word.title())} | {"NaN", "#N/A", "-NaN", "<NA>"})
    convert = pc.ConvertOptions(
        column_types={name: pa.type_for_alias(kind) for name, kind in types.items()},
        null_values=spellings,
        strings_can_be_null=True,
        true_values=["true", "True", "TRUE"],
        false_values=["false", "False", "FALSE"],
        include_columns=list(only) if only is not None else None,
        decimal_point=layout.decimal,
    )
    return {
        "read_options": pc.ReadOptions(column_names=list(names), skip_rows=1, block_size=BLOCK),
        "parse_options": pc.ParseOptions(delimiter=layout.separator, newlines_in_values=newlines),
        "convert_options": convert,
    }


def _widen(path: Path, layout: Layout, names: Sequence[str], types: dict[str, str], error: Exception) -> None:
    """Put the next wider type of the column that `error` names into `types`. Raises `UserError` where that is not the reason."""
    words = str(error)
    before, _, after = words.partition("CSV conversion error to ")
    kind = after.partition(":")[0].strip()
    if not before.startswith("In CSV column #") or kind in ("string", "large_string"):
        raise _explained(path, layout, len(names), words) from error
    name = names[int(before.removeprefix("In CSV column #").partition(":")[0])]
    types[name] = WIDER.get(kind, "string")


def _explained(path: Path, layout: Layout, width: int, words: str) -> UserError:
    """Reads again, slowly, to name the first line that does not fit."""
    try:
        with open_text(path) as file:
            reader = csv.reader(file, delimiter=layout.separator)
            for row, cells in enumerate(reader, -1):
                if row >= 0 and cells and len(cells) != width:
                    found = f"it has {len(cells)} cells where the header has {width}"
                    return Table(path, np.empty(0), skipped=1).wrong(row, found, "Expected the same number in every line")
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        return _unreadable(path, error)
    return _unreadable(path, ValueError(words))


def _unreadable(path: Path, error: Exception) -> UserError:
    packed = " It may be damaged: pack it again." if path.suffix in PACKED_TEXT else ""
    return UserError(f"{path}: it cannot be read as a table ({_line(error)}).{packed} Save it as UTF-8 text, or as parquet.")


def _line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")


def column_names(path: Path, layout: Layout | None = None) -> list[str]:
    """The names of the columns, before any row is read; `layout` of a text table, where it is known."""
    if text_form(path):
        return _header(path, layout or layout_of(path))
    names: list[str] = _parquet(path).schema.names
    return names


def stream(path: Path, types: Mapping[str, str], layout: Layout | None, header: bool = True) -> Iterator[pa.RecordBatch]:
    """The columns `types`, of these arrow types, in batches of rows; without a `header` the columns of a text table are called `0`, `1`, ….

    layout  of a text table; None for parquet

    Raises `UserError` for a cell of another type, naming column and line.
    """
    if layout is not None:
        yield from _stream_text(path, layout, dict(types), header)
        return
    import pyarrow as pa

    for batch in _parquet(path).to_batches(columns=list(types), batch_size=BATCH_ROWS):
        try:
            yield pa.record_batch([batch.column(name).cast(pa.type_for_alias(kind)) for name, kind in types.items()], names=list(types))
        except pa.ArrowInvalid as error:
            raise UserError(f"{path}: a cell does not fit ({_line(error)}). Expected {_wanted(types)}.") from error


def _wanted(types: Mapping[str, str]) -> str:
    return ", ".join(f"{WORDS.get(kind, kind)} in {name!r}" for name, kind in types.items())


WORDS = {"int64": "whole numbers", "double": "numbers", "string": "text", "large_string": "text"}


def _stream_text(path: Path, layout: Layout, types: dict[str, str], header: bool) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    import pyarrow.csv as pc

    names = _header(path, layout) if header else [str(number) for number in range(len(layout.first))]
    options = _options(layout, names, types, list(types), newlines=False)
    options["read_options"].skip_rows = int(header)
    try:
        with _opened(path) as stream:
            yield from pc.open_csv(stream, **options)
    except pa.ArrowInvalid as error:
        raise _misfit(path, layout, names, types, header, str(error)) from error
    except (pa.ArrowException, OSError, EOFError) as error:
        raise _unreadable(path, error) from error


def _misfit(path: Path, layout: Layout, names: Sequence[str], types: Mapping[str, str], header: bool, words: str) -> UserError:
    """Reads again, slowly, to name the first cell that is not of its type."""
    fits = {"int64": int, "double": float}
    with open_text(path) as file:
        for row, cells in enumerate(csv.reader(file, delimiter=layout.separator), -int(header)):
            if row < 0 or not cells:
                continue
            table = Table(path, np.empty(0), skipped=int(header))
            if len(cells) != len(names):
                found = f"it has {len(cells)} cells where the first line has {len(names)}"
                return table.wrong(row, found, "Expected the same number in every line")
            for name, cell in zip(names, cells, strict=True):
                if name not in types or types[name] not in fits:
                    continue
                try:
                    fits[types[name]](cell.strip().replace(layout.decimal, "."))
                except ValueError:
                    reason = f"{cell!r} in column {name!r} is not one of the {WORDS[types[name]]}"
                    reason = reason if cell.strip() else f"column {name!r} is empty"
                    return table.wrong(row, reason, f"Expected {_wanted({name: types[name]})}")
    return _unreadable(path, ValueError(words))
