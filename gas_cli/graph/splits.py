"""Train, validation and test masks."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gas_cli.errors import UserError
from gas_cli.graph.graph import Graph, Split

log = logging.getLogger(__name__)

PARTS = ("train", "val", "test")


def numbered_split(graph: Graph, number: int, seed: int) -> Split:
    """The split with this number (`dataset.split`), or with number `seed` modulo how many there are where it is -1."""
    splits = graph.splits
    if not splits:
        raise UserError(
            f"{graph.name} has no split into train, val and test. Type dataset.make_split=random "
            "(or stratified, order, groups; docs/graph-files.md), or add one to its files."
        )
    if number >= len(splits):
        raise UserError(
            f"dataset.split={number}: {graph.name} has {len(splits)} split(s), numbered from 0. Type dataset.split=-1 to follow the seed."
        )
    return splits[seed % len(splits) if number < 0 else number]


def check_number(graph: Graph, number: int) -> None:
    """Raise `UserError` for the number of a split that a graph with splits does not have: before minutes of partitioning."""
    if graph.splits:
        numbered_split(graph, number, seed=0)


def report_empty_parts(graph: Graph) -> None:
    """One line where a split has no validation or no test nodes."""
    for number, split in enumerate(graph.splits):
        if not bool(split.val.any()):
            log.warning("%s: split %d has no validation nodes, so the last evaluation counts as the best one.", graph.name, number)
        if not bool(split.test.any()):
            log.warning("%s: split %d has no test nodes, so no test metric is measured.", graph.name, number)
        if not bool(split.val.any() and split.test.any()):
            return  # one example tells


def per_class_splits(
    y: Tensor,
    num_classes: int,
    train_per_class: int = 20,
    val_per_class: int = 30,
    num_splits: int = 20,
    seed: int = 12345,
) -> tuple[Split, ...]:
    """Random splits with the same number of training nodes in every class; the nodes left over test.

    y int64 [N]. Class after class draws one permutation of its nodes for each split in turn, all from one generator: these are
    the draws behind the published figures on Coauthor and Amazon (Fey et al. 2021, seed 12345). A class with fewer nodes
    fills the training mask first.
    """
    generator = torch.Generator().manual_seed(seed)
    train = torch.zeros(num_splits, y.shape[0], dtype=torch.bool)
    val = torch.zeros_like(train)
    for c in range(num_classes):
        nodes = (y == c).nonzero().view(-1)
        for split in range(num_splits):
            drawn = nodes[torch.randperm(nodes.numel(), generator=generator)]
            train[split, drawn[:train_per_class]] = True
            val[split, drawn[train_per_class : train_per_class + val_per_class]] = True
    return tuple(Split(train[s], val[s], ~(train[s] | val[s])) for s in range(num_splits))


def split_from_ids(num_nodes: int, train: NDArray[Any], val: NDArray[Any], test: NDArray[Any], source: str) -> Split:
    """A split from three lists of node ids; `source` says in an error whose lists they are."""
    return Split(*(_mask(num_nodes, ids, f"{source}: {kind}") for kind, ids in (("train", train), ("valid", val), ("test", test))))


def _mask(num_nodes: int, ids: NDArray[Any], source: str) -> Tensor:
    bad = np.flatnonzero((ids < 0) | (ids >= num_nodes))
    if bad.size:
        raise UserError(
            f"{source} split has node id {ids[bad[0]]} at position {bad[0]}: expected ids from 0 to {num_nodes - 1}. "
            f"Correct the list, or download the dataset again."
        )
    mask = torch.zeros(num_nodes, dtype=torch.bool)
    mask[torch.from_numpy(np.asarray(ids, np.int64))] = True
    return mask
