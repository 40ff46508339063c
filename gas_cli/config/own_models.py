"""Models and methods from outside this package: registered by an installed package, or a model in a Python file of one's own."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from gas_cli.config.method import MethodConfig
from gas_cli.config.model import ModelConfig

REGISTRIES: dict[str, tuple[str, type[Any]]] = {"model": ("gas_cli.models", ModelConfig), "method": ("gas_cli.methods", MethodConfig)}
"""By config group: the group of entry points whose names become its choices, and the class of settings that they lead below."""


@dataclass(frozen=True)
class Registered:
    """schemas: the settings behind each registered name; failures: why a name cannot be used."""

    schemas: dict[str, type[Any]]
    failures: dict[str, str]


@cache
def registered(group: str) -> Registered:
    """What the installed packages register for `model` or `method`. Their modules of settings are imported; those of the code are not
    before it is used."""
    entries, base = REGISTRIES.get(group, ("", object))
    found = Registered({}, {})
    for entry in entry_points(group=entries):
        try:
            found.schemas[entry.name] = _load(entry, base)
        except Exception as error:  # a package of somebody else's: whatever it raises concerns those who choose its name
            found.failures[entry.name] = f"{entry.value}: {type(error).__name__}: {error}"
    return found


def _load(entry: EntryPoint, base: type[Any]) -> type[Any]:
    from omegaconf import OmegaConf

    schema: type[Any] = entry.load()
    if not (isinstance(schema, type) and issubclass(schema, base) and dataclasses.is_dataclass(schema)):
        raise TypeError(f"expected a dataclass below {base.__module__}.{base.__qualname__}")
    if ":" not in schema.implementation:  # type: ignore[attr-defined]
        raise TypeError("expected its `implementation` to be the class of the code, as in 'my_package.code:MyClass'")
    OmegaConf.structured(schema)  # raises for types of fields that a configuration cannot hold
    return schema


def locate_module(module: str) -> str:
    """`model.module` for a configuration that is read again elsewhere: the absolute path of a file, or a module's name as it is."""
    path = Path(module).expanduser()
    return str(path.absolute()) if path.suffix == ".py" or os.sep in module else module
