"""A training method of your own: GAS whose histories are moving averages, h̄ ← (1 - rate) h̄ + rate h.

    python examples/own_method.py

With rate=1 it is GAS.
"""

from __future__ import annotations

from dataclasses import dataclass

import gas_cli
import torch
from gas_cli.config.checks import require_between
from gas_cli.config.method import GASConfig
from gas_cli.method.gas import GAS, GASLink
from gas_cli.method.method import Phase, Through, itself, untimed
from gas_cli.tables.histories import Histories
from torch import Tensor


@dataclass
class AveragedConfig(GASConfig):
    """Settings of the method: `method.rate`. The base class answers what GAS asks of the other settings."""

    rate: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        require_between("method.rate", self.rate, 0.0, 1.0)


@gas_cli.register_method("averaged", settings=AveragedConfig)
class Averaged(GAS):
    """Tables, batches and checkpoints are those of GAS."""

    def link(self, phase: Phase = untimed, through: Through = itself) -> GASLink:
        return AveragedLink(self.histories.map(through), phase, self.config.rate)


class AveragedLink(GASLink):
    """What happens inside a step: `begin`, `between` before each layer but the first, the update of the weights, `end`."""

    def __init__(self, histories: Histories, phase: Phase, rate: float) -> None:
        super().__init__(histories, phase)
        self.rate = rate

    def pushed(self, layer: int, h: Tensor) -> Tensor:
        """The rows [B, C] that go into the table of `layer`, in place of the outputs `h` of the layer before."""
        before = self.histories[layer].read(self._batch.ranges).wait()
        return torch.lerp(before, h, self.rate)


def main(folder: str = "runs/averaged", *settings: str) -> gas_cli.Run:
    return gas_cli.train(["method=averaged", "dataset.num_nodes=2000", "trainer.epochs=30", *settings], folder)


if __name__ == "__main__":
    print(main())
