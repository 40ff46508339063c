"""GNNAutoScale (Fey, Lenssen, Weichert, Leskovec, ICML 2021).

A step computes the nodes B of some parts. Of a neighbour outside of B, the halo, it does not compute the embedding but reads the one of
the last step that computed it, its history h̄:

    h_v^{l+1} = f(h_v^l, {h_w^l : w ∈ N(v) ∩ B} ∪ {h̄_w^l : w ∈ N(v) \\ B})        v ∈ B,    (eq. 2)
    h̄_v^l ← h_v^l                                                                 v ∈ B

So no edge is dropped, and a step costs what its parts and their neighbours cost, whatever the size of the graph. Histories take no
gradient, so that the backward pass is cut at the halo, or hears of it by histories of its own (`gas_cli.method.gradients`). Layer 0 reads
features, which are never stale.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gas_cli.batch.batch import Batch, Rows
from gas_cli.batch.loader import BatchLoader, DerivedLoader
from gas_cli.batch.readers import with_readers
from gas_cli.config.method import HISTORY, GASConfig, MethodConfig
from gas_cli.errors import UserError
from gas_cli.method.gradients import GradientHistories, GradientLink
from gas_cli.method.method import Alone, Link, Method, Phase, Through, Training, itself, untimed
from gas_cli.saved import check_keys
from gas_cli.tables.histories import Histories, make_histories
from gas_cli.tables.table import Pending


class GAS(Method):
    """Mini-batches with historical embeddings."""

    def __init__(self, config: MethodConfig, training: Training) -> None:
        super().__init__(config, training)
        self.backward: GradientHistories | None = None
        if isinstance(config, GASConfig) and config.gradients == HISTORY:
            self.backward = GradientHistories(config, training)
        if self.reads_histories:
            self.histories = make_histories(self.model.widths[1:], self.problem.seen_ptr, training.history, self.device)

    @property
    def whole(self) -> bool:
        """Whether every step has all parts, and so no halo."""
        return self.problem.train_parts <= self.training.loop.parts_per_step

    @property
    def reads_histories(self) -> bool:
        """Whether anything does: a step with a halo, an evaluation, the monitor, histories of gradients, or a method made of this one."""
        evaluation = self.training.evaluation
        asked = evaluation.mode == "history" or evaluation.monitor is not None or self.backward is not None
        return not self.whole or asked or type(self) is not GAS

    def link(self, phase: Phase = untimed, through: Through = itself) -> Link:
        if self.histories is None:
            return Alone()
        return GASLink(self.histories.map(through), phase, None if self.backward is None else GradientLink(self.backward, through))

    def loader(self, whole: BatchLoader) -> BatchLoader:
        if self.backward is None:
            return super().loader(whole)
        complete = self.completion(whole.builder.device)
        return DerivedLoader(whole, lambda batch: self.loss_block(complete(batch)))  # readers are found before messages are left out

    def completion(self, device: torch.device) -> Callable[[Batch], Batch]:
        if self.backward is None:
            return super().completion(device)
        return with_readers(self.problem.seen_adj if self.problem.graph.inductive else self.problem.adj, device)

    def learns_from(self, batch: Batch) -> bool:
        """A batch without training nodes sends the gradients of others on, too."""
        return super().learns_from(batch) or self.backward is not None

    def figures(self) -> dict[str, Any]:
        """ρ of the layers 1..L-1, where it has histories of gradients."""
        return {} if self.backward is None else {"trust": self.backward.trust.values().tolist()}

    @property
    def tables(self) -> dict[str, Histories]:
        return super().tables if self.backward is None else {**super().tables, "gradients": self.backward.tables}

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() if self.backward is None else {**super().state_dict(), **self.backward.state_dict()}

    def check(self, saved: Any, step: int | None = None) -> None:
        if isinstance(saved, dict) and self.whole and "histories" not in saved and self.histories is not None:
            raise UserError(
                "the checkpoint has no histories: each training step held the whole graph, and nothing read them. "
                "Predict with mode=exact; continue the run with evaluation.monitor=null."
            )
        if isinstance(saved, dict) and self.histories is None:  # earlier versions kept some
            saved = {key: value for key, value in saved.items() if key != "histories"}
        if self.backward is None:
            super().check(saved, step)
        else:
            assert self.histories is not None
            check_keys("the method's state", saved, ("histories", "gradients", "trust"))
            self.histories.check(saved["histories"], step)
            self.backward.check(saved["gradients"], saved["trust"], step)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        if self.backward is not None:
            self.backward.load_state_dict(state)


class GASLink(Link):
    """Pushes the targets' rows and pulls the halo's.

    The pull of step t+1 for layer l is issued as soon as step t has pushed layer l, which is all that it has to see: where tables have
    streams of their own, it runs behind the rest of step t. Rows pulled and rows pushed within one step are disjoint, so these two need
    no order. Nobody issued the first step's pulls before it: they all start with it, ahead of those for the second.
    """

    def __init__(self, histories: Histories, phase: Phase = untimed, gradients: GradientLink | None = None) -> None:
        self.histories, self._phase, self._gradients = histories, phase, gradients
        self._batch: Batch
        self._upcoming: Batch | None = None
        self._due: dict[int, Pending] = {}  # layer -> the halo's rows for `_batch`
        self._ahead: dict[int, Pending] = {}  # layer -> the halo's rows for `_ahead_of`
        self._ahead_of: Batch | None = None

    def begin(self, batch: Batch, upcoming: Batch | None) -> None:
        if self._ahead_of is not batch:  # the first step, the first after a flush, or rows were read ahead for another batch
            self._ahead = {layer: self._pull(layer, batch) for layer in self.histories.layers}
        self._batch, self._upcoming, self._due = batch, upcoming, self._ahead
        self._ahead, self._ahead_of = {}, upcoming
        if self._gradients is not None:
            self._gradients.begin(batch)

    def between(self, layer: int, h: Tensor) -> Rows:
        with self._phase("push"):
            self._push(layer, h)
        with self._phase("pull"):
            rows = Rows(h, self._due.pop(layer).wait())
        return rows if self._gradients is None else self._gradients.onto(layer, rows)

    def _push(self, layer: int, h: Tensor) -> None:
        """Write the targets' rows, and ask for the next step's halo rows behind them."""
        self.histories[layer].write(self._batch.ranges, self.pushed(layer, h.detach()))
        if self._upcoming is not None:
            self._ahead[layer] = self._pull(layer, self._upcoming)

    def pushed(self, layer: int, h: Tensor) -> Tensor:
        """The targets' new histories [B, C], of the outputs `h` of the layer before."""
        return h

    def end(self, step: int) -> None:
        self.histories.ages.mark(self._batch.parts, step)
        if self._gradients is not None:
            self._gradients.end(step)
        del self._batch, self._upcoming  # their memory goes to the next ones

    def flush(self) -> None:
        self.histories.flush()
        if self._gradients is not None:
            self._gradients.flush()
        self._ahead, self._ahead_of = {}, None

    def _pull(self, layer: int, batch: Batch) -> Pending:
        return self.histories[layer].read(batch.blocks[layer].halo, batch.ready)
