"""What the numbers of a graph mean: the columns that features were made of, the kind of ids, the names of classes.

It is kept with the prepared graph and in the checkpoint. A model fits other data if their schema is the same, whatever the nodes.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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


def _column(stored: Mapping[str, Any]) -> Column:
    return Column(str(stored["name"]), str(stored["kind"]), int(stored["width"]), tuple(map(str, stored["categories"])))


def few(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    return ", ".join(map(repr, names[:SHOWN])) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
