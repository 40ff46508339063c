"""GraphSAGE."""

from __future__ import annotations

from torch import Tensor, nn

from gas_cli.batch.batch import Block, Reading, Rows
from gas_cli.config.model import SAGEConfig, StackConfig
from gas_cli.model.gain import Gain, spectral_norm
from gas_cli.model.model import Projection, State, fan_in, narrower, propagate_and_transform, transform
from gas_cli.model.stack import Stack


class SAGEConv(nn.Module):
    """The two maps of one layer, which start as `nn.Linear` does: with Glorot's weights, scores on wide features start too large."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.own = Projection(in_channels, out_channels, fan_in)
        self.neighbours = nn.Parameter(fan_in(in_channels, out_channels))


class SAGE(Stack):
    """GraphSAGE with mean aggregation (Hamilton et al., NeurIPS 2017), on all neighbours instead of a sample.

        conv_l(h)_v = W_1 h_v + W_2 mean_{w ∈ N(v)} h_w + b_l

    The adjacency is normalised by the sum of each row's weights (`normalization: mean`).
    History per node and layer: hidden_channels values.
    """

    convolution_reads = Reading(messages=False, others=False)

    def __init__(self, config: SAGEConfig, in_channels: int, out_channels: int) -> None:
        super().__init__(config, in_channels, out_channels, width=config.hidden_channels)

    def make_conv(self, config: StackConfig, in_channels: int, out_channels: int, index: int) -> nn.Module:
        return SAGEConv(in_channels, out_channels)

    @property
    def sum_widths(self) -> tuple[int, ...]:
        return narrower(*(conv.neighbours for conv in self.convs[1:]))  # type: ignore[arg-type]

    def convolve(self, index: int, rows: Rows, block: Block, state: State) -> Tensor:
        conv = self.convs[index]
        assert isinstance(conv, SAGEConv)
        mean = propagate_and_transform(rows, block, conv.neighbours)
        return mean.add_(transform(rows.target, conv.own.weight)).add_(conv.own.bias)

    def convolution_gain(self, index: int) -> Gain:
        """σ_max(W_1) for the node itself, σ_max(W_2) for the mean."""
        conv = self.convs[index]
        assert isinstance(conv, SAGEConv)
        return Gain(spectral_norm(conv.own.weight), spectral_norm(conv.neighbours))
