"""Tables that users write: .npy, .csv and .parquet, with errors that say file, row, reason and remedy."""

from __future__ import annotations

import difflib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gas_cli.errors import UserError
from gas_cli.graph.sources.npy_format import first_line, map_array

SUFFIXES = (".npy", ".csv", ".parquet")
MATRIX = (*SUFFIXES, ".npz")
"""Suffixes of what may also be a matrix of scipy."""

ROWS_AT_A_TIME = 1 << 16

NPY_REMEDY = (
    "Write it again with numpy.save as a plain array of numbers, such as array.astype(float); "
    "a matrix of scipy with scipy.sparse.save_npz, as .npz"
)


@dataclass(frozen=True)
class Table:
    """`values` [rows] or [rows, columns] from `path`; `rows` says how its rows are called."""

    path: Path
    values: NDArray[Any]
    rows: str = "row"

    def wrong(self, row: int, reason: str, remedy: str) -> UserError:
        """The error for one row, counted from 0; in a text file with its line, as editors count."""
        line = f" (line {row + 1})" if self.path.suffix == ".csv" else ""
        return UserError(f"{self.path}, {self.rows} {row}{line}: {reason}. {remedy}.")

    def unfit(self, reason: str, remedy: str) -> UserError:
        """The error for the table as a whole."""
        return UserError(f"{self.path}: {reason}. {remedy}.")

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
                raise self.wrong(row, f"{_first(block, bad)} is no {what}", "Expected a whole number in every cell")
            if (rounded := np.abs(block) >= exact).any():
                row = start + int(np.argwhere(rounded)[0][0])
                reason = f"{_first(block, rounded):.0f} is too large for a {what} in {self.values.dtype}, which rounds such numbers"
                raise self.wrong(row, reason, "Save whole numbers as integers, such as array.astype('int64') before they are converted")
            least, most = min(least, float(block.min(initial=0))), max(most, float(block.max(initial=0)))
        fits = np.iinfo(np.int32).min <= least and most <= np.iinfo(np.int32).max
        return Table(self.path, self.values.astype(np.int32 if fits else np.int64), self.rows)

    def finite(self, what: str) -> Table:
        """The same table. Raises `UserError` naming the first row with an empty cell, NaN, an infinite number, or one beyond float32."""
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
        return self

    def _check_float32(self, start: int, block: NDArray[Any], what: str) -> None:
        most = np.finfo(np.float32).max
        if block.dtype.itemsize > 4 and (bad := np.abs(block) > most).any():
            row = start + int(np.argwhere(bad)[0][0])
            raise self.wrong(
                row, f"the {what} {_first(block, bad):g} is beyond float32", f"Expected numbers up to {most:.2g}: rescale them"
            )


def _first(values: NDArray[Any], bad: NDArray[np.bool_]) -> float:
    return float(values[tuple(np.argwhere(bad)[0])])


def find(folder: Path, stem: str, suffixes: tuple[str, ...] = SUFFIXES) -> Path | None:
    """The file `<stem><suffix>` in `folder`, or None. Raises `UserError` where there are several."""
    found = [path for suffix in suffixes if (path := folder / f"{stem}{suffix}").is_file()]
    if len(found) > 1:
        raise UserError(f"{folder} has {' and '.join(path.name for path in found)}: expected one of them. Remove the other.")
    return found[0] if found else None


def need(folder: Path, stem: str, suffixes: tuple[str, ...]) -> Path:
    """The file `<stem><suffix>` in `folder`. Raises `UserError` with what is there instead, where there is none."""
    path = find(folder, stem, suffixes)
    if path is None:
        present = sorted(entry.name for entry in folder.iterdir())
        near = difflib.get_close_matches(stem, present, n=1, cutoff=0.5)
        hint = f"Rename {near[0]}" if near else f"It holds {', '.join(present[:8]) or 'nothing'}"
        raise UserError(
            f"{folder} has no {stem}: expected {', '.join(stem + suffix for suffix in suffixes)}. {hint}; see docs/own-graph.md."
        )
    return path


