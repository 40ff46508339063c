"""A method from outside the package, with everything that a method may have: the seam that the tests next to it pull at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from gas_cli.batch.batch import Batch, Rows
from gas_cli.batch.loader import BatchLoader
from gas_cli.config.checks import require_non_negative
from gas_cli.config.method import GASConfig, MethodConfig
from gas_cli.method.gas import GAS, GASLink
from gas_cli.method.method import Link, Phase, Through, Training, itself, untimed
from gas_cli.ops.spmm import spmm
from gas_cli.saved import check_keys, check_tensor
from gas_cli.tables.ages import Ages
from gas_cli.tables.histories import Histories, make_histories
from gas_cli.tables.table import Table
from tests.method.kept import CLASSES


@dataclass
class BothWaysConfig(GASConfig):
    """GAS whose backward pass hears of the halo: `strength` times the gradients that its nodes had when they were last computed."""

    implementation: ClassVar[str] = "tests.method.outside:BothWays"
    name: str = "both_ways"
    strength: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        require_non_negative("method.strength", self.strength)


class BothWays(GAS):
    """Tables of gradients next to the histories, written by position after each update, aged by row; and a counter of its own.

    As if every layer were the sum over the neighbours: grad h_B += strength · A_BO Ḡ_O for a symmetric A.
    """

    def __init__(self, config: MethodConfig, training: Training) -> None:
        super().__init__(config, training)
        self.gradients = make_histories(self.model.widths[1:], self.problem.seen_ptr, training.history, self.device)
        self.rows, self.silent = Ages(self.problem.num_seen), torch.zeros((), dtype=torch.int64)
        CLASSES.append(self)

    def link(self, phase: Phase = untimed, through: Through = itself) -> Link:
        return BothWaysLink(self, self.histories.map(through), phase)

    def loader(self, whole: BatchLoader) -> BatchLoader:
        """Without loss blocks: what compensates needs every message."""
        return whole

    def learns_from(self, batch: Batch) -> bool:
        self.silent += int(batch.num_train == 0)
        return True

    @property
    def nbytes(self) -> int:
        return super().nbytes + self.gradients.nbytes

    def state_dict(self) -> dict[str, Any]:
        own = {"gradients": self.gradients.state_dict(), "rows": self.rows.written_at.clone(), "silent": self.silent.clone()}
        return {**super().state_dict(), "both_ways": own}

    def check(self, saved: Any, step: int | None = None) -> None:
        check_keys("the method's state", saved, ("histories", "both_ways"))
        super().check({"histories": saved["histories"]}, step)
        check_keys("the gradients", saved["both_ways"], ("gradients", "rows", "silent"))
        self.gradients.check(saved["both_ways"]["gradients"])
        check_tensor("rows", saved["both_ways"]["rows"], self.rows.written_at)
        check_tensor("silent", saved["both_ways"]["silent"], self.silent)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.gradients.load_state_dict(state["both_ways"]["gradients"])
        self.rows.written_at.copy_(state["both_ways"]["rows"])
        self.silent.copy_(state["both_ways"]["silent"])


class BothWaysLink(GASLink):
    def __init__(self, method: BothWays, histories: Histories, phase: Phase) -> None:
        super().__init__(histories, phase)
        self.method = method
        self.found: list[tuple[Table, Tensor]] = []
        self.positions: Tensor

    def begin(self, batch: Batch, upcoming: Batch | None) -> None:
        super().begin(batch, upcoming)
        self.positions = torch.cat([torch.arange(*bounds) for bounds in batch.ranges])

    def between(self, layer: int, h: Tensor) -> Rows:
        rows = super().between(layer, h)
        if not h.requires_grad:
            return rows
        table = self.method.gradients[layer]
        kept = _Compensated.apply(rows.target, self._batch, table, self.method.config.strength, self.found)  # type: ignore[attr-defined]
        return Rows(kept, rows.halo)

    def end(self, step: int) -> None:
        super().end(step)
        for table, rows in self.found:
            table.write(self.positions, rows)
        self.method.rows.mark(self.positions, step)
        self.found.clear()


class _Compensated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, h: Tensor, batch: Batch, table: Table, strength: float, found: list[tuple[Table, Tensor]]) -> Tensor:
        ctx.batch, ctx.table, ctx.strength, ctx.found = batch, table, strength, found
        return h.view_as(h)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        grad, block = grads[0], ctx.batch.blocks[-1]
        if ctx.strength:
            grad = grad + ctx.strength * spmm(block.outer, ctx.table.read(block.halo).wait())
        ctx.found.append((ctx.table, grad))
        return grad, None, None, None, None
