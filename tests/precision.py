"""Passes in float64, which show equality without a tolerance for round-off, and the round-off to expect in float32."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Any

import torch

from gas_cli.batch.batch import Batch, Rows
from gas_cli.graph.graph import Features, Graph
from gas_cli.method.method import Link
from gas_cli.model.model import Model
from gas_cli.model.pna import PNA

EXACT = 1e-9
"""Relative, in float64: two orders of nodes differed by at most 5e-14 of the largest gradient."""


def with_features(batch: Batch, dtype: torch.dtype) -> Batch:
    """The batch with dense features, or the values of sparse ones, in `dtype`: a model of that precision then computes in it.

    The weights of the adjacency stay float32; sums over neighbours have the precision of the rows.
    """

    def cast(x: Features) -> Features:
        return x.to(dtype) if isinstance(x, torch.Tensor) else x.with_values(x.value.to(dtype))

    return replace(batch, x=replace(batch.x, target=cast(batch.x.target), halo=cast(batch.x.halo)))


def in_precision(network: Model, dtype: torch.dtype) -> Model:
    """A copy of the model in `dtype`; of PNA also the scalers, which it computes in float32 from the degrees."""
    twin: Any = copy.deepcopy(network).to(dtype)
    if isinstance(twin, PNA):
        scales = twin._scales
        twin._scales = lambda block: scales(block).to(dtype)
    return twin  # type: ignore[no-any-return]


def with_halo(link: Link, dtype: torch.dtype) -> Link:
    """The link, whose rows of the halo come in `dtype`: from histories they are float32."""
    between = link.between

    def cast(layer: int, h: torch.Tensor) -> Rows:
        rows = between(layer, h)
        return replace(rows, halo=rows.halo.to(dtype))  # type: ignore[arg-type]

    link.between = cast  # type: ignore[method-assign]
    return link


def round_off(graph: Graph, network: Model, largest: float) -> float:
    """What float32 may add to a gradient: eps · √terms · the largest gradient, or 1 if that is less.

    Terms are the entries of all messages of all layers, self-loops included. Errors of independent roundings grow with the square root of
    their number. A gradient can be a small difference of large sums, so its error follows the largest one.
    """
    terms = (graph.adj.nnz + graph.num_nodes) * sum(network.widths)
    return torch.finfo(torch.float32).eps * math.sqrt(terms) * max(1.0, largest)
