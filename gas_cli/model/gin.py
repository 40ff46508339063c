"""GIN."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gas_cli.batch.batch import Block, Reading, Rows
from gas_cli.config.model import GINConfig, StackConfig
from gas_cli.model.batch_norm import BatchNorm
from gas_cli.model.gain import Gain, norm_gain, spectral_norm
from gas_cli.model.model import (
    Perturb,
    Projection,
    State,
    held_statistics,
    narrower,
    propagate,
    propagate_and_transform,
    row_distance,
    transform,
    transforms_first,
)
from gas_cli.model.stack import Stack


class GINConv(nn.Module):
    """The two-layer perceptron of one layer and its ε. Both matrices and biases start as `nn.Linear`'s, those of the published example."""

    def __init__(self, config: GINConfig, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.first, self.second = Projection.like_linear(in_channels, out_channels), nn.Linear(out_channels, out_channels)
        self.norm = BatchNorm(out_channels, config.track_running_stats) if config.batch_norm or config.mlp_batch_norm else nn.Identity()
        self.eps = nn.Parameter(torch.zeros(()))

    def forward(self, z: Tensor) -> Tensor:
        """MLP(z) of aggregated inputs z [B, in_channels]."""
        return self.after_first(z @ self.first.weight + self.first.bias)

    def after_first(self, hidden: Tensor) -> Tensor:
        """The rest of the perceptron, in place on W_1 z + b_1."""
        return self.second(self.norm.relu(hidden) if isinstance(self.norm, BatchNorm) else hidden.relu_())  # type: ignore[no-any-return]


class GIN(Stack):
    """Graph isomorphism network (Xu et al., ICLR 2019), as expressive as the Weisfeiler-Lehman test.

        conv_l(h)_v = MLP_l((1 + ε_l) h_v + Σ_{w ∈ N(v)} h_w),    MLP(z) = W_2 ReLU(norm(W_1 z + b_1)) + b_2

    Sums, not means: the adjacency keeps its weights (`normalization: null`). W_1 is applied before or after the sum, whichever is narrower:
    both are linear. History per node and layer: hidden_channels values.
    """

    convolution_reads = Reading(messages=False, others=False)

    def __init__(self, config: GINConfig, in_channels: int, out_channels: int) -> None:
        super().__init__(config, in_channels, out_channels, width=config.hidden_channels)

    def make_conv(self, config: StackConfig, in_channels: int, out_channels: int, index: int) -> nn.Module:
        assert isinstance(config, GINConfig)
        return GINConv(config, in_channels, out_channels)

    @property
    def sum_widths(self) -> tuple[int, ...]:
        return narrower(*(conv.first.weight for conv in self.convs[1:]))  # type: ignore[union-attr, arg-type]

    def convolve(self, index: int, rows: Rows, block: Block, state: State) -> Tensor:
        conv = self._conv(index)
        if not transforms_first(rows, conv.first.weight):
            return conv(self._aggregate(index, rows, block))  # type: ignore[no-any-return]
        own = (1 + conv.eps) * transform(rows.target, conv.first.weight)
        return conv.after_first(propagate_and_transform(rows, block, conv.first.weight) + own + conv.first.bias)

    def layer_and_shift(self, index: int, rows: Rows, block: Block, state: State, perturb: Perturb) -> tuple[Tensor, Tensor]:
        """The noise falls on the aggregated input z of the perceptron, as in the authors' released example; f is the perceptron."""
        dropped, conv = self.drops[index].rows(self.active_inputs(index, rows), block, state.noise), self._conv(index)
        z = self._aggregate(index, dropped, block)
        out = conv(z)
        with held_statistics(conv):
            shift = row_distance(out, conv(perturb(z, block.target_ids)))
        return self.finish(index, out, dropped), shift

    def convolution_gain(self, index: int) -> Gain | None:
        """Lip(MLP) (|1 + ε|, 1), where Lip(MLP) is at most σ_max(W_1) σ_max(W_2) and the norm's constant."""
        conv = self._conv(index)
        factor = norm_gain(conv.norm)
        if factor is None:
            return None
        return Gain(abs(1 + float(conv.eps.detach())), 1.0).times(
            spectral_norm(conv.first.weight) * factor * spectral_norm(conv.second.weight)
        )

    def _aggregate(self, index: int, rows: Rows, block: Block) -> Tensor:
        """z = (1 + ε) h_v + Σ_w h_w."""
        assert isinstance(rows.target, Tensor)
        return propagate(rows, block) + (1 + self._conv(index).eps) * rows.target

    def _conv(self, index: int) -> GINConv:
        conv = self.convs[index]
        assert isinstance(conv, GINConv)
        return conv
