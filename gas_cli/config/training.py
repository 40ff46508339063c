"""Settings of the groups `optimizer`, `trainer` and `evaluation`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from gas_cli.config.checks import (
    AUTO,
    MAX_COUNT,
    count_or,
    count_or_auto,
    decided,
    require,
    require_between,
    require_count_or_null,
    require_non_negative,
    require_positive,
    require_whole,
)
from gas_cli.config.metrics import SELECTABLE
from gas_cli.config.setting import as_typed, setting

SCHEDULES = ("cosine", "step", "plateau")
LOSS_WEIGHTINGS = ("full_batch", "batch_mean")
BALANCED = "balanced"
LOSSES = ("mse", "mae", "huber")
EPOCH = "epoch"
BEST, MEAN = PATIENCE_RULES = ("best", "mean")
MAX_MEAN = 10_000
"""Evaluations of which `patience_rule=mean` takes the mean, at most: a checkpoint holds their values."""
CHECKPOINTS = ("best", "last")
EVALUATION_MODES = ("exact", "history")
GRAPH_PLACEMENTS = ("auto", "device", "host")
MAX_EPOCHS = 1_000_000
MAX_PREFETCH = 1_000
"""Batches ahead, each in memory."""


@dataclass
class OptimizerConfig:
    """Adam with two weight-decay groups."""

    lr: float = setting(0.01, "Learning rate.")
    reg_weight_decay: float = setting(
        5e-4,
        "Weight decay of the parameters that the model calls regularised (hidden convolutions and norms).",
    )
    weight_decay: float = setting(0.0, "Weight decay of all other parameters.")
    grad_norm: float | None = setting(None, "Clip the gradient's 2-norm to this; `null` for no clipping.")
    schedule: str | None = setting(
        None,
        "How the learning rate falls. `cosine`: to `min_lr` over `trainer.epochs`; `step`: times `gamma` every `step_epochs`; "
        "`plateau`: times `gamma` after `step_epochs` epochs without a better validation metric.",
        SCHEDULES,
    )
    gamma: float = setting(0.5, "Factor of `step` and `plateau`.")
    step_epochs: int = setting(50, "Interval of `step`, patience of `plateau`.")
    min_lr: float = setting(0.0, "Lower end of `cosine` and `plateau`.")

    def __post_init__(self) -> None:
        require_non_negative("optimizer.lr", self.lr)
        require_non_negative("optimizer.reg_weight_decay", self.reg_weight_decay)
        require_non_negative("optimizer.weight_decay", self.weight_decay)
        if self.grad_norm is not None:
            wanted = "null or a number above 0"
            require(math.isfinite(self.grad_norm) and self.grad_norm > 0, "optimizer.grad_norm", self.grad_norm, wanted)
        require(self.schedule in (None, *SCHEDULES), "optimizer.schedule", self.schedule, "null or one of " + ", ".join(SCHEDULES))
        require_between("optimizer.gamma", self.gamma, 0.0, 1.0)
        require_whole("optimizer.step_epochs", self.step_epochs, 1, MAX_COUNT)
        require_non_negative("optimizer.min_lr", self.min_lr)


@dataclass
class LipschitzConfig:
    """Local Lipschitz regularisation: the mean distance that the outputs of the hidden layers but the first move under noise on their
    inputs."""

    weight: float = setting(
        0.0,
        "Strength of the [local Lipschitz regularisation](error-monitor.md#local-lipschitz-regularisation); 0 turns it off.",
    )
    noise: float = setting(0.1, "Standard deviation of the noise under which the layers' outputs shall move little.")

    def __post_init__(self) -> None:
        require_non_negative("trainer.lipschitz.weight", self.weight)
        require_positive("trainer.lipschitz.noise", self.noise)


@dataclass
class TrainerConfig:
    """The loop over epochs and batches."""

    epochs: int = setting(200, "Epochs to train.")
    batch_parts: int | str = setting(
        AUTO,
        "Parts per mini-batch. `auto`: with `partitioner.num_parts=auto` it is decided with it; with a number, a quarter of the parts, or "
        "fewer if that is what fits into memory.",
    )
    shuffle: bool = setting(True, "Group the parts anew in every epoch.")
    accumulate: Any = setting(
        1,
        "Batches in a row whose gradients make [one update of the weights](methods.md#one-update-for-several-batches), by their mean; "
        "`epoch`: all of an epoch.",
    )
    average: float = setting(
        0.0,
        "Evaluate, choose the best epoch and predict by an exponential [mean of the weights](runs.md#averaged-weights) over a window of so "
        "many epochs, such as 2.5; 0 for the weights themselves.",
    )
    max_steps: int | None = setting(None, "Cut an epoch short after that many batches; `null` for all of them.")
    patience: int | None = setting(None, "Stop after N epochs without a better validation metric; `null` for never.")
    patience_rule: str = setting(
        BEST,
        "What `patience` compares. `best`: stop after N epochs without a better value; `mean`: stop where the value is worse than the mean "
        "of the N evaluations before it ([details](runs.md#when-a-run-stops)).",
        PATIENCE_RULES,
    )
    edge_dropout: float = setting(0.0, "Probability of dropping an edge, drawn once per epoch and edge.")
    loss_weighting: str = setting(
        "full_batch",
        "`full_batch`: each batch weighs by its share of the training nodes (unbiased); `batch_mean`: all weigh alike (as published).",
        LOSS_WEIGHTINGS,
    )
    loss: str | None = setting(
        None,
        "Loss of a [regression](graph-files.md#regression); `null`: `mse`. `huber` is quadratic up to an error of 1 and linear beyond. "
        "Classes have cross entropy.",
        LOSSES,
    )
    class_weights: Any = setting(
        None,
        "Weights of the classes in the loss: `balanced` (rare ones weigh more), or a list of C numbers; `null` for none "
        "([details](graph-files.md#unbalanced-classes)).",
    )
    label_smoothing: float = setting(0.0, "Share of each target that is spread evenly over the classes.")
    checkpoint_every: int = setting(10, "Epochs between two checkpoints; one more is written at the end and on Ctrl-C.")
    prefetch: int = setting(2, "Batches built ahead on another thread, the first ones of the next epoch included.")
    graph_on: str = setting(
        "auto",
        "Where a GPU's batches are built. On the device they come out of a copy of adjacency, "
        "features and labels there; `auto` takes it where that is at most a quarter of the free memory, and the host otherwise.",
        GRAPH_PLACEMENTS,
    )
    lipschitz: LipschitzConfig = field(default_factory=LipschitzConfig)

    def __post_init__(self) -> None:
        require_whole("trainer.epochs", self.epochs, 1, MAX_EPOCHS)
        self.batch_parts = count_or_auto("trainer.batch_parts", self.batch_parts)
        self.accumulate = count_or(EPOCH, "trainer.accumulate", self.accumulate)
        require(0 <= self.average <= MAX_EPOCHS, "trainer.average", self.average, f"a number of epochs from 0 (off) to {MAX_EPOCHS}")
        require_count_or_null("trainer.max_steps", self.max_steps)
        require_count_or_null("trainer.patience", self.patience)
        require(self.patience_rule in PATIENCE_RULES, "trainer.patience_rule", self.patience_rule, "one of " + ", ".join(PATIENCE_RULES))
        few = self.patience is None or self.patience <= MAX_MEAN or self.patience_rule == BEST
        require(few, "trainer.patience", self.patience, f"at most {MAX_MEAN:,} with trainer.patience_rule={MEAN}")
        require(0 <= self.edge_dropout < 1, "trainer.edge_dropout", self.edge_dropout, "at least 0 and less than 1")
        require(
            self.loss_weighting in LOSS_WEIGHTINGS, "trainer.loss_weighting", self.loss_weighting, "one of " + ", ".join(LOSS_WEIGHTINGS)
        )
        require(self.loss in (None, *LOSSES), "trainer.loss", self.loss, "null or one of " + ", ".join(LOSSES))
        self._check_class_weights()
        require(0 <= self.label_smoothing < 1, "trainer.label_smoothing", self.label_smoothing, "at least 0 and less than 1")
        require(self.graph_on in GRAPH_PLACEMENTS, "trainer.graph_on", self.graph_on, "one of " + ", ".join(GRAPH_PLACEMENTS))
        require_whole("trainer.checkpoint_every", self.checkpoint_every, 1, MAX_COUNT)
        require_whole("trainer.prefetch", self.prefetch, 0, MAX_PREFETCH)

    @property
    def parts_per_step(self) -> int:
        """`batch_parts`, which is decided."""
        return decided("trainer.batch_parts", self.batch_parts)

    def batches_per_update(self, batches: int) -> int:
        """Of an epoch of `batches`; the last update of an epoch may have fewer."""
        return batches if self.accumulate == EPOCH else min(int(self.accumulate), batches)

    def _check_class_weights(self) -> None:
        given, wanted = self.class_weights, f"null, {BALANCED}, or a list of numbers above 0, one per class, such as [1,2.5]"
        if given is None or given == BALANCED:
            return
        numbers = isinstance(given, list) and all(type(weight) in (int, float) for weight in given)
        sound = numbers and len(given) > 0 and all(math.isfinite(weight) and weight > 0 for weight in given)
        require(sound, "trainer.class_weights", as_typed(given), wanted)


@dataclass
class EvaluationConfig:
    """When and how metrics are computed, and when the errors of histories are measured."""

    mode: str = setting(
        "exact",
        "`exact`: all layers on the whole graph; `history`: the last on histories.",
        EVALUATION_MODES,
    )
    select: str | None = setting(
        None,
        "Metric by which the best epoch, `trainer.patience` and `plateau` decide, on the validation nodes; `null`: the dataset's metric. "
        "`loss`: the [mean loss](graph-files.md#the-loss-as-a-metric), lower is better.",
        tuple(SELECTABLE),
    )
    every: int | None = setting(1, "Epochs between two evaluations; `null` for the end only.")
    live: bool = setting(
        False,
        "With `trainer.average`, record the metrics of the live weights too, as `live` in metrics.jsonl. Costs one exact pass per "
        "evaluation, none where the histories are refreshed.",
    )
    monitor: int | None = setting(
        None,
        "Measure the [errors of stale histories](error-monitor.md), and of the gradient, every N epochs; `null` for never. It changes "
        "nothing and takes the time of a few epochs, with dropout of about 10 to 20.",
    )

    def __post_init__(self) -> None:
        require(self.mode in EVALUATION_MODES, "evaluation.mode", self.mode, "one of " + ", ".join(EVALUATION_MODES))
        require(self.select in (None, *SELECTABLE), "evaluation.select", self.select, "null or one of " + ", ".join(SELECTABLE))
        require_count_or_null("evaluation.every", self.every)
        require_count_or_null("evaluation.monitor", self.monitor)
