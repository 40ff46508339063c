"""The backward half of GAS: histories of gradients.

GAS keeps every message in the forward pass and cuts those that leave the batch in the backward pass, so that its gradient is biased even
with exact histories. Here nothing is cut. With s^l = A h^l the sums of layer l ≥ 1, g = ∂loss/∂s^l [B, C] that the backward pass finds for
the targets B, and Ḡ^l what it found for the other nodes R that read them when these were last computed:

    ∂loss/∂h_B = A_BB^T g + ρ_l A_RB^T Ḡ_R        Ḡ_B ← g

The history belongs to the sum and not to h: whatever comes after it, nothing of a reader's own forward pass is needed. Weights take
their gradient from the targets' sums only, since each sum belongs to one batch. All g have one scale: the loss weighs by training nodes
(`trainer.loss_weighting=full_batch`), and batches without any run backward too. With weights that stay as they are, the gradient of an
epoch is exact after 2L epochs. Features are never stale, so layer 0 needs no history.

The trust ρ_l in [0, 1] is 1, another constant, or measured: the factor by which the old rows predict the new ones best,

    ρ_l = ⟨Ḡ_B, g⟩ / ⟨Ḡ_B, Ḡ_B⟩,   both products as running means over the steps before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from gas_cli.batch.batch import Batch, Readers, Rows
from gas_cli.config.method import MEASURED, GASConfig
from gas_cli.errors import UserError
from gas_cli.method.method import Through, Training
from gas_cli.method.sums import sums_of
from gas_cli.ops.csr import CSR
from gas_cli.ops.feedback import Feedback
from gas_cli.saved import check_tensor
from gas_cli.tables.histories import Histories, make_histories
from gas_cli.tables.scaled import ScaledTable
from gas_cli.tables.table import Pending

DECAY = 0.9
"""Of the running means from one step to the next."""
HEADROOM = 4096
"""How much larger than a score's gradient a history in float16 may be: 65504 is the largest number there."""


