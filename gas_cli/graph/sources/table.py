"""Tables that users write, with errors that say file, row, reason and remedy."""

from __future__ import annotations

import difflib
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gas_cli.errors import UserError
from gas_cli.graph.sources.float32 import say_rounded
from gas_cli.graph.sources.npy_format import first_line, map_array

SUFFIXES = (".npy", ".csv", ".parquet")
MATRIX = (*SUFFIXES, ".npz")
"""Suffixes of what may also be a matrix of scipy."""

TEXT = (".csv", ".tsv", ".tab", ".txt")
PACKED_TEXT = (".gz", ".bz2", ".zst")
"""What a text table may be packed with; it is unpacked while it is read."""

TEXT_FORMS = tuple(text + packed for text in TEXT for packed in ("", *PACKED_TEXT))

ROWS_AT_A_TIME = 1 << 16

NPY_REMEDY = (
    "Write it again with numpy.save as a plain array of numbers, such as array.astype(float); "
    "a matrix of scipy with scipy.sparse.save_npz, as .npz"
)


def text_form(path: Path) -> bool:
    """Whether the file is a text table by its name, packed or not."""
    return (Path(path.stem) if path.suffix in PACKED_TEXT else path).suffix in TEXT


@dataclass(frozen=True)
class Table:
    """`values` [rows] or [rows, columns] from `path`; `rows` says how its rows are called, `skipped` counts lines before the first row
    and `dropped` columns before the first column; `separator` stands between the cells of a
    text."""

    path: Path
    values: NDArray[Any]
    rows: str = "row"
    skipped: int = 0
    dropped: int = 0
    separator: str = ","

    def wrong(self, row: int, reason: str, remedy: str, command: str = "") -> UserError:
        """The error for one row, counted from 0; in a text file with its line, as editors count. `command` is what to type in a shell."""
        line = f" (line {row + 1 + self.skipped})" if text_form(self.path) else ""
        return UserError(f"{self.path}, {self.rows} {row}{line}: {reason}. {remedy}.{_typed(command)}")

    def unfit(self, reason: str, remedy: str, command: str = "") -> UserError:
        """The error for the table as a whole."""
        return UserError(f"{self.path}: {reason}. {remedy}.{_typed(command)}")

    def whole_numbers(self, what: str) -> Table:
        """The same table as integers: of the type they have, else int32 where they fit. Raises `UserError` naming the first row with
        something else."""
        if self.values.dtype.kind in "iu":
            return self
        least, most = 0.0, 0.0
        exact = 2.0 ** (np.finfo(self.values.dtype).nmant + 1) if self.values.dtype.kind == "f" else np.inf
        for start in range(0, self.values.shape[0], ROWS_AT_A_TIME):  # in blocks, for there may be many edges
            block = self.values[start : start + ROWS_AT_A_TIME]
            bad = ~(np.isfinite(block) & (block == np.rint(block)))
            if bad.any():
                row = start + int(np.argwhere(bad)[0][0])
                raise self.wrong(row, f"{what} {_first(block, bad)} is not an integer", "Expected a whole number in every cell")
            if (rounded := np.abs(block) >= exact).any():
                row = start + int(np.argwhere(rounded)[0][0])
                reason = f"{_first(block, rounded):.0f} is too large for a {what} in {self.values.dtype}, which rounds such numbers"
                raise self.wrong(row, reason, f"Expected less than {exact:,.0f}, or integers: an array of int64 in .npy")
            least, most = min(least, float(block.min(initial=0))), max(most, float(block.max(initial=0)))
        fits = np.iinfo(np.int32).min <= least and most <= np.iinfo(np.int32).max
        return replace(self, values=self.values.astype(np.int32 if fits else np.int64))

    def finite(self, what: str) -> Table:
        """The same table, once whole numbers that float32 rounds are reported. Raises `UserError` naming the first row with an empty cell,
        NaN, an infinite number, or one beyond float32."""
        if self.values.dtype.kind == "f":
            for start in range(0, self.values.shape[0], ROWS_AT_A_TIME):  # in blocks: it may be larger than memory
                block = self.values[start : start + ROWS_AT_A_TIME]
                bad = ~np.isfinite(block)
                if bad.any():
                    row = start + int(np.argwhere(bad)[0][0])
                    raise self.wrong(
                        row,
                        f"{'an' if what[0] in 'aeiou' else 'a'} {what} is empty or {_first(block, bad)}",
                        "Expected a finite number in every cell: fill or drop it",
                    )
                self._check_float32(start, block, what)
        say_rounded(self.path, self.values, what, self.rows)
        return self

    def _check_float32(self, start: int, block: NDArray[Any], what: str) -> None:
        most = np.finfo(np.float32).max
        if block.dtype.itemsize > 4 and (bad := np.abs(block) > most).any():
            row = start + int(np.argwhere(bad)[0][0])
            raise self.wrong(
                row, f"the {what} {_first(block, bad):g} is beyond float32", f"Expected numbers up to {most:.2g}: rescale them"
            )


