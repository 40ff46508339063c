"""GAT and GATv2."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gas_cli.batch.batch import Block, Rows
from gas_cli.config.model import GATConfig, ModelConfig, StackConfig
from gas_cli.model.model import State, glorot, transform
from gas_cli.model.stack import Stack
from gas_cli.ops.attention import SLOPE, EdgeDropout, attend, edge_softmax
from gas_cli.ops.dropout import dropout
from gas_cli.ops.graph_attention import graph_attention

ATTENTION_SITE = 1 << 16
"""Beyond the sites of the layers' dropouts."""


class GATConv(nn.Module):
    """Parameters of one layer: projections of sources, targets and edge attributes, and one attention vector per head."""

    def __init__(self, in_channels: int, channels: int, heads: int, concat: bool, second_version: bool, edge_dim: int = 0) -> None:
        super().__init__()
        self.heads, self.channels, self.concat = heads, channels, concat
        self.source = nn.Parameter(glorot(in_channels, heads * channels))
        self.target = nn.Parameter(glorot(in_channels, heads * channels)) if second_version else None
        self.att_source = nn.Parameter(glorot(heads, channels))
        self.att_target = None if second_version else nn.Parameter(glorot(heads, channels))
        self.bias = nn.Parameter(torch.zeros(heads * channels if concat else channels))
        self.edge = nn.Parameter(glorot(edge_dim, heads * channels)) if edge_dim else None
        self.att_edge = nn.Parameter(glorot(heads, channels)) if edge_dim and not second_version else None


class GAT(Stack):
    """Graph attention networks (Veličković et al., ICLR 2018; version 2: Brody et al., ICLR 2022).

        conv_l(h)_v = ∥_k or mean_k  Σ_{w ∈ N(v)} α^k_vw W^k h_w,    α^k_vw = softmax_w e^k_vw
        GAT:   e^k_vw = LeakyReLU(a_s · W^k h_w + a_t · W^k h_v)
        GATv2: e^k_vw = a · LeakyReLU(W_s^k h_w + W_t^k h_v)
    With attributes u_vw of the edges, as in PyG: a_e · W_e^k u_vw is added inside GAT's LeakyReLU, W_e^k u_vw inside GATv2's.

    Hidden layers concatenate their `heads`, the last one averages `out_heads`. Dropout falls on the inputs and on α. The adjacency has
    self-loops; its weights are not used. History per node and layer: heads * hidden_channels values.
    """

    def __init__(self, config: GATConfig, in_channels: int, out_channels: int, edge_dim: int = 0) -> None:
        super().__init__(config, in_channels, out_channels, width=config.heads * config.hidden_channels, edge_dim=edge_dim)
        self.attention_dropout = config.dropout

    @classmethod
    def takes_edge_attr(cls, config: ModelConfig) -> bool:
        return isinstance(config, GATConfig) and config.edge_attr

    @classmethod
    def takes_edge_weight(cls, config: ModelConfig) -> bool:
        return False

    def make_conv(self, config: StackConfig, in_channels: int, out_channels: int, index: int) -> nn.Module:
        assert isinstance(config, GATConfig)
        last = index == config.num_layers - 1 and not config.linear
        heads, channels = (config.out_heads, out_channels) if last else (config.heads, config.hidden_channels)
        return GATConv(in_channels, channels, heads, concat=not last, second_version=config.version == 2, edge_dim=self.edge_dim)

    def convolve(self, index: int, rows: Rows, block: Block, state: State) -> Tensor:
        conv = self.convs[index]
        assert isinstance(conv, GATConv)
        drop = EdgeDropout(self.attention_dropout, state.noise, ATTENTION_SITE + index)
        attention = _attention if conv.att_target is not None else _second_attention
        out = attention(conv, rows, block, drop)
        return (out if conv.concat else out.view(-1, conv.heads, conv.channels).mean(1)) + conv.bias


def _attention(conv: GATConv, rows: Rows, block: Block, drop: EdgeDropout) -> Tensor:
    """Version 1: [B, heads * channels]."""
    assert conv.att_target is not None
    term = None
    if conv.edge is not None and conv.att_edge is not None:
        by_column = (conv.edge.view(-1, conv.heads, conv.channels) * conv.att_edge).sum(-1)  # [D, heads]: a_e W_e, before edges multiply it
        term = _attributes(block) @ by_column
    own, halo = transform(rows.target, conv.source), transform(rows.halo, conv.source)
    return graph_attention(own, halo, conv.att_source, conv.att_target, block, drop, term)


def _second_attention(conv: GATConv, rows: Rows, block: Block, drop: EdgeDropout) -> Tensor:
    """Version 2: [B, heads * channels]."""
    assert conv.target is not None
    shape = (-1, conv.heads, conv.channels)
    sources = torch.cat([transform(rows.target, conv.source), transform(rows.halo, conv.source)]).view(shape)  # [B+H, heads, C]
    targets = transform(rows.target, conv.target).view(shape)
    both = sources.index_select(0, block.edge_source) + targets.index_select(0, block.edge_target)
    if conv.edge is not None:
        both = both + (_attributes(block) @ conv.edge).view_as(both)
    alpha = edge_softmax((F.leaky_relu(both, SLOPE) * conv.att_source).sum(-1), block.edge_target, block.num_targets)
    kept = dropout(alpha, drop.p, drop.noise, drop.site, block.edge_ids)
    return attend(kept, sources, block.edge_source, block.edge_target, block.num_targets).flatten(1)


def _attributes(block: Block) -> Tensor:
    assert block.edge_attr is not None, "a model with edge_dim gets blocks with attributes"
    return block.edge_attr