class Trust:
    """ρ of the layers 1..L-1: `constant`, or measured where that is None; 1 until something was measured.

    moments   float32 [2, L-1] on the device: running means of ⟨Ḡ_B, g⟩ and ⟨Ḡ_B, Ḡ_B⟩
    """

    def __init__(self, constant: float | None, moments: Tensor) -> None:
        self.constant, self.moments = constant, moments

    def note(self, found: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Both products of each layer in one step."""
        agreement, size = zip(*found, strict=True)
        self.moments.lerp_(torch.stack([*agreement, *size]).view_as(self.moments), 1 - DECAY)

    def values(self) -> Tensor:
        """ρ float32 [L-1]."""
        if self.constant is not None:
            return torch.full_like(self.moments[0], self.constant)
        agreement, size = self.moments
        return torch.where(size > 0, agreement / size.clamp(min=torch.finfo(size.dtype).tiny), 1.0).clamp(0, 1)


class GradientHistories:
    """The tables Ḡ^1..Ḡ^{L-1} [N, C_l] of all nodes that training sees, and the trust in them.

    Raises UserError for a model with layers that are not sums, and where there is no room.
    """

    def __init__(self, config: GASConfig, training: Training) -> None:
        widths = sums_of(training, "method.gradients=history", "method.gradients=cut")
        self.tables = gradient_tables(widths, training)
        constant = None if config.trust == MEASURED else float(config.trust)
        self.trust = Trust(constant, torch.zeros(2, len(widths), device=training.device))

    def state_dict(self) -> dict[str, Any]:
        return {"gradients": self.tables.state_dict(), "trust": self.trust.moments.cpu().clone()}

    def check(self, gradients: Any, trust: Any, step: int | None) -> None:
        """Raise UserError unless these are of such a `state_dict`."""
        self.tables.check(gradients, step)
        check_tensor("the trust in gradient histories", trust, self.trust.moments)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.tables.load_state_dict(state["gradients"])
        self.trust.moments.copy_(state["trust"])


class GradientLink:
    """The part of a step that gradient histories have, on the tables that `through` makes of theirs.

    The rows of the last layer are asked for before the backward pass, those of each layer below while the layer above runs: with tables
    that have streams of their own they come meanwhile, and no more than two layers' rows are on the way.
    """

    def __init__(self, histories: GradientHistories, through: Through) -> None:
        self.tables: Histories = histories.tables.map(through)
        self.trust = histories.trust
        self._batch: Batch
        self._readers: Readers
        self._written = False
        self._passed: set[int] = set()  # layers through which a gradient went
        self._heard: set[int] = set()  # those whose sums told theirs
        self._factors: tuple[Tensor, ...] | None
        self._coming: dict[int, Pending] = {}
        self._found: dict[int, tuple[Tensor, Tensor]] = {}

    def begin(self, batch: Batch) -> None:
        assert batch.readers is not None, "the method's loader gives batches their readers"
        self._batch, self._readers, self._coming, self._found = batch, batch.readers, {}, {}
        self._written, self._passed, self._heard = False, set(), set()
        self._factors = None if self.trust.constant == 1 else self.trust.values().unbind()

    def onto(self, layer: int, rows: Rows) -> Rows:
        """The inputs of a layer, whose backward pass hears of the readers."""
        if not torch.is_grad_enabled() or not (self._readers.positions.numel() or rows.halo.shape[0]):
            return rows
        if layer == len(self.tables.layers):
            self._ask(layer)
        if isinstance(rows.target, Tensor) and rows.target.requires_grad:
            rows.target.register_hook(lambda gradient: self._passed.add(layer))  # type: ignore[no-untyped-call]
        return replace(rows, feedback=_LayerFeedback(self, layer))

    def push(self, layer: int, gradient: Tensor) -> None:
        """Ḡ_B ← g."""
        table, where = self.tables[layer], self._batch.ranges
        gradient = gradient.detach().float()
        if gradient.shape[1] != table.width:
            raise UserError(
                f"The model's sum_widths say that layer {layer} sums up rows of width {table.width}, but these have width "
                f"{gradient.shape[1]}. Use method.gradients=cut, or correct sum_widths: docs/own-layer.md."
            )
        self._heard.add(layer)
        if self.trust.constant is None:
            old = table.read(where).wait()
            self._found[layer] = (old * gradient).sum(), old.square().sum()  # torch.dot rounds by where in memory its arguments begin
        table.write(where, gradient)
        self._written = True

    def pull(self, layer: int) -> tuple[CSR, Tensor]:
        """ρ A_RB^T as [B, R], and Ḡ_R."""
        rows, weights = self._coming.pop(layer).wait(), self._readers.weights
        if layer > 1:
            self._ask(layer - 1)
        if self._factors is not None:
            weights = weights.with_values(weights.value * self._factors[layer - 1])
        return weights, rows

    def end(self, step: int) -> None:
        if silent := sorted(self._passed - self._heard):
            raise UserError(
                f"The model's sum_widths promise that layer {silent[0]} sums up its sources by `propagate` with the rows that it gets, but "
                "it does not. Use method.gradients=cut, or correct the layer: docs/own-layer.md."
            )
        if self._written:
            self.tables.ages.mark(self._batch.parts, step)
        if self._found:
            self.trust.note([self._found[layer] for layer in self.tables.layers])
        del self._batch, self._readers

    def flush(self) -> None:
        self.tables.flush()
        self._coming = {}

    def _ask(self, layer: int) -> None:
        self._coming[layer] = self.tables[layer].read(self._readers.positions, self._batch.ready)


class _LayerFeedback(Feedback):
    def __init__(self, link: GradientLink, layer: int) -> None:
        self._link, self._layer = link, layer

    def push(self, gradient: Tensor) -> None:
        self._link.push(self._layer, gradient)

    def pull(self) -> tuple[CSR, Tensor]:
        return self._link.pull(self._layer)


def gradient_tables(widths: Sequence[int], training: Training) -> Histories:
    """Empty tables of gradients of these widths, scaled where float16 holds them. Raises UserError where there is no room."""
    tables = make_histories(widths, training.problem.seen_ptr, training.history, training.device)
    if tables.dtype != torch.float16:
        return tables
    scale = _scale(training)
    return tables.map(lambda table: ScaledTable(table, scale))


def _scale(training: Training) -> float:
    """A power of two that brings the gradients by the scores, at most M / n for n training nodes and M batches, to 65504 / `HEADROOM`."""
    batches = math.ceil(training.problem.train_parts / training.loop.parts_per_step)
    largest = batches / max(1, int(training.split.train.sum()))
    return float(2.0 ** math.floor(math.log2(torch.finfo(torch.float16).max / HEADROOM / largest)))
