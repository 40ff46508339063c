"""Which run a checkpoint belongs to: its settings, the user's code, and its graph."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gas_cli.config.method import MethodConfig
from gas_cli.config.model import CustomConfig, ModelConfig
from gas_cli.config.removed import ADDED, renamed
from gas_cli.config.setting import as_typed
from gas_cli.errors import UserError
from gas_cli.user_code import load_module, source_of

SHAPING = ("feature columns", "classes")
"""What a trained model cannot do without: its first and last weights have these shapes."""


def identity_of(
    settings: Mapping[str, str], model: ModelConfig, method: MethodConfig, fingerprints: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """settings: those that a continued run may not change (`fixed_settings`); code: a hash of the files of the user's model and method, ''
    without any; graph: the fingerprints of graph and partition. Plain text throughout, so that a difference can be shown.

    Where no graph was loaded, it is enough for `check_same_settings`.
    """
    return {"settings": dict(settings), "code": _code(model, method), "graph": dict(fingerprints or {})}


def check_same_run(saved: Any, ours: Mapping[str, Any]) -> None:
    """Raise UserError with the first thing in which the run of a checkpoint differs from this one."""
    check_same_settings(saved, ours)
    changes = graph_changes(saved["graph"], ours["graph"])
    if changes:
        raise UserError(
            f"the graph or its partition has changed since the checkpoint was written: {changes[0]}. "
            "Restore the dataset's files (or the partition), or start a new run."
        )


def check_same_settings(saved: Any, ours: Mapping[str, Any]) -> None:
    """Raise UserError with the first setting that differs, or where the code of the user's model does."""
    _check_form(saved, ours)
    here = ours["settings"]
    before = {key: repr(value) for key, value in ADDED.items() if key in here} | renamed(saved["settings"])
    for key in sorted(before.keys() | here.keys(), key=lambda key: (key != "seed", key)):
        if before.get(key) != here.get(key):
            there, now = (as_typed(value.get(key, "not set").strip("'")) or "''" for value in (before, here))
            raise UserError(
                f"the checkpoint is from another run: it has {key}={there}, and config.yaml has {key}={now}. "
                "Restore the checkpoint or the configuration of this run."
            )
    if saved["code"] != ours["code"]:
        raise UserError(
            "the file of the model's code (model.module) or of the method's has changed since the checkpoint was written. "
            "Restore the file, or start a new run."
        )


def graph_changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Everything of the fingerprints `now` in which the graphs differ, the most telling first; what follows from another number of nodes is
    left out."""
    sizes = [
        f"{now[key]} {key} instead of {before[key]}" for key in now if key in before and before[key] != now[key] and now[key].isdigit()
    ]
    return sizes or [f"other {key}" if key != "partition" else "another partition" for key in now if before.get(key) != now[key]]


def check_applicable(saved: Mapping[str, Any], graph: Mapping[str, str], labelled: bool) -> None:
    """Raise UserError where a trained model cannot be applied to the graph with these fingerprints: other feature columns, or, where its
    labels were read, another task or other classes."""
    before = saved["graph"]
    if labelled and before.get("task") != graph.get("task"):
        kinds = [of.get("task", "classification") for of in (graph, before)]
        raise UserError(f"the graph's task is {kinds[0]}; in training it was {kinds[1]}. Restore the dataset's files and settings.")
    for key in SHAPING if labelled else SHAPING[:1]:
        if before.get(key) != graph[key]:
            raise UserError(
                f"the graph has {graph[key]} {key}, and had {before.get(key)} in training: the weights do not fit. "
                "Restore the dataset's files."
            )
    if labelled and before.get("class names") != graph["class names"]:
        raise UserError(
            f"the graph's classes are the {graph['class names']}; in training they were the {before.get('class names')}. "
            "The scores would get the wrong names. Restore the dataset's files, or type dataset.path=DIR, which reads no labels."
        )


def _check_form(saved: Any, ours: Mapping[str, Any]) -> None:
    def texts(value: Any) -> bool:
        return isinstance(value, dict) and all(type(key) is str and type(item) is str for key, item in value.items())

    fits = isinstance(saved, dict) and saved.keys() == ours.keys() and type(saved["code"]) is str
    if not (fits and texts(saved["settings"]) and texts(saved["graph"])):
        raise UserError("the checkpoint does not name its run: it is damaged. Restore an intact copy, or start the run again.")


def _code(model: ModelConfig, method: MethodConfig) -> str:
    """The hash of the files behind `model.module`, and of the code of registered models and methods; '' without any."""
    file = load_module(model.module).__file__ if isinstance(model, CustomConfig) else None
    content = Path(file).read_bytes() if file else b""
    content += b"".join(source_of(part.implementation) for part in (model, method))
    return hashlib.blake2b(content, digest_size=16).hexdigest() if content else ""
