"""When a training stops before its last epoch."""

from __future__ import annotations

from collections.abc import Sequence

from gas_cli.config.checks import require
from gas_cli.config.metrics import MetricKind
from gas_cli.config.setting import as_typed
from gas_cli.config.training import BEST, MEAN, TrainerConfig
from gas_cli.training.progress import Progress


def check_patience(config: TrainerConfig, every: int | None) -> None:
    """Raise UserError for a new run with settings that play no part; `every` is `evaluation.every`. A continued one may have no patience
    any more."""
    ruled = config.patience is not None or config.patience_rule == BEST
    require(ruled, "trainer.patience_rule", config.patience_rule, f"{BEST} with trainer.patience=null; or type trainer.patience=10")
    compares = config.patience is None or every is not None
    require(compares, "evaluation.every", as_typed(every), f"a number with trainer.patience={config.patience}, which compares evaluations")


def out_of_patience(config: TrainerConfig, progress: Progress, metric: MetricKind) -> bool:
    """Whether the training stops after the epochs that ended, by the validation values of `metric`."""
    if config.patience is None:
        return False
    if config.patience_rule == MEAN:
        return worse_than_mean(progress.past, config.patience, metric)
    best = progress.best.epoch
    return best > 0 and progress.epoch - 1 - best >= config.patience


def stop_line(config: TrainerConfig, progress: Progress) -> str:
    """Of a training that patience has ended, for the log."""
    why = f"trainer.patience={config.patience}"
    if config.patience_rule == MEAN:
        why += f", which compared the last value with the mean of the {config.patience} before it"
    else:
        why += f": no better epoch since {progress.best.epoch}"
    return f"Stopped after epoch {progress.epoch - 1} of {config.epochs} by {why}."


def worse_than_mean(values: Sequence[float], count: int, metric: MetricKind) -> bool:
    """Whether the last value is worse than the mean of the `count` values before it.

    The rule of Kipf's GCN and of codes that come from it. As there, one more value has to come before these. NaN is never worse.
    """
    if len(values) < count + 2:
        return False
    last, before = values[-1], values[-count - 1 : -1]
    mean = sum(before) / count
    return last < mean if metric.higher else last > mean
