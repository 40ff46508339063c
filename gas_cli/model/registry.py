"""Architectures by config name."""

from __future__ import annotations

import torch

from gas_cli.config.model import (
    APPNPConfig,
    ConvConfig,
    CustomConfig,
    GATConfig,
    GCNConfig,
    GCNIIConfig,
    GINConfig,
    ModelConfig,
    PNAConfig,
    PNAJKConfig,
    SAGEConfig,
)
from gas_cli.errors import UserError
from gas_cli.model.appnp import APPNP
from gas_cli.model.conv import Conv
from gas_cli.model.custom import custom_class
from gas_cli.model.gat import GAT
from gas_cli.model.gcn import GCN
from gas_cli.model.gcnii import GCNII
from gas_cli.model.gin import GIN
from gas_cli.model.model import Model
from gas_cli.model.pna import PNA, PNAJK
from gas_cli.model.sage import SAGE
from gas_cli.model.user_code import implementation

BUILDERS: dict[type[ModelConfig], type[Model]] = {
    GCNConfig: GCN,
    GATConfig: GAT,
    SAGEConfig: SAGE,
    GINConfig: GIN,
    ConvConfig: Conv,
    PNAConfig: PNA,
    PNAJKConfig: PNAJK,
    GCNIIConfig: GCNII,
    APPNPConfig: APPNP,
}
"""The class of an architecture by the class of its settings; called with (config, in_channels, out_channels), and with `edge_dim` where it
takes edge attributes."""


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
    if config.implementation:
        return implementation(config.implementation, Model, f"model={config.name}")  # type: ignore[type-abstract]
    builder = BUILDERS.get(type(config))
    if builder is None:
        known = ", ".join(sorted(c().name for c in BUILDERS))
        raise UserError(f"model={config.name} is not known: expected one of {known}.")
    return builder