def _typed(command: str) -> str:
    return f" Type: {command}" if command else ""  # without a full stop, so that it can be copied


def in_place(command: str, path: Path) -> str:
    """What to type to send `path` through a command."""
    quoted, temporary = shlex.quote(str(path)), shlex.quote(f"{path}.new")
    return f"{command} < {quoted} > {temporary} && mv {temporary} {quoted}"


BEGINS_AT_1 = "; these seem to begin at 1, so subtract 1 from the ids in every file"


def ids_from_0(table: Table, columns: int) -> str:
    """What to type where the ids in the first `columns` of a table begin at 1; empty for forms without a command."""
    if table.path.suffix in TEXT:
        ids = "; ".join(f"${table.dropped + column + 1}-=1" for column in range(columns))
        mark = "," if table.separator == "," else repr(table.separator)
        rows = f"NR>{table.skipped} " if table.skipped else ""
        return in_place(f"awk -F{mark} -v OFS={mark} '{rows}{{{ids}}} 1'", table.path)
    if table.path.suffix == ".npy":
        change = f"import numpy as np; path = {str(table.path)!r}; np.save(path, np.load(path) - 1)"
        return f"python -c {shlex.quote(change)}"
    return ""


def _first(values: NDArray[Any], bad: NDArray[np.bool_]) -> float:
    return float(values[tuple(np.argwhere(bad)[0])])


def find(folder: Path, stem: str, suffixes: tuple[str, ...] = SUFFIXES) -> Path | None:
    """The file `<stem><suffix>` in `folder`, or None; `.csv` stands for every text table. Raises `UserError` where there are several."""
    several = [form for suffix in suffixes for form in (TEXT_FORMS if suffix == ".csv" else (suffix,))]
    found = [path for suffix in several if (path := folder / f"{stem}{suffix}").is_file()]
    if len(found) > 1:
        raise UserError(f"{folder} has {' and '.join(path.name for path in found)}: expected one of them. Remove the other.")
    if not found and folder.is_dir() and (other := _other_form(folder, stem)):
        expected = ", ".join(stem + suffix for suffix in suffixes)
        raise Table(other[0], np.empty(0)).unfit("this file format is not supported", f"Expected {expected}", other[1])
    return found[0] if found else None


PACKED = {".gz": "gunzip", ".bz2": "bunzip2", ".xz": "unxz", ".zst": "unzstd", ".zip": "unzip"}
SEPARATED = (".dat", ".edgelist")
SPACES_TO_COMMAS = r"sed -E 's/^[ \t]+//; s/[ \t\r]+$//; s/[ \t]+/,/g'"


