"""The messages of a layer with what comes before and after them, in as few passes over memory as possible.

    s = scale · (A_BB drop(h_B) + A_BH drop(h_H)) + weight · h_0

The sums, the factor and the last term are one pass over the rows, and in the backward pass the transposed sums and the mask are one; of
the inputs nothing is kept, because the gradient needs none of them. As the slow twin, and where no CUDA kernel can be compiled, it is one
operation after another.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gas_cli.ops.csr import CSR
from gas_cli.ops.dropout import Mask, apply_mask, masked
from gas_cli.ops.spmm import block_spmm, is_compiled, row_sums, wide
from gas_cli.ops.twins import TWINS

Masks = tuple[Mask, Mask] | None
"""The dropout of targets and halo; None where nothing is dropped."""


def aggregate(
    inner: CSR,
    outer: CSR,
    target: Tensor,
    halo: Tensor,
    masks: Masks,
    scale: float = 1.0,
    initial: Tensor | None = None,
    weight: float = 0.0,
) -> Tensor:
    """s [B, C] of `target` [B, C] and `halo` [H, C], with `initial` h_0 [B, C]; lower precisions than float32 are widened first."""
    start = wide(initial) if initial is not None else None
    if TWINS.slow or (target.is_cuda and not is_compiled(wide(target))):
        return aggregate_reference(inner, outer, wide(target), wide(halo), masks, scale, start, weight)
    return _Aggregate.apply(inner, outer, wide(target), wide(halo), masks, scale, start, weight)  # type: ignore[no-any-return, no-untyped-call]


def aggregate_reference(
    inner: CSR,
    outer: CSR,
    target: Tensor,
    halo: Tensor,
    masks: Masks,
    scale: float = 1.0,
    initial: Tensor | None = None,
    weight: float = 0.0,
) -> Tensor:
    """The slow twin."""
    if masks is not None:
        target, halo = masked(target, masks[0]), masked(halo, masks[1])
    out = block_spmm(inner, outer, target, halo)
    if scale != 1:
        out = out.mul_(scale)
    return out if initial is None else out.add_(initial, alpha=weight)


class _Aggregate(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        inner: CSR,
        outer: CSR,
        target: Tensor,
        halo: Tensor,
        masks: Masks,
        scale: float,
        initial: Tensor | None,
        weight: float,
    ) -> Tensor:
        ctx.inner, ctx.outer, ctx.masks, ctx.scale, ctx.weight = inner, outer, masks, scale, weight
        if masks is not None:
            target, halo = apply_mask(target, masks[0]), apply_mask(halo, masks[1]) if outer.nnz else halo
        return row_sums([(inner, target), (outer, halo)], scale, initial, weight)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        grad, wanted = grads[0], ctx.needs_input_grad
        target_mask, halo_mask = ctx.masks or (None, None)
        to_target = row_sums([(ctx.inner.transpose(), grad)], ctx.scale, mask=target_mask) if wanted[2] else None
        to_halo = row_sums([(ctx.outer.transpose(), grad)], ctx.scale, mask=halo_mask) if wanted[3] else None
        to_initial = grad * ctx.weight if wanted[6] else None
        return None, None, to_target, to_halo, None, None, to_initial, None
