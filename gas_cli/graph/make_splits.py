"""Splits that settings make (`dataset.make_split`, `dataset.folds`): of the labelled nodes in the dataset's order, before any partition."""

from __future__ import annotations

import heapq
import logging
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from gas_cli.config.dataset import BY_COLUMN, DatasetConfig
from gas_cli.errors import UserError
from gas_cli.graph.graph import Graph, Split
from gas_cli.graph.grouping import Grouping
from gas_cli.graph.schema import TYPE, few
from gas_cli.graph.splits import PARTS, check_number, report_empty_parts

log = logging.getLogger(__name__)

Numbers = NDArray[np.int64]


def with_splits(graph: Graph, config: DatasetConfig) -> Graph:
    """The graph with the splits that `config` asks for: its own, or made ones. The log says what was made, and which parts are empty.

    Raises `UserError` for a split that cannot be made, or that does not exist.
    """
    made = config.make_split is not None or config.folds is not None
    splits = make_splits(graph, config) if made else graph.splits
    graph = replace(graph, splits=splits, groups=None)
    check_number(graph, config.split)
    report_empty_parts(graph)
    return graph


def make_splits(graph: Graph, config: DatasetConfig) -> tuple[Split, ...]:
    """One split by `config.shares`, or the splits of `config.folds` folds, of the nodes with a label; the others are in no part.

    The same nodes for every seed of the run, every partition and every form of the files. Raises `UserError` naming the sizes where a part
    would be empty, and what `config` needs and the graph lacks.
    """
    if graph.inductive:
        raise UserError(f"{graph.name} is inductive: its training nodes are graphs apart. Leave dataset.make_split and dataset.folds out.")
    _check_types(graph)
    nodes = _labelled(graph)
    if config.make_split in BY_COLUMN:
        nodes = nodes[_grouping(graph, config).code.numpy()[nodes] >= 0]
    if not nodes.size:
        raise UserError(f"{graph.name}: no node has a label (and a value of dataset.split_by), so no split can be made. Label some nodes.")
    if config.folds is None:
        parts, told = _parts(graph, nodes, config)
        _check_parts(graph, parts, config, told)
        log.info("%s: split of the %s labelled nodes, %s.", graph.name, f"{nodes.size:,}", told)
        return (Split(*(_mask(graph, nodes[parts == part]) for part in range(len(PARTS)))),)
    return _fold_splits(graph, nodes, config.folds, _folds(graph, nodes, config.folds, config))


# -- shares ----------------------------------------------------------------------------------------------------------------------------


def _parts(graph: Graph, nodes: Numbers, config: DatasetConfig) -> tuple[Numbers, str]:
    """0, 1, 2 for train, val and test, or -1, of each of the `nodes`; and what was done, in words."""
    if config.make_split in BY_COLUMN:
        return _parts_by_column(_grouping(graph, config), nodes, config)
    parts = np.full(nodes.size, -1)
    order = _shuffled(nodes.size, config.split_seed)
    if config.make_split == "random":
        parts[order] = cut(np.ones(nodes.size, np.int64), config.shares)
    else:
        _report_small(graph, nodes, sum(share > 0 for share in config.shares), "parts")
        for members in _by_class(graph, nodes, order):
            parts[members] = cut(np.ones(members.size, np.int64), config.shares)
    return parts, f"{config.make_split} (dataset.split_seed={config.split_seed}): {_sizes(parts)}"


def _parts_by_column(grouping: Grouping, nodes: Numbers, config: DatasetConfig) -> tuple[Numbers, str]:
    """No value is in two parts: in ascending order, or in a random one."""
    present, block = np.unique(grouping.code.numpy()[nodes], return_inverse=True)
    order = np.arange(present.size) if config.make_split == "order" else _shuffled(present.size, config.split_seed)
    part_of = np.empty(present.size, np.int64)
    part_of[order] = cut(np.bincount(block)[order], config.shares)
    parts: Numbers = part_of[block]
    if config.make_split == "groups":
        groups = ", ".join(f"{part} {int((part_of == number).sum()):,}" for number, part in enumerate(PARTS))
        return parts, f"groups of {grouping.column!r} (dataset.split_seed={config.split_seed}; {groups}): {_sizes(parts)}"
    last = {part: present[part_of == number][-1:] for number, part in enumerate(PARTS)}
    borders = ", ".join(f"{part} up to {grouping.values.take(value)[0]}" for part, value in last.items() if value.size)
    return parts, f"in the order of {grouping.column!r} ({borders}): {_sizes(parts)}"


