"""Settings by their dotted names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def flat(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"trainer": {"epochs": 3}}` → `{"trainer.epochs": 3}`, to any depth."""
    found: dict[str, Any] = {}
    for key, value in node.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found