def _other_form(folder: Path, stem: str) -> tuple[Path, str] | None:
    """A file of this stem in a form that is not read, and the command that turns it into one that is."""
    for path in sorted(folder.glob(f"{stem}.*")):
        name = shlex.quote(str(path))
        target = shlex.quote(str(path.with_suffix(".csv")))
        if path.suffix in PACKED:
            return path, f"{PACKED[path.suffix]} {name}" + (f" -d {shlex.quote(str(folder))}" if path.suffix == ".zip" else "")
        if path.suffix in SEPARATED:
            return path, f"{SPACES_TO_COMMAS} {name} > {target}"
        if path.suffix == ".mtx":
            return path, _from_matrix_market(path, sparse=stem in ("edges", "features"))
    return None


def _from_matrix_market(path: Path, sparse: bool) -> str:
    """What to type to get a matrix of scipy, or an array where such a matrix is not read."""
    read = f"scipy.sparse.coo_array(scipy.io.mmread({str(path)!r}))"
    write = "scipy.sparse.save_npz({!r}, {}.tocsr())" if sparse else "numpy.save({!r}, {}.toarray())"
    target = path.with_suffix(".npz" if sparse else ".npy")
    return f"python -c {shlex.quote('import numpy, scipy.io, scipy.sparse; ' + write.format(str(target), read))}"


def need(folder: Path, stem: str, suffixes: tuple[str, ...], without: str = "") -> Path:
    """The file `<stem><suffix>` in `folder`. Raises `UserError` with what is there instead, where there is none, and with `without`."""
    path = find(folder, stem, suffixes)
    if path is None:
        present = sorted(entry.name for entry in folder.iterdir())
        near = difflib.get_close_matches(stem, present, n=1, cutoff=0.5)
        hint = f"Rename {near[0]}" if near else f"It holds {', '.join(present[:8]) or 'nothing'}"
        raise UserError(
            f"{folder} has no {stem}: expected {', '.join(stem + suffix for suffix in suffixes)}. {hint}; see docs/graph-files.md.{without}"
        )
    return path


def read_table(path: Path, dtype: type[np.generic] = np.float64) -> Table:
    """The numbers in `path`: an .npy file is mapped and keeps its type and shape, a .parquet file becomes `dtype` [rows,
    columns]. Text is read by `text_table`. Raises `UserError` for a file that cannot be read or holds anything but numbers.
    """
    readers = {".npy": _read_npy, ".parquet": _read_parquet}
    values = readers[path.suffix](path, dtype)
    if values.ndim == 0 or values.shape[0] == 0:
        raise UserError(f"{path}: it has no rows. Expected at least one; delete the file if it is not needed.")
    return Table(path, values)


def _read_npy(path: Path, dtype: type[np.generic]) -> NDArray[Any]:
    try:
        values = map_array(path)
    except (OSError, ValueError, OverflowError, MemoryError) as error:
        raise UserError(f"{path}: it is not an intact .npy file of numbers ({first_line(error)}). {NPY_REMEDY}.") from error
    if values.dtype.kind not in "biuf":
        raise UserError(f"{path}: it holds {values.dtype}. Expected numbers: convert it before numpy.save.")
    if values.ndim == 0:
        raise UserError(f"{path}: it is the single number {values}. Expected an array with one row per node or edge.")
    return values


def _read_parquet(path: Path, dtype: type[np.generic]) -> NDArray[Any]:
    import pandas as pd

    try:
        frame = pd.read_parquet(path, engine="pyarrow")
    except MemoryError:
        raise
    except Exception as error:  # pandas follows what the file says of its columns, and raises whatever comes of it
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
        raise UserError(
            f"{path}: it is not a readable parquet file ({reason}). Write it again, or save the table as .npy or .csv."
        ) from error
    for column in frame.columns:
        if frame[column].dtype.kind not in "biuf":
            raise _text_column(path, frame[column])
    values: NDArray[Any] = frame.to_numpy(dtype=dtype, na_value=np.nan)
    return values


def _text_column(path: Path, column: Any) -> UserError:
    cells = [isinstance(cell, (int, float)) for cell in column]
    row = cells.index(False) if False in cells else 0
    found = f"{column.iloc[row]!r} in column {column.name!r} is not a number"
    return Table(path, np.empty(0)).wrong(row, found, "Expected columns of numbers only: encode or drop it")
