"""APPNP."""

from __future__ import annotations

from torch import Tensor, nn

from gas_cli.batch.batch import Block, Reading, Rows
from gas_cli.config.model import APPNPConfig
from gas_cli.graph.graph import Features
from gas_cli.model.gain import Gain
from gas_cli.model.model import Drop, Model, State, input_linear, propagate, transform
from gas_cli.ops.dropout import Noise


class APPNP(Model):
    """Predict then propagate (Gasteiger et al., ICLR 2019): personalised PageRank of a perceptron's class scores.

        h_0 = W_2 dropout(ReLU(W_1 dropout(x)));    h^{l+1} = (1-α) Â h^l + α h_0

    Shapes: x [n, in_channels] → scores [n, out_channels]; histories [N, out_channels] for layers 1..L-1.
    """

    uses_initial = True
    reading = Reading(others=False)

    def __init__(self, config: APPNPConfig, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.num_layers, self.widths, self.alpha = config.num_layers, (out_channels,) * config.num_layers, config.alpha
        self.lin_in = input_linear(in_channels, config.hidden_channels)
        self.lin_out = nn.Linear(config.hidden_channels, out_channels)
        self.drop_input = Drop(config.dropout if config.drop_input else 0.0, site=0)
        self.drop_hidden = Drop(config.dropout, site=1)

    @property
    def sum_widths(self) -> tuple[int, ...]:
        return self.widths[1:]

    def encode(self, x: Features, ids: Tensor, noise: Noise) -> Tensor:
        x = self.drop_input(x, ids, noise)
        hidden = transform(x, self.lin_in.weight.t()).add_(self.lin_in.bias).relu_()
        return self.lin_out(self.drop_hidden(hidden, ids, noise))  # type: ignore[no-any-return]

    def layer(self, index: int, rows: Rows, block: Block, state: State) -> Tensor:
        assert isinstance(state.initial, Tensor)
        return propagate(rows, block, None, 1 - self.alpha, state.initial, self.alpha)

    def decode(self, h: Tensor, block: Block, state: State) -> Tensor:
        return h

    def gain(self, index: int) -> Gain:
        """(1-α) |Â|: no weights; the h_0 term is exact."""
        return Gain(0.0, 1 - self.alpha)

    def decode_gain(self) -> float:
        return 1.0

    def regularized(self) -> list[nn.Parameter]:
        """The first linear layer alone, as the method's authors regularise it."""
        return list(self.lin_in.parameters())
