"""GNNAutoScale (Fey, Lenssen, Weichert, Leskovec, ICML 2021).

A step computes the nodes B of some parts. Of a neighbour outside of B, the halo, it does not compute the embedding but reads the one of
the last step that computed it, its history h̄:

    h_v^{l+1} = f(h_v^l, {h_w^l : w ∈ N(v) ∩ B} ∪ {h̄_w^l : w ∈ N(v) \\ B})        v ∈ B,    (eq. 2)
    h̄_v^l ← h_v^l                                                                 v ∈ B

So no edge is dropped, and a step costs what its parts and their neighbours cost, whatever the size of the graph. Histories take no
gradient. Layer 0 reads features, which are never stale.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from gas_cli.batch.batch import Batch, Rows
from gas_cli.config.method import MethodConfig
from gas_cli.errors import UserError
from gas_cli.method.method import Alone, Link, Method, Phase, Training, untimed
from gas_cli.tables.histories import Histories, make_histories
from gas_cli.tables.table import Pending


class GAS(Method):
    """Mini-batches with historical embeddings."""

    def __init__(self, config: MethodConfig, training: Training) -> None:
        super().__init__(config, training)
        if self.reads_histories:
            self.histories = make_histories(self.model.widths[1:], self.problem.seen_ptr, training.history, self.device)

    @property
    def whole(self) -> bool:
        """Whether every step has all parts, and so no halo."""
        return self.problem.train_parts <= self.training.loop.parts_per_step

    @property
    def reads_histories(self) -> bool:
        """Whether anything does: a step with a halo, an evaluation, the monitor, or a method made of this one, which may read any row."""
        evaluation = self.training.evaluation
        return not self.whole or evaluation.mode == "history" or evaluation.monitor is not None or type(self) is not GAS

    def link(self, histories: Histories | None, phase: Phase = untimed) -> Link:
        return Alone() if histories is None else GASLink(histories, phase)

    def check(self, saved: Any, step: int | None = None) -> None:
        if isinstance(saved, dict) and self.whole and "histories" not in saved and self.histories is not None:
            raise UserError(
                "the checkpoint has no histories: each training step held the whole graph, and nothing read them. "
                "Predict with mode=exact; continue the run with evaluation.monitor=null."
            )
        if isinstance(saved, dict) and self.histories is None:  # earlier versions kept some
            saved = {key: value for key, value in saved.items() if key != "histories"}
        super().check(saved, step)


class GASLink(Link):
    """Pushes the targets' rows and pulls the halo's.

    The pull of step t+1 for layer l is issued as soon as step t has pushed layer l, which is all that it has to see: where tables have
    streams of their own, it runs behind the rest of step t. Rows pulled and rows pushed within one step are disjoint, so these two need
    no order. Nobody issued the first step's pulls before it: they all start with it, ahead of those for the second.
    """

    def __init__(self, histories: Histories, phase: Phase = untimed) -> None:
        self.histories, self._phase = histories, phase
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

    def between(self, layer: int, h: Tensor) -> Rows:
        with self._phase("push"):
            self.histories[layer].write(self._batch.ranges, self.pushed(layer, h.detach()))
            if self._upcoming is not None:
                self._ahead[layer] = self._pull(layer, self._upcoming)
        with self._phase("pull"):
            return Rows(h, self._due.pop(layer).wait())

    def pushed(self, layer: int, h: Tensor) -> Tensor:
        """The targets' new histories [B, C], of the outputs `h` of the layer before."""
        return h

    def end(self, step: int) -> None:
        self.histories.ages.mark(self._batch.parts, step)
        del self._batch, self._upcoming  # their memory goes to the next ones

    def flush(self) -> None:
        self.histories.flush()
        self._ahead, self._ahead_of = {}, None

    def _pull(self, layer: int, batch: Batch) -> Pending:
        return self.histories[layer].read(batch.blocks[layer].halo, batch.ready)
