"""Checks of a graph: what every later stage relies on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from gas_cli.config.metrics import LOSS, OGB, fitting, metric_kind
from gas_cli.errors import UserError
from gas_cli.ops.csr import CSR

if TYPE_CHECKING:
    from gas_cli.graph.graph import Graph

VALUES_AT_A_TIME = 1 << 24


def validate(graph: Graph) -> None:
    """Check what the docstring of `Graph` says of its fields. Raises `UserError` naming the first offending entry."""
    n = graph.num_nodes
    _check(graph, n > 0, "has no nodes", "at least one node")
    _check(graph, int(graph.x.shape[0]) == n, f"has {int(graph.x.shape[0])} feature rows for {n} nodes", "one row per node")
    _check(graph, int(graph.y.shape[0]) == n, f"has {int(graph.y.shape[0])} labels for {n} nodes", "one label per node")
    if graph.adj.nnz:
        low, high = int(graph.adj.col.min()), int(graph.adj.col.max())
        _check(graph, low >= 0 and high < n, f"has edges with node ids from {low} to {high}", f"ids from 0 to {n - 1}")
    _check_features(graph)
    _check_edge_attributes(graph)
    _check_labels(graph)
    for i, split in enumerate(graph.splits):
        for kind, mask in (("train", split.train), ("val", split.val), ("test", split.test)):
            fits = mask.dtype == torch.bool and mask.shape == (n,)
            _check(graph, fits, f"has a {kind} mask of shape {tuple(mask.shape)} and type {mask.dtype}", f"a boolean mask of shape ({n},)")
        _check(graph, bool(split.train.any()), f"has an empty training mask in split {i}", "at least one training node")
        overlap = (split.train & split.val) | (split.train & split.test) | (split.val & split.test)
        _check(graph, not bool(overlap.any()), f"has node {_first(overlap)} in two masks of split {i}", "disjoint masks")
    if graph.inductive:
        _check(graph, bool(graph.splits), "is inductive and has no split", "at least one train/val/test split")
        _check_inductive(graph)


def _check_inductive(graph: Graph) -> None:
    train = graph.splits[0].train
    same = all(torch.equal(split.train, train) for split in graph.splits)
    _check(graph, same, "is inductive and has splits that train on different nodes", "the same training mask in every split")
    of_target = torch.from_numpy(np.repeat(train.numpy(), np.diff(graph.adj.rowptr.numpy())))
    crosses = of_target != train.index_select(0, graph.adj.col)
    if bool(crosses.any()):
        edge = _first(crosses)
        ends = int(graph.adj.col[edge]), int(np.searchsorted(graph.adj.rowptr.numpy(), edge, side="right")) - 1
        _check(graph, False, f"is inductive and has the edge {ends[0]} -> {ends[1]} between a training node and another", "no such edge")


def _check_features(graph: Graph) -> None:
    entry = _first_not_finite(graph.x.value if isinstance(graph.x, CSR) else graph.x)
    if entry is not None:
        row = int(np.searchsorted(graph.x.rowptr.numpy(), entry, side="right")) - 1 if isinstance(graph.x, CSR) else entry
        _check(graph, False, f"has a NaN or infinite feature at node {row}", "finite features (clean or impute them first)")


def _check_edge_attributes(graph: Graph) -> None:
    table, rows = graph.edge_attr, graph.adj.attr_row
    if table is None:
        return
    shape = tuple(table.shape)
    fits = table.dim() == 2 and table.shape[1] > 0 and table.dtype == torch.float32
    _check(graph, fits, f"has edge attributes of shape {shape} and type {table.dtype}", "float32 [E, D]: one row per edge")
    if rows is None:
        _check(
            graph, shape[0] == graph.num_edges, f"has {shape[0]} rows of edge attributes for {graph.num_edges} edges", "one row per edge"
        )
    elif rows.numel():
        low, high = int(rows.min()), int(rows.max())
        inside = rows.shape == (graph.num_edges,) and low >= 0 and high < shape[0]
        _check(graph, inside, f"has edges with the rows {low} to {high} of {shape[0]} rows of edge attributes", "a row for every edge")
    entry = _first_not_finite(table)
    _check(graph, entry is None, f"has a NaN or infinite edge attribute in row {entry}", "finite attributes (clean or impute them first)")


def _check_labels(graph: Graph) -> None:
    fits = graph.metric.startswith(OGB) or (graph.metric != LOSS and graph.task in metric_kind(graph.metric).tasks)
    _check(graph, fits, f"has a {graph.task} task and metric {graph.metric}", f"one of {fitting(graph.task)}")
    named = len(graph.class_names)
    _check(graph, named in (0, graph.num_classes), f"has {named} class names", f"{graph.num_classes} names, or none")
    if graph.regression:
        _check_targets(graph)
        return
    if graph.y.dim() == 2:
        columns = int(graph.y.shape[1])
        _check(graph, columns == graph.num_classes, f"has {columns} label columns", f"{graph.num_classes} columns")
        bad = _in_a_split(graph) & ~((graph.y == 0) | (graph.y == 1)).all(1)
        found = "has a label that is neither 0 nor 1 at node {}, which is in a split"
        _check(graph, not bool(bad.any()), found.format(_first(bad)), "0 or 1 for every class")
        return
    bad = _in_a_split(graph) & ((graph.y < 0) | (graph.y >= graph.num_classes))
    if bool(bad.any()):
        node = _first(bad)
        _check(graph, False, f"has label {int(graph.y[node])} at node {node}", f"labels from 0 to {graph.num_classes - 1}")


def _check_targets(graph: Graph) -> None:
    width = 1 if graph.y.dim() == 1 else int(graph.y.shape[-1])
    fits = graph.y.dtype == torch.float32 and graph.y.dim() in (1, 2) and width == graph.num_classes
    found = f"has targets of shape {tuple(graph.y.shape)} and type {graph.y.dtype}"
    _check(graph, fits, found, f"float32 [N], or [N, T] with T = num_classes = {graph.num_classes}")
    bad = _in_a_split(graph) & ~torch.isfinite(graph.y.reshape(graph.num_nodes, -1)).all(1)
    _check(graph, not bool(bad.any()), f"has a NaN or infinite target at node {_first(bad)}, which is in a split", "finite targets")


def _in_a_split(graph: Graph) -> Tensor:
    """bool [N]: the nodes that train, validate or test."""
    used = torch.zeros(graph.num_nodes, dtype=torch.bool)
    for split in graph.splits:
        used |= split.train | split.val | split.test
    return used


def _check(graph: Graph, holds: bool, found: str, expected: str) -> None:
    if not holds:
        raise UserError(f"Graph {graph.name!r} {found}: expected {expected}.")


def _first_not_finite(values: Tensor) -> int | None:
    """The first row with a NaN or infinite entry, read in blocks: the table may be larger than memory."""
    rows = max(1, VALUES_AT_A_TIME // max(1, values[:1].numel()))
    for start in range(0, values.shape[0], rows):
        bad = ~torch.isfinite(values[start : start + rows])
        if bool(bad.any()):
            return start + int(bad.reshape(bad.shape[0], -1).any(1).nonzero()[0])
    return None


def _first(mask: Tensor) -> int:
    return int(mask.nonzero()[0]) if bool(mask.any()) else -1
