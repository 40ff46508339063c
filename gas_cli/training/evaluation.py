"""What a training does between two epochs: it fills, refreshes and measures histories, and scores all nodes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from torch import Tensor

from gas_cli.config.metrics import record_key
from gas_cli.config.training import MEAN
from gas_cli.diagnose.drawn import GradientMonitor
from gas_cli.diagnose.monitor import Monitor, measures_histories
from gas_cli.method.method import Method
from gas_cli.passes.evaluator import Evaluator
from gas_cli.passes.loss import Loss
from gas_cli.training.average import Average
from gas_cli.training.progress import Progress

Stage = Callable[[str], AbstractContextManager[Any]]
"""Charges what runs inside to `refresh`, `monitor` or `evaluate`."""


class Evaluation:
    """Evaluations of one training, and the refreshes that come with them.

    average  the averaged weights, by which it is scored then
    stage    counts seconds and memory
    """

    def __init__(self, method: Method, evaluator: Evaluator, loss: Loss, average: Average | None, stage: Stage) -> None:
        training = method.training
        self.config, self.history, self.loop = training.evaluation, training.history, training.loop
        self.method, self.evaluator, self.loss, self.average, self._stage = method, evaluator, loss, average, stage
        self._monitor: Monitor | GradientMonitor | None = None  # it holds tables of all nodes: made where it is asked for

    def refresh(self, step: int) -> Tensor | None:
        """Make every history exact under the weights after `step` steps; the exact scores [N, C] come with it. None without histories."""
        histories = self.method.histories
        if histories is None:
            return None
        with self._stage("refresh"):
            scores = self.evaluator.exact(refresh=histories)
            histories.ages.mark_all(step)
        return scores

    def monitored(self, epoch: int) -> bool:
        """Whether the monitor measures after this epoch."""
        every = self.config.monitor
        return every is not None and epoch % every == 0

    def errors(self, progress: Progress, groups: list[list[int]]) -> dict[str, Any]:
        """Those of the histories as the epoch's steps left them, and of the gradient; `groups` are the units of each batch.

        Measured once per epoch: a run that is stopped in the refresh after it cannot measure them again.
        """
        if progress.monitor is None:
            with self._stage("monitor"):
                if self._monitor is None:
                    kind = Monitor if measures_histories(self.method) else GradientMonitor
                    self._monitor = kind(self.evaluator, self.method, self.loss)
                progress.monitor = self._monitor.measure(progress.step, groups)
        return progress.monitor

    def scores(self, epoch: int, step: int) -> tuple[Tensor | None, Tensor | None]:
        """Refresh where that is due. Scores of all nodes where this epoch is evaluated; with averaged weights and `evaluation.live`, those
        of the live ones as well.

        One exact pass serves a refresh and an evaluation alike, unless the weights are averaged: a refresh is of the live ones. It comes
        last then, as a run that is stopped in the evaluation shall find the histories, and their ages, as the steps left them.
        """
        refresh_every = self.history.refresh
        evaluate = epoch == self.loop.epochs or self._due(epoch)
        averaged = None
        if evaluate and self.average is not None:
            with self.average.applied():
                averaged = self._evaluated()
        live = self.refresh(step) if refresh_every is not None and epoch % refresh_every == 0 else None
        if live is None and evaluate and (self.average is None or self.config.live):
            live = self._evaluated()
        if not evaluate or self.average is None:
            return live if evaluate else None, None
        return averaged, live if self.config.live else None

    def _due(self, epoch: int) -> bool:
        """Whether `evaluation.every` asks for an evaluation after this epoch."""
        return self.config.every is not None and epoch % self.config.every == 0

    def _evaluated(self) -> Tensor:
        """Scores [N, C] by the weights that the model has now."""
        with self._stage("evaluate"):
            if self.config.mode == "history" and self.method.histories is not None:
                return self.evaluator.from_history(self.method.histories)
            return self.evaluator.exact()

    def measure(self, progress: Progress, scores: Tensor, live: Tensor | None) -> tuple[dict[str, Any], bool]:
        """The metrics of these scores, noted in `progress`, as the epoch's record has them; and whether they are the best so far."""
        evaluator, split = self.evaluator, self.method.split
        with self._stage("evaluate"):
            values = evaluator.measure(scores, split)
            selected = evaluator.selected(scores, split)
            improved = progress.offer(**values, selected=selected, kind=evaluator.chooses)
            if self.loop.patience_rule == MEAN and self._due(progress.epoch):  # that of the last epoch is not, and a run may go on
                progress.remember()
            if improved:
                progress.best.counts = evaluator.count(scores, split.test)
            measured = {} if live is None else {"live": evaluator.measure(live, split)}
        return values | ({} if selected is None else {record_key(str(evaluator.select)): selected}) | measured, improved
