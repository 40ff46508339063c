"""GCN."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from gas_cli.batch.batch import Block
from gas_cli.config.model import GCNConfig
from gas_cli.graph.graph import Features
from gas_cli.model.model import BatchNorm, Drop, Model, Rows, State, propagate_and_transform, transform
from gas_cli.ops.csr import CSR
from gas_cli.ops.dropout import Noise


class GCN(Model):
    """Graph convolutional network (Kipf & Welling, ICLR 2017).

        h^{l+1} = ReLU(norm(Â dropout(h^l) W_l + b_l) [+ h^l])

    with Â the normalised adjacency of the block. The last layer has neither norm nor ReLU unless `linear` is set, which puts a
    linear layer (with ReLU) before the first convolution and one after the last.

    Shapes: x [n, in_channels] → scores [n, out_channels]; histories [N, hidden_channels] for layers 1..L-1.
    """

    def __init__(self, config: GCNConfig, in_channels: int, out_channels: int) -> None:
        super().__init__()
        depth, hidden = config.num_layers, config.hidden_channels
        self.num_layers, self.linear, self.residual = depth, config.linear, config.residual
        first, last = (hidden, hidden) if config.linear else (in_channels, out_channels)
        dims = [first] + [hidden] * (depth - 1) + [last]
        self.widths = tuple(dims[:-1])
        self.weights = nn.ParameterList(nn.init.xavier_uniform_(torch.empty(a, b)) for a, b in pairwise(dims))
        self.biases = nn.ParameterList(torch.zeros(b) for b in dims[1:])
        num_norms = (depth if config.linear else depth - 1) if config.batch_norm else 0
        self.norms = nn.ModuleList(BatchNorm(hidden) for _ in range(num_norms))
        self.lin_in = nn.Linear(in_channels, hidden) if config.linear else None
        self.lin_out = nn.Linear(hidden, out_channels) if config.linear else None
        self.drop_input = Drop(config.dropout if config.drop_input else 0.0, site=0)
        # Without input layers the first convolution's own dropout is the input dropout.
        self.drops = [Drop(config.dropout if index > 0 or config.linear else 0.0, site=index + 1) for index in range(depth + 1)]

    def encode(self, x: Features, ids: Tensor, noise: Noise) -> Features:
        x = self.drop_input(x, ids, noise)
        if self.lin_in is None:
            return x
        return transform(x, self.lin_in.weight.t()).add_(self.lin_in.bias).relu_()

    def layer(self, index: int, rows: Rows, block: Block, state: State) -> Tensor:
        dropped = self.drops[index].rows(rows, block, state.noise)
        # In place where autograd does not need the value before: a fresh table per operation costs more than the operation.
        out = propagate_and_transform(dropped, block, self.weights[index]).add_(self.biases[index])
        if index == self.num_layers - 1 and not self.linear:
            return out
        if len(self.norms):
            out = self.norms[index](out)
        if self.residual and not isinstance(dropped.target, CSR) and dropped.target.shape == out.shape:
            out = out.add_(dropped.target)
        return out.relu_()

    def decode(self, h: Tensor, block: Block, state: State) -> Tensor:
        if self.lin_out is None:
            return h
        return self.lin_out(self.drops[self.num_layers](h, block.target_ids, state.noise))  # type: ignore[no-any-return]

    def regularized(self) -> list[nn.Parameter]:
        convs = [*self.weights, *self.biases] if self.linear else [*self.weights[:-1], *self.biases[:-1]]
        return [*convs, *self.norms.parameters()]
