"""The frame that most architectures share: dropout, convolution, normalisation, residual, activation, layer after layer."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from gas_cli.batch.batch import Block, Reading, Rows
from gas_cli.config.model import StackConfig
from gas_cli.graph.graph import Features
from gas_cli.model.batch_norm import BatchNorm
from gas_cli.model.gain import Gain, spectral_norm
from gas_cli.model.model import Drop, Model, State, input_linear, mixes_nodes, transform
from gas_cli.ops.csr import CSR
from gas_cli.ops.dropout import Noise

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu_, "elu": F.elu_}


class Stack(Model):
    """h^{l+1} = act(norm(conv_l(dropout(h^l))) [+ h^l]), the last layer without norm and activation.

    With `linear` a linear layer (and activation) comes before the first convolution and one after the last, which then is like the others.
    A subclass gives the convolutions: `make_conv` builds layer l's parameters, `convolve` runs them.

    A class says what its convolution reads (`convolution_reads`): `messages`, whether it reads its sources otherwise than by `propagate`;
    `own`, whether it reads the targets' rows beside that; `others`, whether a target's output depends on other targets' messages. Batch
    norms in `convs` are found.

    Shapes: x [n, in_channels] → scores [n, out_channels]; histories [N, width] for layers 1..L-1.
    """

    can_activate_inputs = True
    convolution_reads = Reading(others=False)

    def __init__(self, config: StackConfig, in_channels: int, out_channels: int, width: int, edge_dim: int = 0) -> None:
        """`width` is the number of channels that a hidden convolution puts out, `edge_dim` that of the edge attributes that it reads."""
        super().__init__()
        self.edge_dim = edge_dim
        depth = config.num_layers
        self.num_layers, self.linear, self.residual = depth, config.linear, config.residual
        first, last = (config.hidden_channels, width) if config.linear else (in_channels, out_channels)
        dims = [first] + [width] * (depth - 1) + [last]
        self.widths, self.out_width = tuple(dims[:-1]), dims[-1]
        self.activation = ACTIVATIONS[config.activation]
        self.convs = nn.ModuleList(self.make_conv(config, a, b, index) for index, (a, b) in enumerate(pairwise(dims)))
        num_norms = (depth if config.linear else depth - 1) if config.batch_norm else 0
        self.norms = nn.ModuleList(BatchNorm(width, config.track_running_stats) for _ in range(num_norms))
        self.lin_in = input_linear(in_channels, config.hidden_channels) if config.linear else None
        self.lin_out = nn.Linear(width, out_channels) if config.linear else None
        self.drop_input = Drop(config.dropout if config.drop_input else 0.0, site=0)
        # Without input layers the first convolution's own dropout is the input dropout.
        self.drops = [Drop(config.dropout if index > 0 or config.linear else 0.0, site=index + 1) for index in range(depth + 1)]
        reads = self.convolution_reads
        self.reading = Reading(
            messages=reads.messages or config.linear or self.drop_input.p > 0,
            own=reads.own or config.residual,
            others=reads.others or mixes_nodes(self.convs[-1]) or mixes_nodes(self.norms[depth - 1 :]),
        )

    @abstractmethod
    def make_conv(self, config: StackConfig, in_channels: int, out_channels: int, index: int) -> nn.Module:
        """The parameters of convolution `index`; called once per layer while constructing."""

    @abstractmethod
    def convolve(self, index: int, rows: Rows, block: Block, state: State) -> Tensor:
        """Convolution `index` on inputs that dropout has passed: [B, out_channels], a tensor of its own."""

    def is_last(self, index: int) -> bool:
        return index == self.num_layers - 1 and not self.linear

    def encode(self, x: Features, ids: Tensor, noise: Noise) -> Features:
        x = self.drop_input(x, ids, noise)
        if self.lin_in is None:
            return x
        return self.activation(transform(x, self.lin_in.weight.t()).add_(self.lin_in.bias))

    def layer(self, index: int, rows: Rows, block: Block, state: State) -> Tensor:
        dropped = self.drops[index].rows(self.active_inputs(index, rows), block, state.noise)
        return self.finish(index, self.convolve(index, dropped, block, state), dropped)

    def active_output(self, index: int, out: Tensor) -> Tensor:
        return self.activation(out.clone()) if self.activates_inputs and not self.is_last(index) else out

    def finish(self, index: int, out: Tensor, dropped: Rows) -> Tensor:
        """What follows convolution `index`: norm, residual and (where it is not moved) activation, in place on `out`."""
        if self.is_last(index):
            return out
        # In place where autograd does not need the value before: a fresh table per operation costs more than the operation.
        residual = None
        if self.residual and not isinstance(dropped.target, CSR) and dropped.target.shape == out.shape:
            residual = dropped.target
        if len(self.norms):
            norm = self.norms[index]
            assert isinstance(norm, BatchNorm)
            if self.activation is F.relu_ and not self.activates_inputs:
                return norm.relu(out, residual)
            out = norm(out)
        out = out if residual is None else out.add_(residual)
        return out if self.activates_inputs else self.activation(out)

    def decode(self, h: Tensor, block: Block, state: State) -> Tensor:
        if self.lin_out is None:
            return h
        h = self.active_output(self.num_layers - 1, h)
        return self.lin_out(self.drops[self.num_layers](h, block.target_ids, state.noise))  # type: ignore[no-any-return]

    def convolution_gain(self, index: int) -> Gain | None:
        """The gain of `convolve`; None where attention or a library decides."""
        return None

    def gain(self, index: int) -> Gain | None:
        gain = self.convolution_gain(index)
        if gain is None or self.is_last(index):
            return gain
        gain = gain.normalised(self.norms, index)
        return gain.with_residual() if gain is not None and self.residual else gain

    def decode_gain(self) -> float:
        return 1.0 if self.lin_out is None else spectral_norm(self.lin_out.weight)

    def regularized(self) -> list[nn.Parameter]:
        """The hidden convolutions with their norms; all convolutions where linear layers frame them."""
        convs = self.convs if self.linear else self.convs[:-1]
        return [*convs.parameters(), *self.norms.parameters()]
