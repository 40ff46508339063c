"""Features that a setting makes (`dataset.features`), in the place of a graph's own or because it has none."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from gas_cli.config.dataset import DatasetConfig
from gas_cli.errors import UserError
from gas_cli.graph.graph import Graph
from gas_cli.graph.schema import Column
from gas_cli.ops.dropout import Noise, words

log = logging.getLogger(__name__)

WITHOUT = " To train without features, type dataset.features=degree (or constant, random)."
RANDOM_COLUMNS = 64
ROWS_AT_A_TIME = 1 << 16
_NOISE, _SITE = Noise(seed=0x6761736665617473, step=0), 0
"""The seed of random features: it is one for all, since no other one is better."""


def none_of(num_nodes: int) -> Tensor:
    """The features of a graph that has none: float32 [N, 0]."""
    return torch.zeros(num_nodes, 0)


def check_features(graph: Graph) -> None:
    """Raise `UserError` where the graph has no features."""
    if graph.num_features == 0:
        raise UserError(f"Graph {graph.name!r} has no features: expected at least one column.{WITHOUT}")


def with_features(graph: Graph, config: DatasetConfig) -> Graph:
    """The graph with the features that `config` asks for: its own, or made ones, whose columns its schema names.

    Raises `UserError` where it has none and none are asked for.
    """
    if config.features is None:
        check_features(graph)
        return graph
    columns, make = MADE[config.features]
    instead = f" in place of its own {graph.num_features:,} columns" if graph.num_features else ""
    log.info("%s: features are %s (dataset.features=%s)%s.", graph.name, _listed(columns), config.features, instead)
    return replace(graph, x=make(graph), x_row=None, schema=replace(graph.schema, features=columns))


def degrees(graph: Graph) -> Tensor:
    """[log(1 + in-degree), log(1 + out-degree)] float32 [N, 2], weights left out.

    Both also for undirected graphs, where they are equal: other data may be directed, and the model has one column for each.
    """
    counts = np.diff(graph.adj.rowptr.numpy()), np.bincount(graph.adj.col.numpy(), minlength=graph.num_nodes)
    return torch.from_numpy(np.log1p(np.stack(counts, axis=1)).astype(np.float32))


def constant(graph: Graph) -> Tensor:
    """One column of 1, float32 [N, 1]."""
    return torch.ones(graph.num_nodes, 1)


def random(graph: Graph) -> Tensor:
    """Independent uniform numbers of mean 0 and variance 1, float32 [N, RANDOM_COLUMNS].

    They are a function of the node's position in the dataset and the column: the same for every number of nodes, partition and machine.
    """
    x = torch.empty(graph.num_nodes, RANDOM_COLUMNS)
    columns, key = torch.arange(RANDOM_COLUMNS), _NOISE.key(_SITE)
    for start in range(0, graph.num_nodes, ROWS_AT_A_TIME):
        rows = torch.arange(start, min(start + ROWS_AT_A_TIME, graph.num_nodes))
        drawn = words(rows.unsqueeze(1), columns, *key) >> 8  # 24 bits, which float32 holds exactly
        x[start : start + ROWS_AT_A_TIME] = (drawn.float() * 2.0**-23 - 1) * math.sqrt(3)
    return x


Make = Callable[[Graph], Tensor]
MADE: dict[str, tuple[tuple[Column, ...], Make]] = {
    "degree": ((Column("log(1 + in-degree)"), Column("log(1 + out-degree)")), degrees),
    "constant": ((Column("1"),), constant),
    "random": ((Column("random", "vector", RANDOM_COLUMNS),), random),
}
"""The columns and the numbers of each `dataset.features`."""


def _listed(columns: tuple[Column, ...]) -> str:
    return ", ".join(column.name if column.width == 1 else f"{column.width} {column.name} numbers" for column in columns)
