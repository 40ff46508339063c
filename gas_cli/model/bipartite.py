"""Convolutions in the interface of PyTorch Geometric's bipartite graphs, inside the frame of a `Stack`."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gas_cli.batch.batch import Block, Reading, Rows
from gas_cli.config.model import ConvConfig, CustomConfig, StackConfig
from gas_cli.errors import UserError
from gas_cli.graph.graph import Features
from gas_cli.model.model import State
from gas_cli.model.stack import Stack
from gas_cli.ops.csr import CSR


class Bipartite(Stack):
    """A stack of one class of convolutions.

        conv_l = Convolution(channels_l, channels_{l+1}, **arguments),    conv_l((h_{B+H}, h_B), edge_index)

    The convolution gets the block as PyG's bipartite graphs: sources are the targets, then the halo. Edge weights are passed where it takes
    `edge_weight`, edge attributes where the model was built for some (`edge_dim`). Convolutions that add self-loops by themselves are told
    not to: `model.self_loops` does it for the whole graph. Randomness inside the convolution (its own dropout) comes from torch's
    generator. History per node and layer: hidden_channels values.
    """

    convolution_reads = Reading()  # code from elsewhere: nobody knows what it does with the other targets

    def __init__(self, config: StackConfig, in_channels: int, out_channels: int, edge_dim: int = 0) -> None:
        super().__init__(config, in_channels, out_channels, width=config.hidden_channels, edge_dim=edge_dim)

    @abstractmethod
    def make_conv(self, config: StackConfig, in_channels: int, out_channels: int, index: int) -> nn.Module:
        """`index`th convolution: a subclass chooses its class."""

    def convolve(self, index: int, rows: Rows, block: Block, state: State) -> Tensor:
        conv = self.convs[index]
        target, halo = dense(rows.target), dense(rows.halo)
        extra = {"edge_weight": block.edge_weight} if "edge_weight" in inspect.signature(conv.forward).parameters else {}
        if self.edge_dim:
            assert block.edge_attr is not None, "a model with edge_dim gets blocks with attributes"
            extra["edge_attr"] = block.edge_attr
        return conv((torch.cat([target, halo]), target), torch.stack([block.edge_source, block.edge_target]), **extra)  # type: ignore[no-any-return]


def constructor_arguments(convolution: type[Any], given: Mapping[str, Any], edge_dim: int) -> dict[str, Any]:
    """`given`, and what the block decides where the constructor asks for it: `edge_dim`, no self-loops."""
    accepted = inspect.signature(convolution.__init__).parameters
    arguments = dict(given)
    if "edge_dim" in accepted and edge_dim:
        arguments["edge_dim"] = edge_dim
    if "add_self_loops" in accepted:
        arguments.setdefault("add_self_loops", False)
    return arguments


def check_edge_dim(config: ConvConfig | CustomConfig, setting: str, given: Mapping[str, Any], edge_dim: int) -> None:
    """Raise `UserError` where `setting` holds an `edge_dim` that is not the graph's."""
    wanted = given.get("edge_dim")
    if wanted not in (None, edge_dim):
        found = f"the edges have {edge_dim or 'no'} attributes" if config.edge_attr else "model.edge_attr=false"
        raise UserError(f"{setting}.edge_dim={wanted}: {found}. Leave it out: it follows the graph.")


def dense(x: Features) -> Tensor:
    """These convolutions take dense rows: the features of one batch, never of the whole graph."""
    return x.to_dense() if isinstance(x, CSR) else x
