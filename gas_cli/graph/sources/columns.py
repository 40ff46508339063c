"""Columns of a user's table as numbers: what each holds, and one float32 matrix of all."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from gas_cli.config.dataset import FolderConfig
from gas_cli.errors import UserError
from gas_cli.graph.grouping import Grouping
from gas_cli.graph.node_ids import NodeIds
from gas_cli.graph.schema import Column
from gas_cli.graph.sources.frame import Frame

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

MOST_WORDS = 1000
"""A column of more different words is text; so is one that has fewer than two rows for each of its words."""
SHOWN = 5


@dataclass(frozen=True)
class Numbers:
    """float32 [rows, width of all columns], and what its columns are."""

    values: NDArray[np.float32]
    columns: tuple[Column, ...]


def kind_of(column: pa.ChunkedArray) -> str:
    """number, boolean, vector, date, empty, words or text."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_null(kind) or column.null_count == len(column):
        return "empty"
    tests = {
        "boolean": (pa.types.is_boolean,),
        "number": (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal),
        "date": (pa.types.is_temporal,),
        "vector": (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list),
    }
    found = next((name for name, several in tests.items() if any(test(kind) for test in several)), None)
    return found or _words_or_text(column)


def _words_or_text(column: Any) -> str:
    import pyarrow.compute as cp

    count = cp.count_distinct(column).as_py()
    return "words" if count <= MOST_WORDS and 2 * count <= len(column) else "text"


def numbers_of(frame: Frame, names: Sequence[str], config: FolderConfig, where: str, types: str | None = None) -> Numbers:
    """The columns `names` side by side. Raises `UserError` for a column that holds no numbers, with what to type, and for the first cell
    that is empty or not finite; `where` says what the columns become.

    types  the column of the types of the rows, if any: it stands first, as one column of 0 and 1 for each type
    """
    if types is not None:
        frame = _with_zeros(frame, types, names)
        names = [types, *names]
    kinds = {name: kind_of(frame.column(name)) for name in names if name not in (types, *config.words)}
    _refuse_others(frame, kinds, config.encode, where)
    kinds = {name: kinds.get(name, "words") for name in names}
    parts = [_part(frame, name, kind) for name, kind in kinds.items()]
    columns = tuple(column for column, _ in parts)
    values = np.empty((len(frame), sum(column.width for column in columns)), np.float32)
    at = 0
    for column, fill in parts:
        fill(values[:, at : at + column.width])
        at += column.width
    return Numbers(values, columns)


def _with_zeros(frame: Frame, types: str, names: Sequence[str]) -> Frame:
    """With 0 where a column of numbers has no value in any row of a type. Raises `UserError` for a row without a type."""
    import pyarrow as pa
    import pyarrow.compute as cp

    texts = frame.texts(types)
    if texts.null_count:
        row = int(np.flatnonzero(texts.is_null().to_numpy())[0])
        raise frame.values(types, np.empty(0)).wrong(row, "the type is empty", "Expected a type in every row")
    words = sorted(cp.unique(texts).to_pylist())
    codes = codes_of(texts, words)
    rows_of_type = np.bincount(codes, minlength=len(words))
    for name in names:
        column = frame.column(name)
        empty = column.is_null().to_numpy()
        absent = np.bincount(codes, empty, len(words)) == rows_of_type
        if absent.all() or not absent.any() or (zero := _zero(column)) is None:
            continue
        filled = cp.if_else(pa.array(absent[codes]), pa.scalar(zero, column.type), column)
        frame = replace(frame, table=frame.table.set_column(frame.names.index(name), name, filled))
        without = ", ".join(word for word, none in zip(words, absent, strict=True) if none)
        log.info("%s: column %r has no value in any row of type %s: 0 there.", frame.path, name, without)
    return frame


def _zero(column: pa.ChunkedArray) -> Any:
    """The cell that stands for no value: 0, false, a list of zeros; None in a column that has no such cell."""
    import pyarrow.compute as cp

    kind = kind_of(column)
    if kind == "vector":
        return [0] * cp.max(cp.list_value_length(column)).as_py()
    return {"number": 0, "boolean": False}.get(kind)


def _refuse_others(frame: Frame, kinds: dict[str, str], encode: str | None, where: str) -> None:
    remedies = {
        "text": "leave it out",
        "date": "make it a number (such as days since a day), or leave it out",
        "empty": "fill it, or leave it out",
        "words": "type dataset.encode=onehot, or leave it out",
    }
    for kind, remedy in remedies.items():
        found = [name for name, other in kinds.items() if other == kind and not (kind == "words" and encode == "onehot")]
        if found:
            shown = ", ".join(map(repr, found[:SHOWN])) + (f" and {len(found) - SHOWN} more" if len(found) > SHOWN else "")
            some = "s" if len(found) > 1 else ""
            holds = {"text": "text", "date": "dates", "empty": "no value", "words": "words"}[kind]
            raise UserError(
                f"{frame.path}: column{some} {shown} hold{'' if some else 's'} {holds} where {where} were expected. Expected numbers: "
                f"{remedy} with dataset.columns.ignore=[{','.join(found)}]."
            )


