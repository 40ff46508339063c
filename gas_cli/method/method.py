"""The contract between a training method and the loop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gas_cli.batch.batch import Batch, Rows
from gas_cli.batch.builder import with_loss_block
from gas_cli.batch.loader import BatchLoader, DerivedLoader
from gas_cli.config.history import HistoryConfig
from gas_cli.config.method import MethodConfig
from gas_cli.config.model import ModelConfig
from gas_cli.config.training import EvaluationConfig, TrainerConfig
from gas_cli.graph.graph import Split
from gas_cli.model.model import Model, State
from gas_cli.partition.groups import Units
from gas_cli.prepared.problem import Problem
from gas_cli.saved import check_keys
from gas_cli.tables.histories import Histories
from gas_cli.tables.table import Table

Phase = Callable[[str], AbstractContextManager[Any]]
"""Charges what runs inside to `pull` or `push`."""


Through = Callable[[Table], Table]
"""From a method's table to one that stands in for it."""


Objective = Callable[[Tensor, Batch, int], Tensor]
"""The loss of scores [B, C] of a batch, and the number of batches in an epoch."""


def itself(table: Table) -> Table:
    """The method's own one."""
    return table


def untimed(name: str) -> AbstractContextManager[Any]:
    """Charges nothing."""
    return nullcontext()


class Link(ABC):
    """What a method does inside a step: `begin`, `between` before each layer but the first, the optimizer's update, `end`."""

    @abstractmethod
    def begin(self, batch: Batch, upcoming: Batch | None) -> None:
        """Start a step on `batch`; `upcoming` is the next step's batch, or None where it is not known (or the last)."""

    def first(self, rows: Rows, state: State) -> Rows:
        """The inputs of layer 0, from what `encode` made of the features: `rows`, but for a method that changes them."""
        return rows

    @abstractmethod
    def between(self, layer: int, h: Tensor) -> Rows:
        """The inputs of layer `layer` (1..L-1) for its block, from the outputs `h` [B, C] of the layer before for the targets of that one's
        block; autograd follows what is done to them."""

    def last(self, h: Tensor) -> Tensor:
        """What `decode` reads, from what the last layer gives: `h` [B, C], but for a method that changes it."""
        return h

    def loss(self, objective: Objective, scores: Tensor, batch: Batch, num_batches: int) -> Tensor:
        """What the backward pass starts from: a number with the value of the targets' loss, and the gradient that a method wants."""
        return objective(scores, batch, num_batches)

    @abstractmethod
    def end(self, step: int) -> None:
        """Close the step numbered `step`, after the update."""

    @abstractmethod
    def flush(self) -> None:
        """Wait for all traffic and forget what was read ahead: tables may now be read or rewritten by others."""


class Alone(Link):
    """Nothing comes from outside the batch, and nothing is kept."""

    def begin(self, batch: Batch, upcoming: Batch | None) -> None:
        assert not any(block.num_halo for block in batch.blocks), "without histories there is no halo"

    def between(self, layer: int, h: Tensor) -> Rows:
        return Rows(h, torch.empty(0, h.shape[1], device=h.device))

    def end(self, step: int) -> None:
        """Nothing to note."""

    def flush(self) -> None:
        """No traffic."""


@dataclass(frozen=True)
class Training:
    """What one training is made of, as its method sees it: `loop`, `history`, `layers` and `evaluation` are the settings' groups `trainer`,
    `history`, `model` and `evaluation`."""

    problem: Problem
    split: Split
    model: Model
    device: torch.device
    loop: TrainerConfig
    history: HistoryConfig
    layers: ModelConfig
    evaluation: EvaluationConfig
    seed: int = 0


class Method(ABC):
    """How the steps of one training see the graph, and what outlives a step.

    histories     inputs of layers 1..L-1 of all nodes that training sees, which refreshes write and evaluation and the error monitor may
                  read; None for a method that keeps none. It may have further tables, which are its own
    reads_sums    whether its batches hold every edge of their targets in layer 0, so that A x over all edges is what they sum up
    reads_inputs  whether its link reads the inputs of layer 0, so that batches hold features and not A x
    before_activation  whether its histories hold what layers give before their activation, of models that can move it
    reads_as_stored  whether its steps read the halo's rows as the histories have them, so that their errors say all (`diagnose.bound`)
    """

    histories: Histories | None = None
    reads_sums = True
    reads_inputs = False
    before_activation = False
    reads_as_stored = True

    def __init__(self, config: MethodConfig, training: Training) -> None:
        """`config` are the method's own settings."""
        self.config, self.training = config, training
        self.problem, self.split, self.model, self.device = training.problem, training.split, training.model, training.device
        self.model.activates_inputs = self.before_activation and self.model.can_activate_inputs

    def loader(self, whole: BatchLoader) -> BatchLoader:
        """Where training batches come from; `whole` gives those that hold every edge of their targets, which exact evaluation reads.

        A loss reads the training targets alone, and so may the last layer.
        """
        return DerivedLoader(whole, self.loss_block) if self.has_loss_block else whole

    def completion(self, device: torch.device) -> Callable[[Batch], Batch]:
        """What gives a batch that holds every edge of its targets, built on `device`, whatever else the link reads. Each serves one thread
        at a time."""
        return lambda batch: batch

    @property
    def units(self) -> Units:
        """What the batches of an epoch are made of, by whose numbers the loader is asked for them: the parts that training visits."""
        count = self.problem.train_parts
        return Units(count, min(self.training.loop.parts_per_step, count))

    @property
    def has_loss_block(self) -> bool:
        """Whether the last layer's block may have the messages of the training targets only."""
        attributes, thinned = self.problem.graph.edge_attr is not None, self.training.loop.edge_dropout > 0
        return not (self.model.reading.others or attributes or thinned)

    def loss_block(self, batch: Batch) -> Batch:
        """The batch with the last block that a loss reads."""
        return with_loss_block(batch) if self.has_loss_block else batch

    @abstractmethod
    def link(self, phase: Phase = untimed, through: Through = itself) -> Link:
        """The method's part of a step. It reads and writes what `through` makes of the method's tables: where that is not `itself`,
        nothing of the method may change before `Link.end`, which need not come."""

    def learns_from(self, batch: Batch) -> bool:
        """Whether a step on `batch` runs backward and updates the weights; the loss of no training node is 0."""
        return batch.num_train > 0

    def figures(self) -> dict[str, Any]:
        """What it says about its gradients in a record of the error monitor, JSON-safe, by names that no other figure has."""
        return {}

    @property
    def tables(self) -> dict[str, Histories]:
        """All that it keeps of nodes, by what it is; the histories first."""
        return {} if self.histories is None else {"histories": self.histories}

    @property
    def nbytes(self) -> int:
        """Bytes of its tables: a best state with more of them is written when it is found instead of being copied in memory."""
        return sum(tables.nbytes for tables in self.tables.values())

    def state_dict(self) -> dict[str, Any]:
        """What the method has to find again in a resumed run; tensors on the host."""
        return {} if self.histories is None else {"histories": self.histories.state_dict()}

    def check(self, saved: Any, step: int | None = None) -> None:
        """Raise UserError unless `saved` is a `state_dict` after at most `step` steps (any number, where that is None)."""
        check_keys("the method's state", saved, () if self.histories is None else ("histories",))
        if self.histories is not None:
            self.histories.check(saved["histories"], step)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`, for what `check` has passed."""
        if self.histories is not None:
            self.histories.load_state_dict(state["histories"])
