"""The training loop."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from gas_cli.batch.batch import Batch
from gas_cli.batch.make import graph_device, make_loader
from gas_cli.config.continued import fixed_settings
from gas_cli.config.root import Config
from gas_cli.errors import Interrupted, UserError
from gas_cli.graph.graph import Split
from gas_cli.measure.clock import Clock, memory_gauges
from gas_cli.measure.memory import StagePeaks
from gas_cli.method.make import make_method
from gas_cli.method.method import Training
from gas_cli.model.model import Model, held_statistics
from gas_cli.ops.dropout import Noise
from gas_cli.ops.low_precision import low_precision
from gas_cli.passes.drivers import forward, renew
from gas_cli.passes.evaluator import Evaluator
from gas_cli.passes.lipschitz import make_penalty
from gas_cli.passes.loss import make_loss
from gas_cli.prepared.problem import Problem
from gas_cli.tables.histories import Histories
from gas_cli.training.average import Average
from gas_cli.training.checkpoint import Checkpoints
from gas_cli.training.edge_dropout import drop_edges
from gas_cli.training.epoch import EpochBatches
from gas_cli.training.evaluation import Evaluation
from gas_cli.training.identity import identity_of
from gas_cli.training.optimizer import Optimizer
from gas_cli.training.patience import out_of_patience
from gas_cli.training.progress import Progress
from gas_cli.training.state import TrainingState
from gas_cli.training.stop import StopRequest
from gas_cli.training.updates import Updates

WAVES = 0x5741564553
"""Keeps the randomness of waves apart from that of steps."""


class Recorder(Protocol):
    """Receives one record per epoch."""

    def epoch(self, record: dict[str, Any]) -> None: ...


class Trainer:
    """Trains one model on one split by the method of the configuration.

    `state` is all that a resume needs; everything else follows from the configuration.
    """

    def __init__(self, config: Config, problem: Problem, split: Split, model: Model, seed: int, device: torch.device, folder: Path) -> None:
        self.config, self.problem, self.split, self.seed = config, problem, split, seed
        self.device, self.memory = device, StagePeaks(**memory_gauges(device))
        self.checkpoints, self.clock, self.stop = Checkpoints(folder), Clock(), StopRequest()
        self._recorded: Callable[[], dict[str, Any]] = dict
        settings = fixed_settings(replace(config, runs=1, seed=seed))
        identity = identity_of(settings, config.model, config.method, problem.fingerprints)
        self.model = model.to(device)
        with self.memory.stage("setup"):
            groups = (config.trainer, config.history, config.model, config.evaluation)
            self.method = make_method(config.method, Training(problem, split, model, device, *groups, seed))
            sums = self._feature_sums()
            self.graph_device = graph_device(config.trainer.graph_on, problem, sums, device)
            ahead = config.trainer.prefetch
            self.loader = make_loader(problem, split, model.num_layers, sums, model.reading, ahead, device, self.graph_device)
        self.link = self.method.link(self.clock.phase)
        self.epochs = EpochBatches(config.trainer, self.method.loader(self.loader), self.method.units, seed, device, self.clock)
        parts = problem.evaluation_groups(min(config.trainer.parts_per_step, problem.train_parts))
        self.loss = make_loss(config.trainer, problem.graph, split.train, device)
        select = config.evaluation.select
        self.evaluator = Evaluator(
            model, problem.graph, self.loader, parts, device, config.precision, self.stop.check, select, self.loss.plain
        )
        self.optimizer = Optimizer(model, config.optimizer, config.trainer.epochs, self.evaluator.chooses)
        batches, window = len(self.epochs.groups(1)), config.trainer.average
        self.updates = Updates(batches, config.trainer.batches_per_update(batches))
        self.average = Average(model, window, self.updates.per_epoch) if window > 0 else None
        self.evaluation = Evaluation(self.method, self.evaluator, self.loss, self.average, self._stage)
        self.state = TrainingState(identity, model, self.optimizer, self.method, self.updates, self.average)
        self._losses: list[Tensor] = []  # of this epoch, not yet read from the device

    @property
    def progress(self) -> Progress:
        """Where the training stands."""
        return self.state.progress

    @property
    def histories(self) -> Histories | None:
        """Those of the method, where it keeps some."""
        return self.method.histories

    def _feature_sums(self) -> Tensor | None:
        """A x, where every layer 0 of this training can read it: the same in each step, with nothing random before it."""
        needs_rows = self.model.reading.messages or self.config.trainer.edge_dropout > 0 or self.method.reads_inputs
        return None if needs_rows else self.problem.feature_sums

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        """A part of an epoch beside its steps: a phase of the clock and a stage of the memory."""
        with self.clock.phase(name), self.memory.stage(name):
            yield

    # -- the loop ------------------------------------------------------------------------------------------------------------------

    def fit(self, recorder: Recorder, recorded: Callable[[], dict[str, Any]] = dict) -> None:
        """Train to the last epoch, or until patience ends. What `recorded()` says of the recorder's file goes into each checkpoint.

        Raises Interrupted after a signal, with everything saved; UserError where the loss is not finite or a checkpoint cannot be
        written, with the best state and the last checkpoint kept.
        """
        self._recorded = recorded
        with self.stop:
            try:
                self._fill()
                while self._goes_on():
                    self.train_epoch()
                    record, improved = self._finish_epoch()
                    recorder.epoch(record)  # before any checkpoint, whose epochs all have their record then
                    if improved:
                        self._keep_best()
                    if (self.progress.epoch - 1) % self.config.trainer.checkpoint_every == 0:
                        self._save()
            except Interrupted:
                self._save()
                raise
            finally:
                self.epochs.close()
        self._save()

    def _goes_on(self) -> bool:
        stopped = out_of_patience(self.config.trainer, self.progress, self.evaluator.chooses)
        return self.progress.epoch <= self.config.trainer.epochs and not stopped

    def _fill(self) -> None:
        """Exact histories before the first step, so that no batch ever reads zeros."""
        if self.config.history.fill and not self.progress.filled:
            self.evaluation.refresh(self.progress.step)
        self.progress.filled = True

    def train_epoch(self) -> None:
        """The steps of the epoch in progress, or what is left of them; no refresh, no evaluation."""
        self.model.train()
        groups = self.epochs.groups(self.progress.epoch)
        count = 0 if self.histories is None or self.model.num_layers == 1 else self.config.history.waves
        waves = self.epochs.waves(self.progress.epoch, self.progress.batch, count)
        with self.memory.stage("train"), contextlib.closing(waves):
            for batch, upcoming in self.epochs.batches(self.progress.epoch, self.progress.batch):
                if count:  # what was read ahead before them would be old
                    self._renew(waves, count)
                    upcoming = None  # noqa: PLW2901
                self._train_step(batch, upcoming, len(groups))
                del batch, upcoming  # before the next one is waited for: that is a batch less in memory
                self.progress.batch += 1
                self.stop.check()
            self.link.flush()
            self._settle_losses()

    def _renew(self, waves: Iterator[Batch], count: int) -> None:
        """Before a step: histories of the next `count` batches of `waves` under the weights of now (REST, ICML 2025: more forward
        passes than backward passes). They draw masks of their own."""
        with self.clock.phase("compute"), held_statistics(self.model), self._precision():
            for number, batch in enumerate(itertools.islice(waves, count), self.progress.step * count):
                noise = Noise(self.seed ^ WAVES, number)
                self.link.begin(batch, None)
                renew(self.model, self._thinned(batch, noise), self.link, noise)
                self.link.end(self.progress.step)

    def _thinned(self, batch: Batch, noise: Noise) -> Batch:
        """The batch without the edges that `trainer.edge_dropout` drops."""
        dropped = self.config.trainer.edge_dropout
        return drop_edges(batch, dropped, noise) if dropped > 0 else batch

    def _train_step(self, batch: Batch, upcoming: Batch | None, num_batches: int) -> None:
        """One batch: forward, backward, update. A batch that the method does not learn from only renews histories."""
        noise = Noise(self.seed, self.progress.step)
        learns, penalty = self.method.learns_from(batch), make_penalty(self.config.trainer.lipschitz, noise)
        with self.clock.phase("compute"):
            self.link.begin(batch, upcoming)
            batch = self._thinned(batch, noise)
            with torch.set_grad_enabled(learns), self._precision():
                scores = forward(self.model, batch, self.link, noise, penalty)
            if learns:
                with self._precision():  # a link may run layers for its loss
                    loss = self.link.loss(self.loss, scores, batch, num_batches)
                self._learn(penalty.onto(loss))
            self._update()
            self.link.end(self.progress.step)
            self.progress.step += 1

    def _precision(self) -> AbstractContextManager[Any]:
        return low_precision(self.device, self.config.precision == "bfloat16")

    def _learn(self, loss: Tensor) -> None:
        self._losses.append(loss.detach())
        if self.device.type == "cpu":  # free here; on CUDA it would make the host wait for every step
            self._settle_losses()
        self.optimizer.add(loss)

    def _update(self) -> None:
        """Move the weights, where that is due after this batch."""
        batches = self.updates.due(self.progress.batch + 1)
        if batches:
            updated = self.optimizer.update(batches)
            if self.average is not None:
                self.average.step(updated)

    def _settle_losses(self) -> None:
        """Read the losses of the steps so far (host synchronisation on CUDA: once per epoch) and stop where one is not finite."""
        progress = self.progress
        for value in (float(loss) for loss in self._losses):
            if not math.isfinite(value):
                raise self._diverged(f"The loss became {value}")
            progress.loss_sum += value
            progress.loss_count += 1
        self._losses.clear()

    def _diverged(self, what: str) -> UserError:
        """The end of a training that cannot go on, with the best state on the disk."""
        self.checkpoints.write_best()
        best = self.progress.best.epoch
        kept = f"the best state so far (epoch {best}) is kept" if best else "no earlier state exists"
        remedy = self._overflow() or "Try a smaller optimizer.lr, or optimizer.grad_norm=1."
        return UserError(f"{what} in epoch {self.progress.epoch}: training stopped, and {kept}. {remedy}")

    def _overflow(self) -> str:
        """What to type where float16 histories overflowed under weights that are of an ordinary size; else empty."""
        largest = torch.finfo(torch.float16).max
        if not any(tables.dtype == torch.float16 and tables.overflowed() for tables in self.method.tables.values()):
            return ""
        if not all(bool((weights.abs() < largest).all()) for weights in self.model.parameters()):
            return ""  # the weights diverged first
        return (
            f"history.dtype=float16 overflowed: layer outputs are larger than {largest:.0f}, the largest number it holds. "
            "Use history.dtype=bfloat16 or history.dtype=float32."
        )

    def _finish_epoch(self) -> tuple[dict[str, Any], bool]:
        """Measure errors, refresh and evaluate where due, step the schedule; the epoch's record, and whether it is the best so far."""
        progress = self.progress
        record: dict[str, Any] = {"epoch": progress.epoch, "step": progress.step, "loss": progress.loss, "lr": self.optimizer.lr}
        if self.histories is not None:
            record["history_age"] = float(self.histories.ages.at(progress.step).float().mean())
        if self.evaluation.monitored(progress.epoch):
            record["monitor"] = self.evaluation.errors(progress, self.epochs.all_groups(progress.epoch))
        scores, live = self.evaluation.scores(progress.epoch, progress.step)
        improved = False
        if scores is not None:
            # a metric of such scores would look like any other number, even like the best
            if not all(bool(torch.isfinite(of).all()) for of in (scores, live) if of is not None):
                raise self._diverged("The class scores became infinite or NaN")
            metrics, improved = self.evaluation.measure(progress, scores, live)
            record |= metrics
        self.optimizer.epoch_end(progress.val)
        progress.next_epoch()
        seconds, peaks = self.clock.take(), self.memory.take()
        record |= {"seconds": {**seconds, "total": sum(seconds.values())}, "peak_memory": peaks.get("device", peaks["resident"])}
        return record, improved

    # -- checkpoints ---------------------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        return self.state.state_dict() | {"recorded": self._recorded()}

    def restore(self, saved: dict[str, Any]) -> None:
        """Go on from a checkpoint's state. Raises UserError, with nothing changed, where it is of another run or does not fit this one."""
        self.state.restore(saved, self.evaluator.select)

    def _keep_best(self) -> None:
        with self._stage("checkpoint"):
            self.checkpoints.keep_best(self.state_dict(), self.method.nbytes)

    def _save(self) -> None:
        self.link.flush()
        self._settle_losses()
        with self._stage("checkpoint"):
            self.checkpoints.write_best()
            self.checkpoints.write_last(self.state_dict())
