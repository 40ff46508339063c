"""Settings of earlier versions: named where somebody types them, passed over in the files that those versions have written."""

from __future__ import annotations

from typing import Any

REMOVED = {"trainer.sum_features_once": "A x is computed once wherever the model allows it"}
"""Why each is not needed any more, by its dotted name."""


def without_removed(settings: dict[str, Any]) -> dict[str, Any]:
    """A saved file's settings without those: its checkpoint then says which version they are of."""
    kept = dict(settings)
    for name in REMOVED:
        group, _, key = name.partition(".")
        if isinstance(kept.get(group), dict):
            kept[group] = {inner: value for inner, value in kept[group].items() if inner != key}
    return kept
