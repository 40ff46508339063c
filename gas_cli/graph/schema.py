"""What the numbers of a graph mean: the columns that features were made of, the kind of ids, the names of classes.

It is kept with the prepared graph and in the checkpoint. A model fits other data if their schema is the same, whatever the nodes.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gas_cli.errors import UserError

SHOWN = 5


@dataclass(frozen=True)
class Column:
    """One column of a table, which gives `width` columns of numbers.

    kind        number | boolean | vector (a list of numbers in each cell) | words (one column of 0 and 1 for each of `categories`)
    categories  the words, in the order of their columns
    """

    name: str
    kind: str = "number"
    width: int = 1
    categories: tuple[str, ...] = ()


@dataclass(frozen=True)
class Schema:
    """The columns behind x [N, F] and edge_attr [E, D] in their order, () where the source names none; and what ids are.

    ids  rows (a node's id is its position) | integer | text
    """

    features: tuple[Column, ...] = ()
    edge_attributes: tuple[Column, ...] = ()
    ids: str = "rows"

    def as_json(self) -> dict[str, Any]:
        """What JSON and a checkpoint can hold."""
        return dataclasses.asdict(self)

    def as_text(self) -> str:
        """The columns in one line, equal for equal ones; empty where the source names no column."""
        columns = {name: value for name, value in self.as_json().items() if name != "ids"}
        return json.dumps(columns, sort_keys=True) if self.features or self.edge_attributes else ""

    @classmethod
    def from_text(cls, text: str) -> Schema:
        """The columns of what `as_text` gave. Raises `ValueError`, `KeyError` or `TypeError` for any other text."""
        return cls.from_json({"ids": "rows", **json.loads(text)}) if text else cls()

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Schema:
        """Raises `KeyError`, `TypeError` or `ValueError` for anything that `as_json` did not make."""
        features, attributes = ([_column(column) for column in stored[name]] for name in ("features", "edge_attributes"))
        return cls(tuple(features), tuple(attributes), str(stored["ids"]))

    def check_same(self, other: Schema, source: object) -> None:
        """Raise `UserError` where the columns of `other`, read from `source`, are not those of this schema, by name, kind and order."""
        for what, ours, theirs in (
            ("features", self.features, other.features),
            ("edge attributes", self.edge_attributes, other.edge_attributes),
        ):
            if ours and theirs:
                _check_columns(what, ours, theirs, source)


def _column(stored: Mapping[str, Any]) -> Column:
    return Column(str(stored["name"]), str(stored["kind"]), int(stored["width"]), tuple(map(str, stored["categories"])))


def _check_columns(what: str, ours: Sequence[Column], theirs: Sequence[Column], source: object) -> None:
    names, found = [column.name for column in ours], [column.name for column in theirs]
    if missing := [name for name in names if name not in found]:
        raise UserError(f"{source}: the {what} have no column {_few(missing)}, which the model was trained with. Add it.")
    if more := [name for name in found if name not in names]:
        remedy = f"dataset.columns.ignore=[{','.join(more[:SHOWN])}]"
        raise UserError(f"{source}: the {what} have the column {_few(more)}, which the model was not trained with. Type {remedy}.")
    for mine, yours in zip(ours, theirs, strict=True):
        if mine.name != yours.name:
            raise UserError(f"{source}: the {what} have {yours.name!r} where the training had {mine.name!r}. Reorder the columns.")
        if mine.kind == yours.kind == "words" and mine.categories != yours.categories:
            other = sorted(set(mine.categories) ^ set(yours.categories))
            raise UserError(
                f"{source}: column {mine.name!r} of the {what} has other words than in the training: {_few(other)} "
                "occur in only one of them. Restore them, or train again."
            )
        if (mine.kind, mine.width) != (yours.kind, yours.width):
            raise UserError(
                f"{source}: column {mine.name!r} of the {what} holds {yours.kind} (width {yours.width}) where the training had "
                f"{mine.kind} (width {mine.width}). Write it as it was."
            )


def _few(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:SHOWN])) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