def read_table(path: Path, dtype: type[np.generic] = np.float64) -> Table:
    """The numbers in `path`: an .npy file is mapped and keeps its type and shape, the others become `dtype` [rows, columns].

    A .csv has commas and no header. Raises `UserError` for a file that cannot be read or holds anything but numbers.
    """
    readers = {".npy": _read_npy, ".csv": _read_csv, ".parquet": _read_parquet}
    values = readers[path.suffix](path, dtype)
    if values.ndim == 0 or values.shape[0] == 0:
        raise UserError(f"{path}: it has no rows. Expected at least one; delete the file if it is not needed.")
    return Table(path, values)


def _read_npy(path: Path, dtype: type[np.generic]) -> NDArray[Any]:
    try:
        values = map_array(path)
    except (OSError, ValueError, OverflowError, MemoryError) as error:
        raise UserError(f"{path}: it is no intact .npy file of numbers ({first_line(error)}). {NPY_REMEDY}.") from error
    if values.dtype.kind not in "biuf":
        raise UserError(f"{path}: it holds {values.dtype}. Expected numbers: convert it before numpy.save.")
    if values.ndim == 0:
        raise UserError(f"{path}: it is the single number {values}. Expected an array with one row per node or edge.")
    return values


def _read_csv(path: Path, dtype: type[np.generic]) -> NDArray[Any]:
    import pandas as pd

    try:
        values: NDArray[Any] = pd.read_csv(path, header=None, dtype=dtype, skip_blank_lines=False).to_numpy()
    except pd.errors.EmptyDataError as error:
        raise UserError(f"{path}: it is empty. Expected one line per row, numbers separated by commas.") from error
    except pd.errors.ParserError as error:
        reason = str(error).partition("error: ")[2].strip() or str(error)  # "Expected 2 fields in line 5, saw 3"
        raise UserError(f"{path}: {reason}. Expected the same number of cells, separated by commas, in every line.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: it cannot be read as text ({error}). Save it as UTF-8 with commas, or use .npy.") from error
    except ValueError as error:
        raise _non_numeric(path) from error
    return values


def _non_numeric(path: Path) -> UserError:
    """Read again, as text, to find the first cell that is no number."""
    import pandas as pd

    first = 0
    for piece in pd.read_csv(path, header=None, dtype=str, skip_blank_lines=False, chunksize=ROWS_AT_A_TIME):
        bad = (piece.apply(pd.to_numeric, errors="coerce").isna() & piece.notna()).to_numpy()
        if bad.any():
            row, column = np.argwhere(bad)[0].tolist()
            cell = piece.iat[row, column]
            table = Table(path, bad)
            if first + row == 0 and bad[0].all() and not bad[1:].all():
                return table.wrong(0, f"{cell!r} looks like a header", "Delete that line: columns go by their position")
            return table.wrong(first + row, f"{cell!r} in column {column} is no number", "Expected numbers only: encode or remove the text")
        first += len(piece)
    return UserError(f"{path}: a number in it is too large. Expected numbers of at most 64 bits.")


def _read_parquet(path: Path, dtype: type[np.generic]) -> NDArray[Any]:
    import pandas as pd

    if importlib.util.find_spec("pyarrow") is None:
        raise UserError(f"{path}: reading it needs pyarrow. Type pip install 'gas-cli[parquet]', or save the table as .npy or .csv.")
    try:
        frame = pd.read_parquet(path, engine="pyarrow")
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise UserError(f"{path}: it is no readable parquet file ({reason}). Write it again, or save the table as .npy or .csv.") from error
    for column in frame.columns:
        if frame[column].dtype.kind not in "biuf":
            raise _text_column(path, frame[column])
    values: NDArray[Any] = frame.to_numpy(dtype=dtype, na_value=np.nan)
    return values


def _text_column(path: Path, column: Any) -> UserError:
    cells = [isinstance(cell, (int, float)) for cell in column]
    row = cells.index(False) if False in cells else 0
    found = f"{column.iloc[row]!r} in column {column.name!r} is no number"
    return Table(path, np.empty(0)).wrong(row, found, "Expected columns of numbers only: encode or drop it")
