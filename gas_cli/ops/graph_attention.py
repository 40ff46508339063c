"""GAT's aggregation with its backward pass, on the CPU by compiled kernels that write nothing for each edge and head.

Saved for the backward pass: the rows, their scores, the output, and of each target as much again (`attention_kernels`). A gradient of
`term` is the only table of E rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gas_cli.ops.attention import SLOPE, EdgeDropout, Edges, graph_attention_reference
from gas_cli.ops.csr import CSR
from gas_cli.ops.dropout import Mask
from gas_cli.ops.kernels import attention_kernels as kernels
from gas_cli.ops.spmm import wide
from gas_cli.ops.threads import over_equal_rows, over_rows
from gas_cli.ops.twins import TWINS

UNROLLED_HEADS, UNROLLED_CHANNELS = (1, 8), (8, 16, 32, 64)
"""Sizes that kernels are compiled for, each on its first use; all others share one compiled form."""
NO_ENTRIES = np.empty(0, np.int64)


def graph_attention(
    own: Tensor, halo: Tensor, source: Tensor, target: Tensor, edges: Edges, drop: EdgeDropout, term: Tensor | None = None
) -> Tensor:
    """out_v = Σ_w dropout(α_vw) h_w, α_v = softmax_w LeakyReLU(<source, h_w> + <target, h_v> [+ term_vw]), for each head: [B, heads · C].

    own [B, heads · C] and halo [H, heads · C] are the projected rows h of targets and halo; source and target [heads, C] the attention
    vectors; term [E, heads] what else an edge's score has. A target without edges gets zeros.
    """
    if TWINS.slow or own.is_cuda:
        return graph_attention_reference(own, halo, source, target, edges, drop, term)
    tensors = [wide(t).contiguous() for t in (own, halo, source, target, *([] if term is None else [term]))]
    learning = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
    heads, channels = source.shape
    return _GraphAttention.apply(_Layer(edges, drop, heads, channels, learning), *tensors)  # type: ignore[no-any-return, no-untyped-call]


@dataclass(frozen=True)
class _Layer:
    """What a pass knows beside its tensors; `learning` says that a backward pass follows."""

    edges: Edges
    drop: EdgeDropout
    heads: int
    channels: int
    learning: bool

    @cached_property
    def sizes(self) -> tuple[Any, Any]:
        """Heads and channels as the kernels take them: tuples are constants to the compiler."""
        heads = (0,) * self.heads if self.heads in UNROLLED_HEADS else self.heads
        return heads, (0,) * self.channels if self.channels in UNROLLED_CHANNELS else self.channels

    def constants(self, dtype: type[Any]) -> tuple[Any, ...]:
        """Keys and threshold of the masks, the factor of what they keep (`dropout`'s, to the bit), LeakyReLU's slope; heads, channels."""
        p = self.drop.p if self.drop.noise.active else 0.0
        key0, key1, threshold = Mask(p, self.drop.noise.key(self.drop.site), self.edges.target_ids).words()[1:]
        return key0, key1, threshold, dtype(np.float32(1 / (1 - p))), dtype(SLOPE), *self.sizes


class _GraphAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, layer: _Layer, own: Tensor, halo: Tensor, source: Tensor, target: Tensor, *terms: Tensor) -> Tensor:
        by_own, by_halo, by_target = _scores(layer, own, source), _scores(layer, halo, source), _scores(layer, own, target)
        kept = own.shape[0] if layer.learning else 0
        out, positive = torch.empty_like(own), own.new_empty(kept, own.shape[1])
        share, lse = own.new_empty(kept, layer.heads), own.new_empty(kept, layer.heads)
        edges = layer.edges
        inner = *edges.inner.arrays[:2], _flat(own), _flat(by_own), _flat(edges.target_ids)
        outer = *edges.outer.arrays[:2], _flat(halo), _flat(by_halo), _flat(edges.halo_ids)
        constants, results = layer.constants(inner[2].dtype.type), [_flat(t) for t in (out, positive, share, lse)]
        kernel: Any = kernels.forward
        kernel = partial(kernel, *inner, *outer, _flat(by_target), _term(terms, own), *constants, layer.learning, *results)
        over_rows(kernel, inner[0] + outer[0], own.shape[1])
        ctx.layer = layer
        ctx.save_for_backward(own, halo, source, target, by_own, by_halo, by_target, out, positive, share, lse, *terms)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        layer, grad = ctx.layer, grads[0].contiguous()
        own, halo, source, target, by_own, by_halo, by_target, out, positive, share, lse, *terms = ctx.saved_tensors
        table, to_target = own.new_empty(own.shape[0], 3 * layer.heads), torch.empty_like(by_target)
        arrays = [_flat(t) for t in (by_target, lse, out, positive, share, grad)]
        kernel: Any = kernels.backward_targets
        kernel = partial(kernel, *arrays, arrays[0].dtype.type(SLOPE), *layer.sizes, _flat(table), _flat(to_target))
        over_equal_rows(kernel, *own.shape)
        to_term = [torch.empty_like(term) for term in terms if ctx.needs_input_grad[-1]]
        shared = _Shared(layer, table, grad, source, target, terms, to_term)
        edges = layer.edges
        to_own, to_by_own = shared.sources(edges.inner, 0, own, by_own, edges.target_ids, to_target)
        to_halo, to_by_halo = shared.sources(edges.outer, edges.inner.nnz, halo, by_halo, edges.halo_ids, to_target[:0])
        to_source = _attention_gradient(to_by_own, own, source) + _attention_gradient(to_by_halo, halo, source)
        return None, to_own, to_halo, to_source, _attention_gradient(to_target, own, target), *(to_term if to_term else [None] * len(terms))


@dataclass(frozen=True)
class _Shared:
    """What the backward passes over inner and outer edges share; `to_term` is filled by both."""

    layer: _Layer
    table: Tensor
    grad: Tensor
    source: Tensor
    target: Tensor
    terms: Sequence[Tensor]
    to_term: Sequence[Tensor]

    def sources(self, a: CSR, first: int, rows: Tensor, scores: Tensor, ids: Tensor, to_target: Tensor) -> tuple[Tensor, Tensor]:
        """The gradients of the rows [n, heads · C] and scores [n, heads] of the sources of `a`, whose first entry is entry `first`."""
        layer, (rowptr, col, _) = self.layer, a.transpose().arrays
        entry = a.transposed_entries if self.terms else NO_ENTRIES
        to_rows, to_scores = torch.empty_like(rows), torch.empty_like(scores)
        nodes = *(_flat(t) for t in (rows, scores, ids, self.table, self.grad, layer.edges.target_ids)), _term(self.terms, rows)
        results = *(_flat(t) for t in (self.source, self.target, to_target, to_rows, to_scores)), _term(self.to_term, rows)
        constants = layer.constants(nodes[0].dtype.type)
        kernel = partial(kernels.backward_sources, rowptr, col, entry, np.uint64(first), *nodes, *constants, *results)
        over_rows(kernel, rowptr, 2 * rows.shape[1])
        return to_rows, to_scores


def _scores(layer: _Layer, rows: Tensor, attention: Tensor) -> Tensor:
    """<attention, h> [n, heads]."""
    out = rows.new_empty(rows.shape[0], layer.heads)
    over_equal_rows(partial(kernels.node_scores, _flat(rows), _flat(attention), *layer.sizes, _flat(out)), *rows.shape)
    return out


def _attention_gradient(to_scores: Tensor, rows: Tensor, attention: Tensor) -> Tensor:
    """Σ_v ∂score_v h_v [heads, C]: the diagonal of all pairs of heads, as a matrix product is faster than a sum over [n, heads, C]."""
    heads, channels = attention.shape
    return (to_scores.t() @ rows).view(heads, heads, channels).diagonal().t().contiguous()


def _term(terms: Sequence[Tensor], like: Tensor) -> Any:
    """The term's table for a kernel: without elements where there is none."""
    return _flat(terms[0] if terms else like.new_empty(0))


def _flat(x: Tensor) -> Any:
    return x.detach().contiguous().view(-1).numpy()
