"""Settings of the groups `optimizer`, `trainer`, `evaluation` and `logger`."""

from __future__ import annotations

from dataclasses import dataclass, field

from gas_cli.config.checks import MAX_COUNT, require, require_between, require_non_negative, require_positive, require_whole

SCHEDULES = ("none", "cosine", "step", "plateau")
LOSS_WEIGHTINGS = ("full_batch", "batch_mean")
CHECKPOINTS = ("best", "last")
EVALUATION_MODES = ("exact", "history")
LOGGERS = ("none", "tensorboard")
GRAPH_PLACEMENTS = ("auto", "device", "host")
MAX_EPOCHS = 1_000_000
MAX_PREFETCH = 1_000
"""Batches ahead, each in memory."""


@dataclass
class OptimizerConfig:
    """Adam with two weight-decay groups.

    `reg_weight_decay` applies to the parameters that the model calls regularised (the hidden convolutions), `weight_decay`
    to the rest. `grad_norm` clips the gradient's 2-norm; 0 turns clipping off. `schedule`: none | cosine (to `min_lr` over
    trainer.epochs) | step (times `gamma` every `step_epochs`) | plateau (times `gamma` after `step_epochs` epochs without a
    better validation metric).
    """

    name: str = "adam"
    lr: float = 0.01
    reg_weight_decay: float = 5e-4
    weight_decay: float = 0.0
    grad_norm: float = 0.0
    schedule: str = "none"
    gamma: float = 0.5
    step_epochs: int = 50
    min_lr: float = 0.0

    def __post_init__(self) -> None:
        require(self.name == "adam", "optimizer", self.name, "adam")
        require_non_negative("optimizer.lr", self.lr)
        require_non_negative("optimizer.reg_weight_decay", self.reg_weight_decay)
        require_non_negative("optimizer.weight_decay", self.weight_decay)
        require_non_negative("optimizer.grad_norm", self.grad_norm)
        require(self.schedule in SCHEDULES, "optimizer.schedule", self.schedule, "one of " + ", ".join(SCHEDULES))
        require_between("optimizer.gamma", self.gamma, 0.0, 1.0)
        require_whole("optimizer.step_epochs", self.step_epochs, 1, MAX_COUNT)
        require_non_negative("optimizer.min_lr", self.min_lr)


@dataclass
class LipschitzConfig:
    """Local Lipschitz regularisation: `weight` times the mean distance that the outputs of the hidden layers but the first move when
    normal noise of standard deviation `noise` falls on their inputs. Weight 0 turns it off.
    """

    weight: float = 0.0
    noise: float = 0.1

    def __post_init__(self) -> None:
        require_non_negative("trainer.lipschitz.weight", self.weight)
        require_positive("trainer.lipschitz.noise", self.noise)


@dataclass
class TrainerConfig:
    """The loop.

    `batch_parts` parts form one mini-batch, grouped anew every epoch when `shuffle` is on. `max_steps` cuts an epoch short
    (0: all batches). `patience` stops after that many epochs without a better validation metric (0: never).
    `edge_dropout` drops each edge with that probability, once per epoch. `loss_weighting`: `full_batch` weighs each
    batch by its share of the training nodes (an unbiased estimate of the full-batch loss), `batch_mean` weighs every batch alike
    (as published). `checkpoint_every` is in epochs. `prefetch` builds that many batches ahead on another thread.
    `graph_on`: auto | device | host: on a GPU, whether batches
    are built there, out of a copy of adjacency, features and labels (auto: where that takes at most a quarter of its free memory), or on
    the host, and copied.
    """

    epochs: int = 200
    batch_parts: int = 10
    shuffle: bool = True
    max_steps: int = 0
    patience: int = 0
    edge_dropout: float = 0.0
    loss_weighting: str = "full_batch"
    checkpoint_every: int = 10
    prefetch: int = 2
    graph_on: str = "auto"
    lipschitz: LipschitzConfig = field(default_factory=LipschitzConfig)

    def __post_init__(self) -> None:
        require_whole("trainer.epochs", self.epochs, 1, MAX_EPOCHS)
        require_whole("trainer.batch_parts", self.batch_parts, 1, MAX_COUNT)
        require_whole("trainer.max_steps", self.max_steps, 0, MAX_COUNT)
        require_whole("trainer.patience", self.patience, 0, MAX_COUNT)
        require(0 <= self.edge_dropout < 1, "trainer.edge_dropout", self.edge_dropout, "at least 0 and less than 1")
        require(
            self.loss_weighting in LOSS_WEIGHTINGS, "trainer.loss_weighting", self.loss_weighting, "one of " + ", ".join(LOSS_WEIGHTINGS)
        )
        require(self.graph_on in GRAPH_PLACEMENTS, "trainer.graph_on", self.graph_on, "one of " + ", ".join(GRAPH_PLACEMENTS))
        require_whole("trainer.checkpoint_every", self.checkpoint_every, 1, MAX_COUNT)
        require_whole("trainer.prefetch", self.prefetch, 0, MAX_PREFETCH)


@dataclass
class EvaluationConfig:
    """`exact` recomputes all embeddings layer by layer in bounded memory; `history` runs only the last layer on stored ones.

    `every` is in epochs; 0 evaluates after the last epoch only. `monitor` compares histories and mini-batch results with exact ones
    every `monitor_every` epochs, before any refresh.
    """

    mode: str = "exact"
    every: int = 1
    monitor: bool = False
    monitor_every: int = 1

    def __post_init__(self) -> None:
        require(self.mode in EVALUATION_MODES, "evaluation.mode", self.mode, "one of " + ", ".join(EVALUATION_MODES))
        require_whole("evaluation.every", self.every, 0, MAX_COUNT)
        require_whole("evaluation.monitor_every", self.monitor_every, 1, MAX_COUNT)


@dataclass
class LoggerConfig:
    """Where metrics go besides metrics.jsonl, which is always written."""

    name: str = "none"

    def __post_init__(self) -> None:
        require(self.name in LOGGERS, "logger", self.name, "one of " + ", ".join(LOGGERS))
