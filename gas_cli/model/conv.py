"""Any bipartite convolution of PyTorch Geometric, by its class name."""

from __future__ import annotations

import difflib
import inspect
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from gas_cli.batch.batch import Block
from gas_cli.config.model import ConvConfig, ModelConfig, StackConfig
from gas_cli.errors import UserError
from gas_cli.graph.graph import Features
from gas_cli.model.model import Rows, State
from gas_cli.model.stack import Stack
from gas_cli.ops.csr import CSR


class Conv(Stack):
    """A stack of one class of `torch_geometric.nn` (`model.conv=SAGEConv model.conv_args.aggr=max`).

        conv_l(h) = PyGConv(channels_l, channels_{l+1}, **conv_args)((h_{B+H}, h_B), edge_index)

    The convolution gets the block as PyG's bipartite graphs: sources are the targets, then the halo. Edge weights are passed where it takes
    `edge_weight`, edge attributes where its constructor takes `edge_dim`, which is set to their number of columns. Convolutions that add
    self-loops by themselves are told not to: `model.self_loops` does it for the whole graph.
    Randomness inside the convolution (its own dropout) comes from torch's generator. History per node and layer: hidden_channels values.
    """

    def __init__(self, config: ConvConfig, in_channels: int, out_channels: int, edge_dim: int = 0) -> None:
        super().__init__(config, in_channels, out_channels, width=config.hidden_channels, edge_dim=edge_dim)

    @classmethod
    def takes_edge_attr(cls, config: ModelConfig) -> bool:
        assert isinstance(config, ConvConfig)
        return config.edge_attr and "edge_dim" in inspect.signature(_convolution(config).__init__).parameters

    def make_conv(self, config: StackConfig, in_channels: int, out_channels: int, index: int) -> nn.Module:
        assert isinstance(config, ConvConfig)
        return _construct(config, in_channels, out_channels, self.edge_dim)

    def convolve(self, index: int, rows: Rows, block: Block, state: State) -> Tensor:
        conv = self.convs[index]
        target, halo = _dense(rows.target), _dense(rows.halo)
        extra = {"edge_weight": block.edge_weight} if "edge_weight" in inspect.signature(conv.forward).parameters else {}
        if self.edge_dim:
            assert block.edge_attr is not None, "a model with edge_dim gets blocks with attributes"
            extra["edge_attr"] = block.edge_attr
        return conv((torch.cat([target, halo]), target), torch.stack([block.edge_source, block.edge_target]), **extra)  # type: ignore[no-any-return]


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
    accepted = inspect.signature(convolution.__init__).parameters
    arguments: dict[str, Any] = dict(config.conv_args)
    if "edge_dim" in accepted:
        _check_edge_dim(config, edge_dim)
        arguments |= {"edge_dim": edge_dim} if edge_dim else {}
    if "add_self_loops" in accepted:
        arguments.setdefault("add_self_loops", False)
    try:
        conv: nn.Module = convolution(in_channels, out_channels, **arguments)
    except (TypeError, ValueError, AssertionError) as error:
        raise UserError(f"model.conv_args={config.conv_args} do not fit {config.conv}: {error}") from error
    return conv


def _check_edge_dim(config: ConvConfig, edge_dim: int) -> None:
    wanted = config.conv_args.get("edge_dim")
    if wanted not in (None, edge_dim):
        found = f"the edges have {edge_dim or 'no'} attributes" if config.edge_attr else "model.edge_attr=false"
        raise UserError(f"model.conv_args.edge_dim={wanted}: {found}. Leave it out: it follows the graph.")


def _dense(x: Features) -> Tensor:
    """PyG's convolutions take dense rows: the features of one batch, never of the whole graph."""
    return x.to_dense() if isinstance(x, CSR) else x
