"""What the numbers of a graph mean: the columns that features were made of, the kind of ids, the names of classes.

It is kept with the prepared graph and in the checkpoint. A model fits other data if their schema is the same, whatever the nodes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SHOWN = 5
SCALINGS = ("row", "standard")


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

    @property
    def numbers(self) -> list[str]:
        """A name for each of its columns of numbers: `name`, `name=word`, or `name[0]`, …"""
        if self.kind == "words":
            return [f"{self.name}={word}" for word in self.categories]
        return [self.name] if self.kind != "vector" else [f"{self.name}[{at}]" for at in range(self.width)]


@dataclass(frozen=True)
class Scaling:
    """How features were put on one scale: what predictions on other data do as well, with the same numbers.

    kind       row (each row divided by its sum of absolute values) | standard ((x - mean) / std, or 0 where std is 0)
    mean, std  of the F columns on the training nodes; () for row
    """

    kind: str
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def digest(self, features: str) -> str:
        """A hash of the features with the hash `features` on this scale."""
        return hashlib.blake2b(repr((features, self)).encode(), digest_size=16).hexdigest()

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Scaling:
        """Raises `KeyError`, `TypeError` or `ValueError` for numbers that no training gives."""
        kind, (mean, std) = str(stored["kind"]), (tuple(map(float, stored[name])) for name in ("mean", "std"))
        finite = all(map(math.isfinite, (*mean, *std))) and all(value >= 0 for value in std)
        if kind not in SCALINGS or len(mean) != len(std) or not finite or (kind == "row" and mean):
            raise ValueError("its scale of the features is not valid")
        return cls(kind, mean, std)


@dataclass(frozen=True)
class Schema:
    """The columns behind x [N, F] and edge_attr [E, D] in their order, () where the source names none; and what ids are.

    ids      rows (a node's id is its position) | integer | text
    scaling  what was done to the features; None: nothing
    """

    features: tuple[Column, ...] = ()
    edge_attributes: tuple[Column, ...] = ()
    ids: str = "rows"
    scaling: Scaling | None = None

    def as_json(self) -> dict[str, Any]:
        """What JSON and a checkpoint can hold."""
        return dataclasses.asdict(self)

    def as_text(self) -> str:
        """The columns in one line, equal for equal ones; empty where the source names no column."""
        columns = {name: value for name, value in self.as_json().items() if name in ("features", "edge_attributes")}
        return json.dumps(columns, sort_keys=True) if self.features or self.edge_attributes else ""

    @classmethod
    def from_text(cls, text: str) -> Schema:
        """The columns of what `as_text` gave. Raises `ValueError`, `KeyError` or `TypeError` for any other text."""
        return cls.from_json({"ids": "rows", **json.loads(text)}) if text else cls()

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Schema:
        """Raises `KeyError`, `TypeError` or `ValueError` for anything that `as_json` did not make."""
        features, attributes = ([_column(column) for column in stored[name]] for name in ("features", "edge_attributes"))
        scaling = stored.get("scaling")  # earlier versions had none
        return cls(tuple(features), tuple(attributes), str(stored["ids"]), None if scaling is None else Scaling.from_json(scaling))


def _column(stored: Mapping[str, Any]) -> Column:
    return Column(str(stored["name"]), str(stored["kind"]), int(stored["width"]), tuple(map(str, stored["categories"])))


def few(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    return ", ".join(map(repr, names[:SHOWN])) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
