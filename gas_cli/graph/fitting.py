"""A graph in the columns that a model was trained with: the same names and kinds in any order, words encoded as in the training."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gas_cli.errors import UserError
from gas_cli.graph.graph import Features, Graph
from gas_cli.graph.schema import TYPE, Column, Schema, few
from gas_cli.ops.csr import CSR

log = logging.getLogger(__name__)

ABSENT = -1


def fit_columns(graph: Graph, trained: Schema, source: object) -> Graph:
    """The graph with the columns of `trained`, in their order; the same graph where its columns are these, or where either has no names.

    A word that the training did not have becomes zeros in all columns of its table's column, and the log names it and counts its rows.
    `source` is what messages call the graph. Raises UserError for a missing or another column, and for one of another kind.
    """
    features = _positions("features", trained.features, graph.schema.features, source)
    if features is not None:
        if isinstance(graph.x, Tensor):  # no column of words is sparse
            _say_new_words("features", "node", trained.features, graph.schema.features, graph.x, source)
        graph = replace(graph, x=_taken_features(graph.x, features), schema=replace(graph.schema, features=trained.features))
    attributes = _positions("edge attributes", trained.edge_attributes, graph.schema.edge_attributes, source)
    if attributes is not None and graph.edge_attr is not None:
        _say_new_words("edge attributes", "edge", trained.edge_attributes, graph.schema.edge_attributes, graph.edge_attr, source)
        schema = replace(graph.schema, edge_attributes=trained.edge_attributes)
        graph = replace(graph, edge_attr=_taken(graph.edge_attr, attributes), schema=schema)
    return graph


def _positions(what: str, trained: Sequence[Column], found: Sequence[Column], source: object) -> NDArray[np.int64] | None:
    """int64 [F]: where each column of numbers of the training is now, `ABSENT` for a word that no row has. None if nothing moves."""
    if not trained or not found or tuple(trained) == tuple(found):
        return None
    _check_names(what, [column.name for column in trained], [column.name for column in found], source)
    starts = dict(zip((column.name for column in found), np.cumsum([0, *(column.width for column in found)]).tolist(), strict=False))
    by_name = {column.name: column for column in found}
    positions: list[int] = []
    for column in trained:
        here, start = by_name[column.name], starts[column.name]
        if here.kind != column.kind or (column.kind != "words" and here.width != column.width):
            raise UserError(
                f"{source}: column {column.name!r} of the {what} holds {_shown(here)} where the training had {_shown(column)}. "
                "Write it as it was."
            )
        if column.kind == "words":
            place = {word: start + at for at, word in enumerate(here.categories)}
            positions += [place.get(word, ABSENT) for word in column.categories]
        else:
            positions += range(start, start + column.width)
    return np.array(positions, np.int64)


def _check_names(what: str, names: list[str], found: list[str], source: object) -> None:
    if missing := [name for name in names if name not in found]:
        raise UserError(f"{source}: the {what} have no column {few(missing)}, which the model was trained with. Add it.")
    if more := [name for name in found if name not in names]:
        typed = any(name.startswith(TYPE) for name in more)
        remedy = "Remove the type from the data" if typed else f"Type dataset.columns.ignore=[{','.join(more[:5])}]"
        raise UserError(f"{source}: the {what} have the column {few(more)}, which the model was not trained with. {remedy}.")
    if names != found:
        log.info("%s: the columns of the %s are put into the order of the training.", source, what)


def _shown(column: Column) -> str:
    return column.kind if column.width == 1 or column.kind == "words" else f"{column.kind} of {column.width}"


def _taken_features(x: Features, positions: NDArray[np.int64]) -> Features:
    return _taken(x, positions) if isinstance(x, Tensor) else CSR.from_scipy(x.to_scipy()[:, positions])


def _taken(table: Tensor, positions: NDArray[np.int64]) -> Tensor:
    """float32 [N, F]: the columns at `positions`, zeros where they are absent."""
    taken = torch.zeros(table.shape[0], len(positions))
    there = np.flatnonzero(positions != ABSENT)
    taken[:, torch.from_numpy(there)] = table[:, torch.from_numpy(positions[there])]
    return taken


def _say_new_words(what: str, row: str, trained: Sequence[Column], found: Sequence[Column], table: Tensor, source: object) -> None:
    known = {column.name: set(column.categories) for column in trained}
    start = 0
    for column in found:
        new = [at for at, word in enumerate(column.categories) if word not in known[column.name]]
        if new:
            count = int((table[:, [start + at for at in new]] != 0).any(1).sum())
            words = few([column.categories[at] for at in new])
            log.warning(
                "%s: column %r of the %s has the words %s, which the training did not have: they become zeros for %s %s(s).",
                source, column.name, what, words, f"{count:,}", row,
            )  # fmt: skip
        start += column.width
