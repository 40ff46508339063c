"""Where a run stands: what a checkpoint needs to go on in the middle of an epoch."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from gas_cli.config.metrics import METRICS, MetricKind, metric_kind
from gas_cli.config.training import MAX_MEAN
from gas_cli.errors import UserError
from gas_cli.passes.class_counts import ClassCounts


@dataclass
class Best:
    """The evaluation with the best validation metric so far; `epoch` 0 before the first.

    `selected` has `train`, `val` and `test` of the metric that chose it (`evaluation.select`), where that is not the dataset's.
    `counts` are those of the test nodes; None in checkpoints of versions that did not count.
    """

    epoch: int = 0
    train: float = math.nan
    val: float = math.nan
    test: float = math.nan
    counts: ClassCounts | None = field(default=None, compare=False)
    selected: dict[str, float] | None = None

    @property
    def chosen_by(self) -> float:
        """The validation metric by which evaluations are compared."""
        return self.val if self.selected is None else self.selected["val"]


@dataclass
class Progress:
    """`epoch` is the one in progress (1-based), `batch` how many of its batches are done, `step` all batches so far.

    `loss_sum` adds the losses of the epoch's `loss_count` batches that had training nodes; `val` is the latest validation
    metric, the one that chooses the best epoch.
    `past` has that metric of the latest evaluations, where `trainer.patience_rule=mean` compares them; else it is empty.
    `monitor` is this epoch's measurement of histories, once taken: a run that is stopped in the refresh after it cannot take it again.
    """

    epoch: int = 1
    batch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    loss_count: int = 0
    filled: bool = False
    val: float = math.nan
    best: Best = field(default_factory=Best)
    past: list[float] = field(default_factory=list)
    monitor: dict[str, Any] | None = None

    @property
    def loss(self) -> float:
        """Mean loss of the epoch's batches so far."""
        return self.loss_sum / self.loss_count if self.loss_count else math.nan

    @property
    def epochs_begun(self) -> int:
        """How many epochs left something in the weights: those that ended, and one that was stopped after a batch."""
        return self.epoch - 1 + (self.batch > 0)

    def next_epoch(self) -> None:
        self.epoch, self.batch, self.loss_sum, self.loss_count, self.monitor = self.epoch + 1, 0, 0.0, 0, None

    def offer(
        self, train: float, val: float, test: float, selected: dict[str, float] | None = None, kind: MetricKind = METRICS["accuracy"]
    ) -> bool:
        """Note an evaluation; True if it is the best so far by the metric of `kind` (without validation nodes, every evaluation is).

        `selected` are the values of that metric where it is not the dataset's.
        """
        offered = Best(self.epoch, train, val, test, selected=selected)
        self.val = offered.chosen_by
        better = self.best.epoch == 0 or math.isnan(self.val) or kind.better(self.val, self.best.chosen_by)
        if better:
            self.best = offered
        return better

    def remember(self) -> None:
        """Keep the value of the evaluation just noted: enough of them that a continued run may have any patience."""
        self.past.append(self.val)
        del self.past[: -MAX_MEAN - 2]

    def state_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_state_dict(
        cls, state: Any, batches: int, num_classes: int = 0, metric: str = "accuracy", select: str | None = None
    ) -> Progress:
        """The progress in a checkpoint of a run with `batches` steps per epoch, evaluated by `metric`, the best epoch chosen by `select`
        where that is another one. Raises UserError where it contradicts itself."""
        _check_types("progress", state, cls())
        _check_types("best", state["best"], Best())
        counts = state["best"].get("counts")
        best = Best(**{**state["best"], "counts": None if counts is None else ClassCounts.from_state_dict(counts, num_classes)})
        progress = cls(**{**state, "best": best})
        for holds, found, expected in progress._invariants(batches) + progress._possible(metric, select):
            if not holds:
                raise UserError(
                    f"the checkpoint's counters do not agree: {found}, expected {expected}. "
                    "Restore an intact checkpoint, or start the run again."
                )
        return progress

    def _invariants(self, batches: int) -> list[tuple[bool, str, str]]:
        """What holds at every safe point: (whether it does, what was found, what was expected)."""
        best, steps = self.best, (self.epoch - 1) * batches + self.batch
        return [
            (self.epoch >= 1, f"epoch {self.epoch}", "1 or more"),
            (0 <= self.batch <= batches, f"batch {self.batch}", f"0 to {batches}, the batches of an epoch"),
            (self.step == steps, f"step {self.step}", f"{steps} after {self.epoch - 1} epochs of {batches} batches and {self.batch} more"),
            (0 <= self.loss_count <= self.batch, f"losses of {self.loss_count} batches", f"of at most {self.batch}"),
            (math.isfinite(self.loss_sum), f"loss {self.loss_sum}", "a finite number"),
            (self.filled or self.step == 0, f"no filled histories at step {self.step}", "filled ones"),
            (0 <= best.epoch < self.epoch, f"the best epoch {best.epoch}", f"0 to {self.epoch - 1}"),
            (len(self.past) < self.epoch, f"{len(self.past)} evaluations", f"at most {self.epoch - 1}"),
        ]

    def _possible(self, metric: str, select: str | None) -> list[tuple[bool, str, str]]:
        """The same of the metrics: each within its range."""
        best, wanted = self.best, {"train", "val", "test"}
        selected = best.selected or {}
        sound = set(selected) == (wanted if select and best.epoch else set()) and all(type(m) in (int, float) for m in selected.values())
        found = [(metric, (best.train, best.val, best.test)), (select or metric, (*selected.values(), self.val) if sound else (self.val,))]
        ranges = [(name, values, metric_kind(name)) for name, values in found]
        return [
            (sound, f"metrics {best.selected} that chose the best epoch", f"those of {select}" if select else "none"),
            (self._past_is_possible(select or metric), "metrics of earlier evaluations", f"numbers that are possible ({select or metric})"),
            *(
                (all(map(kind.possible, values)), f"metrics {values}", f"numbers from {kind.low:g} to {kind.high:g} ({name})")
                for name, values, kind in ranges
            ),
        ]

    def _past_is_possible(self, metric: str) -> bool:
        possible = metric_kind(metric).possible
        return all(type(value) in (int, float) and possible(value) for value in self.past)