def cut(sizes: Numbers, shares: list[float]) -> Numbers:
    """0, 1, 2 or -1 (none) for each of the blocks [G], which follow each other and are not divided.

    Each part ends with the block whose end is nearest to its share of the nodes. One with a share gets at least one block, where there are
    enough of them.
    """
    needed = [int(share > 0) for share in shares]
    ends = np.concatenate([[0], np.cumsum(sizes)])
    wanted = ends[-1] * np.cumsum(shares)
    after = np.minimum(np.searchsorted(ends, wanted), sizes.size)
    before = np.maximum(after - 1, 0)
    cuts = np.where(wanted - ends[before] < ends[after] - wanted, before, after).tolist()
    if sizes.size >= sum(needed):
        low, high = 0, sizes.size
        for part, need in enumerate(needed):
            low = cuts[part] = max(cuts[part], low + need)
        for part, need in reversed(list(enumerate(needed))):
            cuts[part] = min(cuts[part], high)
            high = cuts[part] - need
    parts = np.full(sizes.size, -1)
    for part, (start, stop) in enumerate(zip([0, *cuts], cuts, strict=False)):
        parts[start:stop] = part
    return parts


def _check_parts(graph: Graph, parts: Numbers, config: DatasetConfig, told: str) -> None:
    empty = [name for number, name in enumerate(PARTS) if config.shares[number] > 0 and not (parts == number).any()]
    if empty:
        shares = ",".join(f"{share:g}" for share in config.shares)
        raise UserError(
            f"{graph.name}: dataset.shares=[{shares}] of {parts.size:,} labelled nodes leave {' and '.join(empty)} without a node "
            f"({told}). Give it a share of 0, or divide otherwise (dataset.make_split=random)."
        )


def _sizes(parts: Numbers) -> str:
    counts = [*((part, int((parts == number).sum())) for number, part in enumerate(PARTS)), ("none", int((parts < 0).sum()))]
    return ", ".join(f"{part} {count:,}" for part, count in counts if count or part != "none")


# -- folds -----------------------------------------------------------------------------------------------------------------------------


def _folds(graph: Graph, nodes: Numbers, folds: int, config: DatasetConfig) -> Numbers:
    """The fold of each of the `nodes`: equal in number but for one, or as equal as whole groups allow."""
    if config.make_split == "groups":
        return _folds_of_groups(_grouping(graph, config), nodes, folds, config.split_seed)
    if nodes.size < folds:
        raise UserError(f"dataset.folds={folds}: {graph.name} has {nodes.size} labelled nodes. Type dataset.folds={nodes.size} or fewer.")
    order = _shuffled(nodes.size, config.split_seed)
    if config.make_split == "stratified":
        _report_small(graph, nodes, folds, "folds")
        order = np.concatenate(_by_class(graph, nodes, order))
    fold = np.empty(nodes.size, np.int64)
    fold[order] = np.arange(nodes.size) % folds
    return fold


def _folds_of_groups(grouping: Grouping, nodes: Numbers, folds: int, seed: int) -> Numbers:
    """Whole groups, the largest first, each into the fold with the fewest nodes so far."""
    present, block = np.unique(grouping.code.numpy()[nodes], return_inverse=True)
    if present.size < folds:
        raise UserError(
            f"dataset.folds={folds}: the column {grouping.column!r} has {present.size} groups. Type dataset.folds={present.size} or fewer."
        )
    sizes = np.bincount(block)
    order = _shuffled(present.size, seed)
    filled = [(0, fold) for fold in range(folds)]
    fold_of = np.empty(present.size, np.int64)
    for group in order[np.argsort(-sizes[order], kind="stable")].tolist():
        count, fold = heapq.heappop(filled)
        fold_of[group] = fold
        heapq.heappush(filled, (count + int(sizes[group]), fold))
    of_nodes: Numbers = fold_of[block]
    return of_nodes


