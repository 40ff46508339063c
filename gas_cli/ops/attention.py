"""Softmax over the incoming edges of each target, and the weighted sum that attention makes of it."""

from __future__ import annotations

from torch import Tensor

from gas_cli.ops.spmm import wide


def edge_softmax(scores: Tensor, target: Tensor, num_targets: int) -> Tensor:
    """α [E, heads] = exp(e) / Σ exp(e) over the edges with the same `target` int64 [E]; each target's maximum is taken off first."""
    scores = wide(scores)
    index = target.unsqueeze(1).expand_as(scores)
    # The maximum only shifts the exponent: no gradient flows through it.
    peak = scores.new_full((num_targets, scores.shape[1]), float("-inf")).scatter_reduce_(0, index, scores.detach(), "amax")
    weight = (scores - peak[target]).exp()
    total = scores.new_zeros(num_targets, scores.shape[1]).index_add_(0, target, weight)
    return weight / total[target]


def attend(alpha: Tensor, sources: Tensor, source: Tensor, target: Tensor, num_targets: int) -> Tensor:
    """Σ over the edges w → v of α [E, heads] times the rows [n, heads, C] of their sources: [num_targets, heads, C]."""
    alpha, sources = wide(alpha), wide(sources)
    messages = alpha.unsqueeze(-1) * sources[source]
    return sources.new_zeros(num_targets, *sources.shape[1:]).index_add_(0, target, messages)
