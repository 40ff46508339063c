"""A setting is a field of a dataclass with its help text: the one place where its meaning stands."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from typing import Any, TypeVar

HELP, CHOICES = "help", "choices"
T = TypeVar("T")


def setting(default: T, text: str, choices: Sequence[str] = ()) -> T:
    """A dataclass field with a default, which may be a list or a dict, its help text, and the words that it takes where they are few.

    The type is that of the default, as with `dataclasses.field`.
    """
    metadata = {HELP: text, CHOICES: tuple(choices)}
    if isinstance(default, list | dict):
        return dataclasses.field(default_factory=lambda: copy.copy(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def as_typed(value: Any) -> str:
    """A value, or the `str` of one, as the command line takes it: `null`, `true`, `[mean,max]`; empty text stays empty."""
    if isinstance(value, list):
        return f"[{','.join(map(as_typed, value))}]"
    return {"None": "null", "True": "true", "False": "false"}.get(str(value), str(value))


def described(schema: type[Any], name: str) -> dict[str, Any]:
    """Help text and choices of a field of `schema`; a class that changes only the default inherits them.

    Empty for a field that was declared without `setting`, as the settings of an installed package may be.
    """
    for kind in schema.__mro__:
        fields = getattr(kind, "__dataclass_fields__", {})
        if name in fields and HELP in fields[name].metadata:
            return dict(fields[name].metadata)
    return {}
