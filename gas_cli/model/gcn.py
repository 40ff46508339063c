"""GCN."""

from __future__ import annotations

from torch import Tensor, nn

from gas_cli.batch.batch import Block, Reading, Rows
from gas_cli.config.model import GCNConfig, StackConfig
from gas_cli.model.gain import Gain, spectral_norm
from gas_cli.model.model import Projection, State, narrower, propagate_and_transform
from gas_cli.model.stack import Stack


class GCN(Stack):
    """Graph convolutional network (Kipf & Welling, ICLR 2017).

        conv_l(h) = Â h W_l + b_l,    Â = D^-1/2 (A + I) D^-1/2

    History per node and layer: hidden_channels values.
    """

    convolution_reads = Reading(messages=False, own=False, others=False)

    def __init__(self, config: GCNConfig, in_channels: int, out_channels: int) -> None:
        super().__init__(config, in_channels, out_channels, width=config.hidden_channels)

    def make_conv(self, config: StackConfig, in_channels: int, out_channels: int, index: int) -> nn.Module:
        return Projection(in_channels, out_channels)

    @property
    def sum_widths(self) -> tuple[int, ...]:
        return narrower(*(conv.weight for conv in self.convs[1:]))  # type: ignore[arg-type]

    def convolve(self, index: int, rows: Rows, block: Block, state: State) -> Tensor:
        conv = self.convs[index]
        assert isinstance(conv, Projection)
        return propagate_and_transform(rows, block, conv.weight).add_(conv.bias)

    def convolution_gain(self, index: int) -> Gain:
        """σ_max(W)."""
        conv = self.convs[index]
        assert isinstance(conv, Projection)
        return Gain(0.0, spectral_norm(conv.weight))
