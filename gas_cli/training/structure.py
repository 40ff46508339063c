"""The form of a checkpoint that was read: plain values and tensors, not too deep, not too many."""

from __future__ import annotations

from typing import Any

from torch import Tensor

DEEPEST = 16
MOST = 1_000_000
PLAIN = (str, int, float, bool, type(None))


def unexpected(state: Any) -> str | None:
    """What makes `state` no checkpoint, or None. Without recursion: `state` may refer to itself, or be nested beyond Python's limit."""
    waiting, seen = [(state, 0)], 0
    while waiting:
        value, depth = waiting.pop()
        seen += 1
        if depth > DEEPEST:
            return f"it is nested more than {DEEPEST} deep"
        if seen > MOST:
            return f"it has more than {MOST} entries"
        if isinstance(value, dict):
            if not all(type(key) in (str, int) for key in value):
                return "it has keys that are neither text nor whole numbers"
            waiting += [(item, depth + 1) for item in value.values()]
        elif type(value) in (list, tuple):
            waiting += [(item, depth + 1) for item in value]
        elif not (isinstance(value, Tensor) or type(value) in PLAIN):
            return f"it holds a {type(value).__name__}"
    return None
