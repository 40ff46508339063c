"""Models from outside this package: registered by an installed package, or in a Python file of one's own."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from gas_cli.config.model import ModelConfig

GROUP = "gas_cli.models"
"""Entry points of this group lead to a dataclass below `ModelConfig`; their names become choices of `model=`."""


@dataclass(frozen=True)
class Registered:
    """schemas: the settings of each registered model by its name; failures: why a name cannot be used."""

    schemas: dict[str, type[ModelConfig]]
    failures: dict[str, str]


@cache
def registered_models() -> Registered:
    """What the installed packages register. Their modules of settings are imported; those of the models are not before one is built."""
    found = Registered({}, {})
    for entry in entry_points(group=GROUP):
        try:
            found.schemas[entry.name] = _load(entry)
        except Exception as error:  # a package of somebody else's: whatever it raises concerns those who choose its model
            found.failures[entry.name] = f"{entry.value}: {type(error).__name__}: {error}"
    return found


def _load(entry: EntryPoint) -> type[ModelConfig]:
    from omegaconf import OmegaConf

    schema = entry.load()
    if not (isinstance(schema, type) and issubclass(schema, ModelConfig) and dataclasses.is_dataclass(schema)):
        raise TypeError("expected a dataclass below gas_cli.config.model.ModelConfig")
    if ":" not in schema.implementation:
        raise TypeError("expected its `implementation` to be the model's class, as in 'my_package.models:MyModel'")
    OmegaConf.structured(schema)  # raises for types of fields that a configuration cannot hold
    return schema


def locate_module(module: str) -> str:
    """`model.module` for a configuration that is read again elsewhere: the absolute path of a file, or a module's name as it is."""
    path = Path(module).expanduser()
    return str(path.absolute()) if path.suffix == ".py" or os.sep in module else module
