"""A whole model of your own, registered by name: `encode`, `layer` and `decode`, which all ways to train and to evaluate call.

    python examples/own_model.py

The three methods are the whole of it: gradients, histories, checkpoints and predictions come with them.
"""

from __future__ import annotations

from dataclasses import dataclass

import gas_cli
from gas_cli.batch.batch import Block, Rows
from gas_cli.graph.graph import Features
from gas_cli.model.model import State
from gas_cli.ops.dropout import Noise
from torch import Tensor, nn


@dataclass
class MeanConfig(gas_cli.ModelConfig):
    """Settings of the model: those that all models have, with other defaults, and `model.self_weight`."""

    normalization: str = "mean"
    self_loops: bool = False
    self_weight: float = 1.0


@gas_cli.register_model("mean", settings=MeanConfig)
class Mean(gas_cli.Model):
    """h^{l+1}_v = ReLU(self_weight W_l h_v + U_l mean of the neighbours' h), between two linear layers."""

    def __init__(self, config: MeanConfig, in_channels: int, out_channels: int) -> None:
        super().__init__()
        depth, hidden = config.num_layers, config.hidden_channels
        self.num_layers, self.widths = depth, (hidden,) * depth  # what each layer reads; layers 1 to L-1 read histories of this width
        self.self_weight = config.self_weight
        self.lin_in, self.lin_out = nn.Linear(in_channels, hidden), nn.Linear(hidden, out_channels)
        self.own = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(depth))
        self.neighbours = nn.ModuleList(nn.Linear(hidden, hidden, bias=False) for _ in range(depth))
        self.drops = [gas_cli.Drop(config.dropout, site=index) for index in range(depth)]  # masks follow the node, whatever the batch

    def encode(self, x: Features, ids: Tensor, noise: Noise) -> Tensor:
        """h_0 of a node depends on its own features only; x is dense or sparse."""
        return (gas_cli.transform(x, self.lin_in.weight.t()) + self.lin_in.bias).relu()

    def layer(self, index: int, rows: Rows, block: Block, state: State) -> Tensor:
        """rows.target [B, D] and rows.halo [H, D] are read and never changed in place: they may be histories. Returns [B, D]."""
        rows = self.drops[index].rows(rows, block, state.noise)
        return (self.self_weight * self.own[index](rows.target) + self.neighbours[index](gas_cli.propagate(rows, block))).relu()

    def decode(self, h: Tensor, block: Block, state: State) -> Tensor:
        return self.lin_out(h)

    def regularized(self) -> list[nn.Parameter]:
        """The parameters with `optimizer.reg_weight_decay`; all others have `optimizer.weight_decay`."""
        return [*self.own.parameters(), *self.neighbours.parameters()]


def main(folder: str = "runs/mean", *settings: str) -> gas_cli.Run:
    return gas_cli.train(["model=mean", "dataset.num_nodes=2000", "dataset.num_communities=10", "trainer.epochs=30", *settings], folder)


if __name__ == "__main__":
    print(main())
