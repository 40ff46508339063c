"""Attention over the incoming edges of each target by whole-tensor operations: the slow twin of `graph_attention`, and its path on CUDA."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from gas_cli.ops.csr import CSR
from gas_cli.ops.dropout import Noise, dropout
from gas_cli.ops.spmm import wide

SLOPE = 0.2
"""Of LeakyReLU below zero, as in the paper."""


class Edges(Protocol):
    """What attention reads of a block (`batch.Block`): E edges, those of `inner` first, then those of `outer`."""

    @property
    def inner(self) -> CSR: ...
    @property
    def outer(self) -> CSR: ...
    @property
    def target_ids(self) -> Tensor: ...
    @property
    def halo_ids(self) -> Tensor: ...
    @property
    def edge_source(self) -> Tensor: ...
    @property
    def edge_target(self) -> Tensor: ...
    @property
    def edge_ids(self) -> Tensor: ...


@dataclass(frozen=True)
class EdgeDropout:
    """Dropout of each edge's weights: an edge and head is dropped with probability p, in every partition alike."""

    p: float
    noise: Noise
    site: int


def graph_attention_reference(
    own: Tensor, halo: Tensor, source: Tensor, target: Tensor, edges: Edges, drop: EdgeDropout, term: Tensor | None = None
) -> Tensor:
    """The slow twin of `graph_attention`: a score and a message for each edge."""
    rows = torch.cat([own, halo]).view(-1, *source.shape)
    num_targets = own.shape[0]
    by_source, by_target = (rows * source).sum(-1), (rows[:num_targets] * target).sum(-1)
    # `index_select`, whose gradient adds rows up; that of indexing sorts them on CUDA first.
    score = by_source.index_select(0, edges.edge_source) + by_target.index_select(0, edges.edge_target)
    alpha = edge_softmax(F.leaky_relu(score if term is None else score + term, SLOPE), edges.edge_target, num_targets)
    kept = dropout(alpha, drop.p, drop.noise, drop.site, edges.edge_ids)
    return attend(kept, rows, edges.edge_source, edges.edge_target, num_targets).flatten(1)


def edge_softmax(scores: Tensor, target: Tensor, num_targets: int) -> Tensor:
    """α [E, heads] = exp(e) / Σ exp(e) over the edges with the same `target` int64 [E]; each target's maximum is taken off first."""
    scores = wide(scores)
    index = target.unsqueeze(1).expand_as(scores)
    # The maximum only shifts the exponent: no gradient flows through it.
    peak = scores.new_full((num_targets, scores.shape[1]), float("-inf")).scatter_reduce_(0, index, scores.detach(), "amax")
    weight = (scores - peak.index_select(0, target)).exp()
    total = scores.new_zeros(num_targets, scores.shape[1]).index_add_(0, target, weight)
    return weight / total.index_select(0, target)


def attend(alpha: Tensor, sources: Tensor, source: Tensor, target: Tensor, num_targets: int) -> Tensor:
    """Σ over the edges w → v of α [E, heads] times the rows [n, heads, C] of their sources: [num_targets, heads, C]."""
    alpha, sources = wide(alpha), wide(sources)
    messages = alpha.unsqueeze(-1) * sources.index_select(0, source)
    return sources.new_zeros(num_targets, *sources.shape[1:]).index_add_(0, target, messages)
