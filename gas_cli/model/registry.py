"""From a model's settings to the model."""

from __future__ import annotations

import torch

from gas_cli.config.model import CustomConfig, ModelConfig
from gas_cli.model.custom import custom_class
from gas_cli.model.model import Model
from gas_cli.user_code import implementation


def build_model(config: ModelConfig, in_channels: int, out_channels: int, seed: int, edge_dim: int = 0) -> Model:
    """The architecture that `config`'s class stands for, its parameters a function of `seed`; leaves torch's global generator as it was.

    `edge_dim` is the number of columns of the graph's edge attributes, 0 without; a model that takes none ignores it.
    """
    builder = model_class(config)
    arguments = {"edge_dim": edge_dim} if builder.takes_edge_attr(config) else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return builder(config, in_channels, out_channels, **arguments)


def model_class(config: ModelConfig) -> type[Model]:
    """The class that `config` is of; one's own code is imported. Raises `UserError` where there is none."""
    if isinstance(config, CustomConfig):
        return custom_class(config)
    return implementation(config.implementation, Model, f"model={config.name}")  # type: ignore[type-abstract]