def _fold_splits(graph: Graph, nodes: Numbers, folds: int, fold: Numbers) -> tuple[Split, ...]:
    """In split k, fold k tests and the next one validates; of two folds none does."""

    def split(number: int) -> Split:
        test, val = fold == number, fold == (number + 1) % folds if folds > 2 else np.zeros(nodes.size, bool)
        return Split(*(_mask(graph, nodes[part]) for part in (~(test | val), val, test)))

    counts = np.bincount(fold, minlength=folds)
    sizes = f"{counts.min():,}" if counts.min() == counts.max() else f"{counts.min():,} to {counts.max():,}"
    validates = "the next one validates, the others train" if folds > 2 else "the other one trains"
    log.info("%s: %d folds of %s labelled nodes; one tests, %s.", graph.name, folds, sizes, validates)
    return tuple(split(number) for number in range(folds))


# -- nodes -----------------------------------------------------------------------------------------------------------------------------


def _labelled(graph: Graph) -> Numbers:
    """The nodes whose label is known, ascending."""
    y = graph.y
    known = torch.isfinite(y).reshape(y.shape[0], -1).all(1) if y.is_floating_point() else y >= 0
    return known.nonzero().view(-1).numpy()


def _check_types(graph: Graph) -> None:
    """Raise `UserError` for several types of nodes and several labels per node: nodes of other types have rows of zeros, as labelled ones
    may have, so a split would hold them."""
    types = [column.name.removeprefix(TYPE) for column in graph.schema.features if column.name.startswith(TYPE)]
    if len(types) > 1 and graph.y.dim() == 2 and not graph.regression:
        raise UserError(
            f"{graph.name}: it has several labels per node and the node types {few(types)}, of which one has labels: a split that is made "
            "would hold nodes of all. Give train_mask, val_mask and test_mask, without dataset.make_split and dataset.folds."
        )


def _grouping(graph: Graph, config: DatasetConfig) -> Grouping:
    """The column of `config.split_by`. Raises `UserError` where the graph has none, or the column no order."""
    if graph.groups is None:
        raise UserError(
            f"dataset.split_by={config.split_by}: {graph.name} has no table of nodes with columns. Give it one (nodes.csv, "
            "docs/graph-files.md), or type dataset.make_split=random."
        )
    if config.make_split == "order" and not graph.groups.ordered:
        first = graph.groups.values.take(np.array([0]))[0]
        raise UserError(
            f"dataset.make_split=order: the column {graph.groups.column!r} holds text, such as {first!r}. "
            "Expected numbers, or dates as 2017-12-31. For whole groups type dataset.make_split=groups."
        )
    return graph.groups


def _by_class(graph: Graph, nodes: Numbers, order: Numbers) -> list[Numbers]:
    """Positions among `nodes`, class after class, each in the order of `order`. Raises `UserError` for anything but one class per node."""
    if graph.y.dim() != 1 or graph.y.is_floating_point():
        has = "several labels" if graph.y.dim() == 2 else "numbers"
        raise UserError(
            f"dataset.make_split=stratified needs one class per node, and {graph.name} has {has}. Type dataset.make_split=random."
        )
    y = graph.y.numpy()[nodes][order]
    ends = np.cumsum(np.bincount(y, minlength=graph.num_classes))
    return [members for members in np.split(order[np.argsort(y, kind="stable")], ends[:-1]) if members.size]


def _report_small(graph: Graph, nodes: Numbers, wanted: int, what: str) -> None:
    """One line on the classes that cannot be everywhere."""
    if graph.y.dim() != 1 or graph.y.is_floating_point():
        return  # `_by_class` refuses them
    counts = np.bincount(graph.y.numpy()[nodes], minlength=graph.num_classes)
    small = np.flatnonzero((counts > 0) & (counts < wanted))
    if small.size:
        name = graph.class_names[small[0]] if graph.class_names else str(small[0])
        log.warning(
            "%s: %d class(es) have fewer nodes than there are %s (%d), so they are not in all of them; the first is %s with %d.",
            graph.name, small.size, what, wanted, name, counts[small[0]],
        )  # fmt: skip


def _mask(graph: Graph, nodes: Numbers) -> torch.Tensor:
    mask = torch.zeros(graph.num_nodes, dtype=torch.bool)
    mask[torch.from_numpy(nodes)] = True
    return mask


def _shuffled(count: int, seed: int) -> Numbers:
    """A random order of 0..count-1, that of the words of a Philox generator: numpy changes these in no version."""
    order: Numbers = np.argsort(np.random.Philox(key=seed).random_raw(count), kind="stable")
    return order
