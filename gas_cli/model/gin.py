"""GIN."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gas_cli.batch.batch import Block
from gas_cli.config.model import GINConfig, StackConfig
from gas_cli.model.model import BatchNorm, Projection, Rows, State, propagate_and_transform, transform
from gas_cli.model.stack import Stack


class GINConv(nn.Module):
    """The two-layer perceptron of one layer and its ε."""

    def __init__(self, in_channels: int, out_channels: int, batch_norm: bool) -> None:
        super().__init__()
        self.first, self.second = Projection(in_channels, out_channels), nn.Linear(out_channels, out_channels)
        self.norm = BatchNorm(out_channels) if batch_norm else nn.Identity()
        self.eps = nn.Parameter(torch.zeros(()))


class GIN(Stack):
    """Graph isomorphism network (Xu et al., ICLR 2019), as expressive as the Weisfeiler-Lehman test.

        conv_l(h)_v = MLP_l((1 + ε_l) h_v + Σ_{w ∈ N(v)} h_w),    MLP(z) = W_2 ReLU(norm(W_1 z + b_1)) + b_2

    Sums, not means: the adjacency keeps its weights (`normalization: none`). W_1 is applied before or after the sum, whichever is narrower:
    both are linear. History per node and layer: hidden_channels values.
    """

    def __init__(self, config: GINConfig, in_channels: int, out_channels: int) -> None:
        super().__init__(config, in_channels, out_channels, width=config.hidden_channels)

    def make_conv(self, config: StackConfig, in_channels: int, out_channels: int, index: int) -> nn.Module:
        return GINConv(in_channels, out_channels, config.batch_norm)

    def convolve(self, index: int, rows: Rows, block: Block, state: State) -> Tensor:
        conv = self.convs[index]
        assert isinstance(conv, GINConv)
        own = (1 + conv.eps) * transform(rows.target, conv.first.weight)
        z = propagate_and_transform(rows, block, conv.first.weight) + own + conv.first.bias
        return conv.second(conv.norm(z).relu_())  # type: ignore[no-any-return]
