"""Datasets, models and methods from outside this package: registered by an installed package or by a program; or a model in a file."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, ClassVar

from gas_cli.config.dataset import DatasetConfig
from gas_cli.config.method import MethodConfig
from gas_cli.config.model import ModelConfig
from gas_cli.errors import UserError

REGISTRIES: dict[str, tuple[str, type[Any]]] = {
    "dataset": ("gas_cli.datasets", DatasetConfig),
    "model": ("gas_cli.models", ModelConfig),
    "method": ("gas_cli.methods", MethodConfig),
}
"""By config group: the group of entry points whose names become its choices, and the base class of their settings."""

_here: dict[str, dict[str, type[Any]]] = {group: {} for group in REGISTRIES}
"""What this process has registered."""


@dataclass(frozen=True)
class Registered:
    """schemas: the settings behind each registered name; failures: why a name cannot be used."""

    schemas: dict[str, type[Any]]
    failures: dict[str, str]


def registered(group: str) -> Registered:
    """What this process and the installed packages register for `dataset`, `model` or `method`; where both do, what this process does."""
    found, here = of_packages(group), _here.get(group, {})
    return Registered(found.schemas | here, {name: why for name, why in found.failures.items() if name not in here})


@cache
def of_packages(group: str) -> Registered:
    """What the installed packages register, nothing for another group. Their modules of settings are imported; those of the code are
    imported at first use."""
    entries, base = REGISTRIES.get(group, ("", object))
    found = Registered({}, {})
    for entry in entry_points(group=entries):
        try:
            found.schemas[entry.name] = _load(entry, base)
        except Exception as error:  # a package of somebody else's: whatever it raises concerns those who choose its name
            found.failures[entry.name] = f"{entry.value}: {type(error).__name__}: {error}"
    return found


def register(group: str, name: str, settings: type[Any], implementation: Any) -> None:
    """Make `name` a choice of `group` in this process: `settings` is the dataclass of its settings, `implementation` the code that they
    stand for. A name that this process has registered before is replaced. Raises UserError for a dataclass that cannot be one."""
    base = REGISTRIES[group][1]
    try:
        schema = dataclasses.make_dataclass(
            getattr(settings, "__name__", ""),
            [("implementation", ClassVar[Any], implementation)],
            bases=(settings,),
            namespace={"__module__": getattr(settings, "__module__", ""), "__doc__": getattr(settings, "__doc__", "")},
        )
        _check(schema, base)
    except Exception as error:  # dataclasses and OmegaConf refuse what they are given in many ways
        raise UserError(f"{group}={name} cannot be registered with {settings!r} ({type(error).__name__}: {error}).") from error
    _here[group][name] = schema


def _load(entry: EntryPoint, base: type[Any]) -> type[Any]:
    schema: type[Any] = entry.load()
    _check(schema, base)
    if ":" not in schema.implementation:
        raise TypeError("expected its `implementation` to be the class of the code, as in 'my_package.code:MyClass'")
    return schema


def _check(schema: Any, base: type[Any]) -> None:
    from omegaconf import OmegaConf

    if not (isinstance(schema, type) and issubclass(schema, base) and dataclasses.is_dataclass(schema)):
        raise TypeError(f"expected a dataclass derived from {base.__module__}.{base.__qualname__}")
    OmegaConf.structured(schema)  # raises for types of fields that a configuration cannot hold


def locate_module(module: str) -> str:
    """`model.module` for a configuration that is read again elsewhere: the absolute path of a file, or a module's name as it is."""
    path = Path(module).expanduser()
    return str(path.absolute()) if path.suffix == ".py" or os.sep in module else module
