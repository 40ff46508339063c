"""Range checks with one form of message: what came in, what was expected, by the name the user types."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from gas_cli.config.removed import instead
from gas_cli.errors import UserError

MAX_COUNT = 2**31 - 1
"""Epochs, steps and parts are counted in 32 bits in places."""
MAX_SEED = 2**63 - 1
AUTO = "auto"


def require(holds: bool, key: str, value: Any, expected: str) -> None:
    """Raise `UserError` unless `holds`."""
    if not holds:
        raise UserError(f"{key}={value} is not valid: expected {expected}.{instead(key, value)}")


def require_whole(key: str, value: int, low: int, high: int) -> None:
    """Whole numbers have an end where nothing useful lies beyond: a slip of the keyboard is found before it takes days or all memory."""
    require(low <= value <= high, key, value, f"a whole number from {low} to {high}")


def require_count_or_null(key: str, value: int | None) -> None:
    """A number of things from 1, or null where there is no limit or it does not happen."""
    require(value is None or 1 <= value <= MAX_COUNT, key, value, f"null or a whole number from 1 to {MAX_COUNT}")


def count_or_auto(key: str, value: int | str) -> int | str:
    """A number of things from 1, or `auto` where it is decided for the graph."""
    return count_or(AUTO, key, value)


def count_or(word: str, key: str, value: int | str) -> int | str:
    """A number of things from 1, or `word`. Text that is a number, as from the environment, is one."""
    count = int(value) if isinstance(value, str) and value.isdecimal() and len(value) <= len(str(MAX_COUNT)) else value
    valid = count == word or (type(count) is int and 1 <= count <= MAX_COUNT)
    require(valid, key, value, f"{word} or a whole number from 1 to {MAX_COUNT}")
    return count


def decided(key: str, value: int | str) -> int:
    """The number of a setting that takes `auto` too, once it is decided (`Config.with_parts`)."""
    assert isinstance(value, int), f"{key} is not decided yet"
    return value


def require_positive(key: str, value: float) -> None:
    require(math.isfinite(value) and value > 0, key, value, "a number above 0")


def require_non_negative(key: str, value: float) -> None:
    require(math.isfinite(value) and value >= 0, key, value, "a number that is not negative")


def require_between(key: str, value: float, low: float, high: float) -> None:
    require(low <= value <= high, key, value, f"between {low:g} and {high:g}")


def require_subset(key: str, values: Sequence[str], choices: Sequence[str]) -> None:
    wanted = "different ones of " + ", ".join(choices)
    require(0 < len(values) == len(set(values) & set(choices)), key, f"[{','.join(values)}]", wanted)


def require_name(key: str, value: str) -> None:
    """Names become parts of paths, so they may not climb out of a folder."""
    require(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", value) is not None, key, repr(value), "letters, digits, '.', '_' and '-' only")