def check_best(state: Any) -> None:
    """Raise UserError where a checkpoint with the progress `state` is not that of the best epoch, as best.pt has to be."""
    _check_types("progress", state, Progress())
    _check_types("best", state["best"], Best())
    after, best = state["epoch"] - 1, state["best"]["epoch"]
    if after != best or state["batch"]:
        raise UserError(
            f"it holds the state after epoch {after}, but the best epoch is {best}: another checkpoint has replaced best.pt. "
            "Restore best.pt. Or move this file away: then the run can be continued, and checkpoint=last predicts."
        )


def _check_types(name: str, state: Any, like: Best | Progress) -> None:
    """The fields of `like`, each of its type; a whole number may stand for any number, and earlier versions wrote neither counts nor
    `selected`, nor `past`."""
    names = [item.name for item in fields(like)]
    if not isinstance(state, dict) or {*state, *({"counts", "selected", "past"} & {*names})} != set(names):
        raise UserError(f"the checkpoint's {name} is not valid: expected {', '.join(names)}. It is damaged: restore an intact copy.")
    for key in names:
        value, wanted = state.get(key, getattr(like, key)), type(getattr(like, key))
        allowed = {float: (int, float), Best: (dict,), type(None): (dict, type(None))}.get(wanted, (wanted,))
        if type(value) not in allowed:
            raise UserError(
                f"the checkpoint's {name}.{key} is a {type(value).__name__}: expected {wanted.__name__}. "
                "It is damaged: restore an intact copy."
            )
