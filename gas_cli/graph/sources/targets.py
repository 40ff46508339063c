"""Targets of a regression on a user's own graph: real numbers instead of classes."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from gas_cli.config.dataset import FolderConfig
from gas_cli.config.metrics import REGRESSION
from gas_cli.graph.graph import Split
from gas_cli.graph.sources.labels import in_a_split, read_labels
from gas_cli.graph.sources.table import Table

log = logging.getLogger(__name__)

UNKNOWN = "nan or an empty cell is an unknown target"


def read_y(table: Table, config: FolderConfig) -> Table:
    """Labels or, with `dataset.task=regression`, targets. Raises `UserError` for what is neither."""
    return read_targets(table) if config.task == REGRESSION else read_labels(table)


def read_targets(table: Table) -> Table:
    """float32 [N] or [N, T] as given, in the units of the file; nan where unknown. Raises `UserError` for infinite numbers."""
    values = table.values[:, 0] if table.values.ndim == 2 and table.values.shape[1] == 1 else table.values
    if values.ndim not in (1, 2) or (values.ndim == 2 and not values.shape[1]) or values.dtype.kind not in "biuf":
        raise table.unfit(f"it has shape {values.shape} and type {values.dtype}", "Expected numbers, [N], or [N, T] for T targets")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite
        targets = np.ascontiguousarray(values, dtype=np.float32)
    bad = np.isinf(targets)
    if bad.any():
        row = int(np.argwhere(bad)[0][0])
        raise table.wrong(row, "a target is infinite, or larger than float32 can hold", f"Expected finite numbers; {UNKNOWN}")
    return replace(table, values=targets)


def check_targets(targets: Table, splits: tuple[Split, ...]) -> None:
    """One line on unknown targets. Raises `UserError` for the first node in a split that has none, or not all of several."""
    missing = np.isnan(targets.values.reshape(len(targets.values), -1)).any(axis=1)
    if missing.any():
        log.info("%s: %s node(s) have an unknown target (%s).", targets.path, f"{int(missing.sum()):,}", UNKNOWN)
    if (unknown := in_a_split(missing, splits)).size:
        node = int(unknown[0])
        raise targets.wrong(
            node, f"node {node} has an unknown target, but is in a split", f"Add it, or remove the node from the split ({UNKNOWN})"
        )


def metric_of_targets(metric: str) -> str:
    """The metric that `auto` means."""
    return "mae" if metric == "auto" else metric
