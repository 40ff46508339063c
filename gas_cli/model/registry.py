"""Architectures by config name."""

from __future__ import annotations

from collections.abc import Callable

import torch

from gas_cli.config.model import APPNPConfig, ConvConfig, GATConfig, GCNConfig, GCNIIConfig, GINConfig, ModelConfig, SAGEConfig
from gas_cli.errors import UserError
from gas_cli.model.appnp import APPNP
from gas_cli.model.conv import Conv
from gas_cli.model.gat import GAT
from gas_cli.model.gcn import GCN
from gas_cli.model.gcnii import GCNII
from gas_cli.model.gin import GIN
from gas_cli.model.model import Model
from gas_cli.model.sage import SAGE

BUILDERS: dict[type[ModelConfig], Callable[..., Model]] = {
    GCNConfig: GCN,
    GATConfig: GAT,
    SAGEConfig: SAGE,
    GINConfig: GIN,
    ConvConfig: Conv,
    GCNIIConfig: GCNII,
    APPNPConfig: APPNP,
}
"""The class of an architecture by the class of its settings; called with (config, in_channels, out_channels)."""


def build_model(config: ModelConfig, in_channels: int, out_channels: int, seed: int) -> Model:
    """The architecture that `config`'s class stands for, its parameters a function of `seed`; leaves torch's global generator as it was."""
    builder = BUILDERS.get(type(config))
    if builder is None:
        known = ", ".join(sorted(c().name for c in BUILDERS))
        raise UserError(f"model={config.name} is not known: expected one of {known}.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return builder(config, in_channels, out_channels)
