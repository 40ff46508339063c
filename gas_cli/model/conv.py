"""Any bipartite convolution of PyTorch Geometric, by its class name."""

from __future__ import annotations

import difflib
import inspect
from functools import cache
from typing import Any

from torch import nn

from gas_cli.config.model import ConvConfig, ModelConfig, StackConfig
from gas_cli.errors import UserError
from gas_cli.model.bipartite import Bipartite, check_edge_dim, constructor_arguments

SAME_LAYER = {
    ("SAGEConv", None): "model=sage",
    ("SAGEConv", "mean"): "model=sage",
    ("SAGEConv", "sum"): "model=sage model.normalization=null",
    ("SAGEConv", "add"): "model=sage model.normalization=null",
    ("GraphConv", None): "model=sage model.normalization=null",
    ("GraphConv", "sum"): "model=sage model.normalization=null",
    ("GraphConv", "add"): "model=sage model.normalization=null",
    ("GraphConv", "mean"): "model=sage",
}
"""By class and `aggr`, what is the same function of rows and edges, and a sum of ours."""


class Conv(Bipartite):
    """A stack of one class of `torch_geometric.nn` (`model.conv=SAGEConv model.conv_args.aggr=max`), as `Bipartite` runs it."""

    def __init__(self, config: ConvConfig, in_channels: int, out_channels: int, edge_dim: int = 0) -> None:
        self.config = config
        super().__init__(config, in_channels, out_channels, edge_dim)

    @classmethod
    def takes_edge_attr(cls, config: ModelConfig) -> bool:
        assert isinstance(config, ConvConfig)
        return config.edge_attr and "edge_dim" in inspect.signature(_convolution(config).__init__).parameters

    @classmethod
    def takes_edge_weight(cls, config: ModelConfig) -> bool:
        assert isinstance(config, ConvConfig)
        return "edge_weight" in inspect.signature(_convolution(config).forward).parameters

    def without_sums(self) -> tuple[str, str]:
        config = self.config
        reason = f"layers are PyG's {config.conv}: nothing says how it sums up its neighbours"
        same = SAME_LAYER.get((config.conv, config.conv_args.get("aggr")))
        if same is None or not config.conv_args.keys() <= {"aggr"}:
            return reason, super().without_sums()[1]
        return reason, f"{same}, which is the same layer where edges have no weights"

    def make_conv(self, config: StackConfig, in_channels: int, out_channels: int, index: int) -> nn.Module:
        assert isinstance(config, ConvConfig)
        return _construct(config, in_channels, out_channels, self.edge_dim)


@cache
def bipartite_convolutions() -> dict[str, type[Any]]:
    """Classes of `torch_geometric.nn` that are built from (in_channels, out_channels) and take a pair of source and target rows."""
    import torch_geometric.nn as pyg

    members = {name: getattr(pyg, name) for name in dir(pyg)}
    return {name: c for name, c in members.items() if inspect.isclass(c) and issubclass(c, pyg.MessagePassing) and _fits(c)}


def _fits(convolution: type[Any]) -> bool:
    forward, init = (inspect.signature(f).parameters for f in (convolution.forward, convolution.__init__))
    if not {"x", "edge_index"} <= forward.keys() or "Tuple" not in str(forward["x"].annotation):
        return False
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.POSITIONAL_ONLY)
    required = [p.name for p in init.values() if p.default is p.empty and p.kind in named]
    others = [p.name for p in forward.values() if p.default is p.empty and p.name not in ("self", "x", "edge_index")]
    return required == ["self", "in_channels", "out_channels"] and not others


def _convolution(config: ConvConfig) -> type[Any]:
    known = bipartite_convolutions()
    if config.conv not in known:
        near = difflib.get_close_matches(config.conv, known, n=3, cutoff=0.4)
        hint = f"Did you mean {' or '.join(near)}? " if near else ""
        raise UserError(
            f"model.conv={config.conv} is not a bipartite convolution of torch_geometric.nn. {hint}Choices: {', '.join(known)}."
        )
    return known[config.conv]


def _construct(config: ConvConfig, in_channels: int, out_channels: int, edge_dim: int) -> nn.Module:
    convolution = _convolution(config)
    if "edge_dim" in inspect.signature(convolution.__init__).parameters:
        check_edge_dim(config, "model.conv_args", config.conv_args, edge_dim)
    try:
        conv: nn.Module = convolution(in_channels, out_channels, **constructor_arguments(convolution, config.conv_args, edge_dim))
    except (TypeError, ValueError, AssertionError) as error:
        raise UserError(f"model.conv_args={config.conv_args} do not fit {config.conv}: {error}") from error
    return conv