def _part(frame: Frame, name: str, kind: str) -> tuple[Column, Any]:
    """What the column is, and a function that fills its part of the matrix."""
    if kind == "words":
        return _onehot(frame, name)
    if kind == "vector":
        return _vector(frame, name)
    return Column(name, kind), lambda out: _fill(frame, name, out)


def _fill(frame: Frame, name: str, out: NDArray[np.float32]) -> None:
    values = frame.column(name).to_numpy()
    if values.dtype.kind not in "iufb":  # booleans with gaps, decimals
        values = np.array([np.nan if value is None else value for value in values], np.float64)
    out[:, 0] = frame.values(name, values).finite("value").values


def _onehot(frame: Frame, name: str) -> tuple[Column, Any]:
    import pyarrow.compute as cp

    texts = frame.texts(name)
    words = sorted(word for word in cp.unique(texts).to_pylist() if word is not None)

    def fill(out: NDArray[np.float32]) -> None:
        out[:] = 0
        codes = codes_of(texts, words)
        known = codes >= 0
        out[np.flatnonzero(known), codes[known]] = 1

    return Column(name, "words", len(words), tuple(words)), fill


def codes_of(texts: pa.ChunkedArray, words: Sequence[str]) -> NDArray[np.int64]:
    """int64 [rows]: the position of each text among `words`, -1 where it is none of them or missing."""
    import pyarrow as pa
    import pyarrow.compute as cp

    found = cp.index_in(texts, value_set=pa.array(words, texts.type))
    codes: NDArray[np.int64] = cp.fill_null(found, -1).to_numpy().astype(np.int64)
    return codes


def grouping_of(frame: Frame, name: str) -> Grouping:
    """The values of a column of numbers, dates or text. Raises `UserError` for any other type, and where every cell is empty."""
    import pyarrow as pa

    expected = "Expected a number, a date or a text for each node"
    try:
        kind = kind_of(frame.column(name))
        if kind == "empty":
            raise frame.unfit(f"column {name!r} (dataset.split_by) holds no value", expected)
        return _grouping(frame, name, ordered=kind in ("number", "date"))
    except pa.ArrowException as error:
        raise frame.unfit(f"column {name!r} (dataset.split_by) holds values of type {frame.column(name).type}", expected) from error


def _grouping(frame: Frame, name: str, ordered: bool) -> Grouping:
    import pyarrow as pa
    import pyarrow.compute as cp

    column = frame.column(name) if ordered else cp.utf8_trim_whitespace(frame.texts(name))
    if pa.types.is_floating(column.type) or not ordered:
        column = cp.if_else(cp.is_nan(column) if ordered else cp.equal(column, ""), None, column)
    distinct = cp.drop_null(cp.unique(column))
    distinct = distinct.take(cp.sort_indices(distinct))
    code = cp.fill_null(cp.index_in(column, value_set=distinct), -1).to_numpy().astype(np.int64)
    texts = distinct.cast(pa.large_string())
    if pa.types.is_timestamp(column.type):  # to be read by people: without a midnight, and without zeros after the second
        texts = cp.replace_substring_regex(texts, r"( 00:00:00)?(\.0+)?(Z?)$", r"\3")
    return Grouping(name, ordered, torch.from_numpy(code), NodeIds.of_texts(texts))


def _vector(frame: Frame, name: str) -> tuple[Column, Any]:
    import pyarrow.compute as cp

    column = frame.column(name)
    lengths = cp.fill_null(cp.list_value_length(column), -1).to_numpy()
    if (uneven := np.flatnonzero(lengths != lengths[0])).size or lengths[0] <= 0:
        row = int(uneven[0]) if uneven.size else 0
        found = "no list" if lengths[row] < 0 else f"{lengths[row]} numbers where row 0 has {lengths[0]}"
        raise frame.values(name, np.empty(0)).wrong(row, f"it has {found}", "Expected lists of the same length")
    width = int(lengths[0])

    def fill(out: NDArray[np.float32]) -> None:
        flat = cp.list_flatten(column).to_numpy()
        if flat.dtype.kind not in "iuf":
            raise frame.unfit(f"column {name!r} holds lists of {flat.dtype}", f"Expected lists of numbers; dataset.columns.ignore=[{name}]")
        out[:] = frame.values(name, flat.reshape(len(column), width)).finite("value").values

    return Column(name, "vector", width), fill
