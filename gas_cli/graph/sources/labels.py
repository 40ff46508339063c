"""Labels of a user's own graph, and the classes that they name."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gas_cli.config.dataset import MAX_CLASSES, FolderConfig
from gas_cli.config.metrics import BINARY, METRICS, MULTI_CLASS, MULTI_LABEL, fitting
from gas_cli.errors import UserError
from gas_cli.graph.graph import Split
from gas_cli.graph.sources.table import Table

log = logging.getLogger(__name__)

MAX_DISTINCT = 10_000
"""More distinct labels than this are classes only where `dataset.num_classes` says so."""
FEW_DISTINCT = 50
"""As many distinct labels are classes in a graph of any size; of more, each must have two nodes on average."""

OF_ONE_LABEL = ("auto", *(name for name, kind in METRICS.items() if MULTI_LABEL not in kind.tasks))
"""With these metrics, rows with exactly one 1 are one class per node."""
UNKNOWN = "-1, nan or an empty cell is an unknown label"
SHOWN = 6


@dataclass(frozen=True)
class Classes:
    """`y` int64 [N] of 0..C-1 and -1 (unknown), or float32 [N, C] of zeros and ones; `names` of the C classes, () where class c is label
    c."""

    y: NDArray[Any]
    num_classes: int
    names: tuple[str, ...] = ()


def read_labels(table: Table) -> Table:
    """int64 [N] as given, -1 where unknown; or [N, C] of zeros and ones. Raises `UserError` for anything else, fractions among it."""
    values = table.values[:, 0] if table.values.ndim == 2 and table.values.shape[1] == 1 else table.values
    if values.ndim not in (1, 2):
        raise table.unfit(f"it has shape {values.shape}", "Expected [N], or [N, C] of zeros and ones")
    if values.ndim == 2:
        return _zeros_and_ones(replace(table, values=values))
    if values.dtype.kind == "f":
        values = np.where(np.isnan(values), -1, values)
        _check_whole(replace(table, values=values))
    labels = replace(table, values=values).whole_numbers("class")
    if (bad := np.flatnonzero(labels.values > np.iinfo(np.int64).max)).size:  # of unsigned integers; as int64 they would be negative
        row = int(bad[0])
        raise table.wrong(row, f"label {labels.values[row]} is out of range", f"Expected classes of at most 63 bits; {UNKNOWN}")
    if (bad := np.flatnonzero(labels.values < -1)).size:
        row = int(bad[0])
        raise table.wrong(row, f"label {labels.values[row]} is out of range", f"Expected classes from 0 on; {UNKNOWN}")
    return replace(labels, values=np.ascontiguousarray(labels.values.astype(np.int64)))


def _check_whole(labels: Table) -> None:
    values = labels.values
    if (bad := np.flatnonzero(values != np.rint(values))).size:  # an infinite one equals itself: `whole_numbers` refuses it
        row = int(bad[0])
        raise labels.wrong(
            row,
            f"{values[row]:g} is not a class: this looks like a regression target",
            f"Expected whole numbers, which are classes. To predict the numbers type dataset.task=regression; or divide them into classes, "
            f"such as quantiles. {UNKNOWN}",
        )


def _zeros_and_ones(table: Table) -> Table:
    bad = (table.values != 0) & (table.values != 1)
    if bad.any():
        row, column = np.argwhere(bad)[0].tolist()
        raise table.wrong(
            row,
            f"label {table.values[row, column]:g} is out of range",
            "Expected 0 or 1 in each of several columns, or one column of classes, where -1 is unknown",
        )
    return replace(table, values=np.ascontiguousarray(table.values.astype(np.int64)))


def named_classes(y: Any) -> tuple[Any, tuple[str, ...]]:
    """Labels that are texts as the number of their class in alphabetical order, -1 for an empty one; others as they are."""
    array = y if isinstance(y, Tensor) else np.asarray(y)
    if isinstance(array, Tensor) or array.dtype.kind not in "UO":
        return array, ()
    given = array.tolist() if isinstance(y, np.ndarray) else list(y)  # numpy has made texts of all of them
    texts = np.array(["" if label is None else label for label in given], dtype=object)
    if not all(isinstance(label, str) for label in texts):
        raise UserError("y holds labels of several types: expected whole numbers, or texts.")
    names = sorted(set(texts) - {""})
    number = {name: c for c, name in enumerate(names)} | {"": -1}
    return np.array([number[label] for label in texts]), tuple(names)


def classes_of(labels: Table, config: FolderConfig, names: tuple[str, ...] = ()) -> Classes:
    """The classes of what `read_labels` gave, or of codes into `names`.

    One label per node: the C distinct labels in ascending order are the classes 0..C-1; with `dataset.num_classes` labels are 0..C-1
    themselves. Rows with exactly one 1 are one class per node, unless the metric asks for several labels. Raises `UserError` for labels
    that are no classes, before anything of the size of C is allocated.
    """
    values = labels.values
    if names:
        if config.num_classes not in (0, len(names)):
            raise labels.unfit(f"it names {len(names)} classes where dataset.num_classes={config.num_classes}", "Leave the setting out")
        return _told(labels, replace(_distinct(labels), names=names))
    if values.ndim == 2:
        if config.num_classes not in (0, values.shape[1]):
            raise labels.unfit(f"it has {values.shape[1]} columns where dataset.num_classes={config.num_classes}", "Correct either")
        if config.metric not in OF_ONE_LABEL or not _one_hot(values):
            return Classes(values.astype(np.float32), values.shape[1])
        log.info(
            "%s: every row has exactly one 1, so column c is read as class c; dataset.metric=micro_f1 allows several labels per node.",
            labels.path,
        )
        return _told(labels, Classes(values.argmax(axis=1), values.shape[1]))
    if config.num_classes:
        _check_range(labels, config.num_classes)
        return _told(labels, Classes(values, config.num_classes))
    return _told(labels, _distinct(labels))


def _one_hot(values: NDArray[Any]) -> bool:
    return bool((values.sum(axis=1) == 1).all())


def _check_range(labels: Table, num_classes: int) -> None:
    if (beyond := np.flatnonzero(labels.values >= num_classes)).size:
        node = int(beyond[0])
        raise labels.wrong(
            node,
            f"label {labels.values[node]} is out of range",
            f"Expected 0 to {num_classes - 1} with dataset.num_classes={num_classes}; with 0 the distinct labels are the classes",
        )


def _distinct(labels: Table) -> Classes:
    known = labels.values >= 0
    distinct = np.unique(labels.values[known])
    count, nodes = len(distinct), int(known.sum())
    if count == 0:
        raise labels.unfit("every label is unknown", f"Expected classes from 0 on; {UNKNOWN}")
    if count > MAX_DISTINCT or (count > FEW_DISTINCT and 2 * count > nodes):
        raise labels.unfit(
            f"{count:,} distinct labels for {nodes:,} nodes: this looks like a regression target, or like ids",
            f"Expected at most {MAX_DISTINCT:,} classes with two nodes or more each on average. {_remedy(int(distinct[-1]) + 1)}",
        )
    if int(distinct[-1]) == count - 1:
        return Classes(labels.values, count)
    y = np.where(known, np.searchsorted(distinct, labels.values), -1)
    names = tuple(map(str, distinct.tolist()))
    shown = ", ".join(names if count <= SHOWN else (*names[: SHOWN - 2], "…", names[-1]))
    log.info("%s: the %d distinct labels %s are the classes 0 to %d, in this order.", labels.path, count, shown, count - 1)
    return Classes(y, count, names)


def _remedy(num_classes: int) -> str:
    classes = f"; if these are classes, type dataset.num_classes={num_classes}" if num_classes <= MAX_CLASSES else ""
    return f"To predict the numbers type dataset.task=regression; or divide the target into fewer classes, such as quantiles{classes}"


def _told(labels: Table, classes: Classes) -> Classes:
    """The same, once classes without a node and a single class are reported."""
    counts = np.bincount(classes.y[classes.y >= 0], minlength=classes.num_classes)
    if (counts > 0).sum() == 1:
        log.warning("%s: all labelled nodes have the same class, so a model has nothing to learn (%s).", labels.path, UNKNOWN)
    if (empty := np.flatnonzero(counts == 0)).size:
        log.warning("%s: %d of %d classes have no node, the first is class %d.", labels.path, empty.size, classes.num_classes, empty[0])
    return classes


def check_labelled(labels: Table, splits: tuple[Split, ...]) -> None:
    """One line on unknown labels. Raises `UserError` for the first node in a split that has none."""
    if labels.values.ndim == 2:
        return
    missing = labels.values < 0
    if missing.any():
        log.info("%s: %s node(s) have an unknown label (%s).", labels.path, f"{int(missing.sum()):,}", UNKNOWN)
    if (unknown := in_a_split(missing, splits)).size:
        node = int(unknown[0])
        raise labels.wrong(
            node, f"node {node} has label -1 (unknown), but is in a split", f"Label it, or remove it from the split ({UNKNOWN})"
        )


def in_a_split(missing: NDArray[np.bool_], splits: tuple[Split, ...]) -> NDArray[np.int64]:
    """The nodes of `missing` [N] that are in any part of any split, ascending."""
    used = np.zeros(len(missing), bool)
    for split in splits:
        used |= (split.train | split.val | split.test).numpy()
    return np.flatnonzero(used & missing)


def check_metric(labels: Table, classes: Classes, metric: str) -> str:
    """The metric that `auto` means. Raises `UserError` for one that does not fit."""
    several = classes.y.ndim == 2
    if metric == "auto":
        return "micro_f1" if several else "accuracy"
    task = MULTI_LABEL if several else BINARY if classes.num_classes == 2 else MULTI_CLASS
    if task not in METRICS[metric].tasks:
        what = "several labels per node" if several else f"one of {classes.num_classes} classes per node"
        raise labels.unfit(f"dataset.metric={metric} does not fit a {task} task ({what})", f"Use auto, or one of {fitting(task)}")
    return metric
