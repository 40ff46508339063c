"""Continuing a run: whether there is one, which settings make it that run, and which may be other ones from now on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gas_cli.config.compose import load_config
from gas_cli.config.flat import flat
from gas_cli.config.root import Config
from gas_cli.config.setting import as_typed
from gas_cli.errors import UserError

# What a continued run may do differently: how long, how often, where; never what is computed.
CHANGEABLE = (
    "runs",
    "trainer.epochs",
    "trainer.patience",
    "trainer.checkpoint_every",
    "trainer.prefetch",
    "trainer.graph_on",
    "evaluation.every",
    "evaluation.live",
    "evaluation.monitor",
    "logger",
    "device",
    "history.placement",
    "history.pipeline",
    "dataset.root",
    "dataset.download",
    "partitioner.cache",
    "partitioner.cache_limit",
    "model.module",
)
REASONS = {
    "dataset": "the weights, histories and splits in the checkpoint belong to the graph",
    "partitioner": "the histories in the checkpoint are ordered by the partition",
    "model": "the weights in the checkpoint belong to the model",
    "history": "the histories in the checkpoint have this form",
    "method": "the tables in the checkpoint belong to the method",
    "optimizer": "the optimizer's state in the checkpoint belongs to it",
}
IGNORED = ("resume",)
LOCATIONS = ("dataset.path", "partitioner.file")
"""Where files are. A checkpoint knows their content by the fingerprints of graph and partition."""


def has_checkpoint(folder: Path) -> bool:
    """Whether something in `folder` can be continued: of one run, or of any of its `runs`."""
    return any(folder.rglob("last.pt"))


def as_decided(saved: Config, config: Config) -> Config:
    """`config` with the numbers of parts of the run that is continued, in the place of `auto`."""
    parts, taken = saved.partitioner.num_parts, saved.trainer.batch_parts
    return config.with_parts(parts, taken) if isinstance(parts, int) and isinstance(taken, int) else config


def check_unchanged(saved: Config, config: Config) -> None:
    """Raise `UserError` for the first setting that differs and may not."""
    _check_runs(saved.runs, config.runs)
    before, after = _flat(saved), _flat(config)
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key) and not _may_change(key):
            raise _cannot_change(key, as_typed(after.get(key)), as_typed(before.get(key)))


def load_continued(path: Path, overrides: Sequence[str]) -> tuple[Config, Config]:
    """The configuration in the file `path` of a run, and the same with the `key=value` of its continuation."""
    saved = load_config(path)
    return saved, load_config(path, _without_choices(saved, overrides))


def _without_choices(saved: Config, overrides: Sequence[str]) -> list[str]:
    """The `key=value` without those that choose what the run already has, as `method=gas`. Raises UserError for another choice."""
    kept = []
    for override in overrides:
        group, _, choice = override.partition("=")
        name = getattr(getattr(saved, group, None), "name", None)
        if name is None:
            kept.append(override)
        elif choice != name:
            raise _cannot_change(group, choice, name)
    return kept


def _cannot_change(key: str, wanted: str, before: str) -> UserError:
    return UserError(
        f"{key}={wanted} cannot be changed in a run that is continued (it was started with {before}): {_reason(key)}. "
        f"These can be changed: {', '.join(CHANGEABLE)}."
    )


def fixed_settings(config: Config) -> dict[str, str]:
    """The settings that decide what a run computes, as text by their dotted names: a checkpoint stores them."""
    return {key: repr(value) for key, value in sorted(_flat(config).items()) if not _may_change(key) and key not in LOCATIONS}


def _may_change(key: str) -> bool:
    return any(name in (*CHANGEABLE, *IGNORED) for name in (key, key.partition(".")[0]))  # a group stands for its settings


def _check_runs(before: int, after: int) -> None:
    """Further seeds can be added to several runs; a single run has another layout of its folder."""
    if before == after or 1 < before < after:
        return
    single = "the folder holds a single run, and several runs have another layout. Start them in a new folder"
    fewer = f"the folder was started for {before} runs, and runs are not removed. Use runs={before} or more"
    raise UserError(f"runs={after} is not valid with resume: {single if before == 1 else fewer}.")


def _reason(key: str) -> str:
    return REASONS.get(key.partition(".")[0], "the result would be neither of the two runs")


def _flat(config: Config) -> dict[str, Any]:
    return flat(dataclasses.asdict(config))
