"""Predictions as a table for people and spreadsheets: one row per node, with its id, its class, and probabilities."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

ROWS_AT_A_TIME = 1 << 16
FORMS = (".csv", ".parquet")
LIKELY = 0.5
"""With several labels per node, those of a larger probability are predicted."""


def write_table(
    file: IO[bytes],
    form: str,
    nodes: NDArray[Any],
    probabilities: NDArray[np.float32],
    classes: Sequence[str],
    several: bool,
    top: int | None = None,
    numbers: bool = False,
) -> None:
    """Write `id`, `class` and `probability_CLASS` for each class; or, with `top`, `class_1`, `probability_1`, … of the most likely classes.

    The columns of a regression (`numbers`) are written as they are, under the names `classes`. Of `several` labels per node `class` holds
    all that are predicted, with `;` between them. Blocks of rows are written one after another, so that the table is never in memory as a
    whole. Raises `OSError`.
    """
    columns = _number_columns if numbers else _top_columns if top is not None else _all_columns
    _write(file, form, _blocks(nodes, lambda rows: columns(probabilities[rows], classes, several, top)))


def write_embeddings(file: IO[bytes], form: str, nodes: NDArray[Any], values: NDArray[np.float32]) -> None:
    """Write `id` and `embedding_0`, `embedding_1`, … of values [n, width], in blocks. Raises `OSError`."""
    import pyarrow as pa

    def columns(rows: slice) -> dict[str, Any]:
        return {f"embedding_{c}": pa.array(values[rows, c], pa.float32()) for c in range(values.shape[1])}

    _write(file, form, _blocks(nodes, columns))


def _write(file: IO[bytes], form: str, blocks: Iterator[Any]) -> None:
    import pyarrow.csv as pc
    import pyarrow.parquet as pq

    first = next(blocks)
    with pc.CSVWriter(file, first.schema) if form == ".csv" else pq.ParquetWriter(file, first.schema) as writer:
        writer.write_table(first)
        for block in blocks:
            writer.write_table(block)


def _blocks(nodes: NDArray[Any], columns: Callable[[slice], dict[str, Any]]) -> Iterator[Any]:
    import pyarrow as pa

    for start in range(0, max(1, len(nodes)), ROWS_AT_A_TIME):
        rows = slice(start, start + ROWS_AT_A_TIME)
        ids = pa.array(nodes[rows].tolist(), pa.int64() if nodes.dtype.kind in "iu" else pa.string())
        yield pa.table({"id": ids, **columns(rows)})


def _all_columns(probabilities: NDArray[np.float32], classes: Sequence[str], several: bool, _: int | None) -> dict[str, Any]:
    import pyarrow as pa

    names = np.array(classes, dtype=object)
    chosen = [";".join(names[row > LIKELY]) for row in probabilities] if several else names[probabilities.argmax(1)].tolist()
    columns = {f"probability_{name}": pa.array(probabilities[:, c], pa.float32()) for c, name in enumerate(classes)}
    return {"class": pa.array(chosen, pa.string()), **columns}


def target_names(count: int) -> tuple[str, ...]:
    """The columns of a regression's predictions."""
    return ("prediction",) if count == 1 else tuple(f"prediction_{target}" for target in range(count))


def _number_columns(values: NDArray[np.float32], names: Sequence[str], _: bool, __: int | None) -> dict[str, Any]:
    import pyarrow as pa

    return {name: pa.array(values[:, t], pa.float32()) for t, name in enumerate(names)}


def _top_columns(probabilities: NDArray[np.float32], classes: Sequence[str], _: bool, top: int | None) -> dict[str, Any]:
    import pyarrow as pa

    names = np.array(classes, dtype=object)
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
    columns: dict[str, Any] = {}
    for rank in range(order.shape[1]):
        columns[f"class_{rank + 1}"] = pa.array(names[order[:, rank]].tolist(), pa.string())
        likely = np.take_along_axis(probabilities, order[:, rank : rank + 1], 1)[:, 0]
        columns[f"probability_{rank + 1}"] = pa.array(likely, pa.float32())
    return columns
