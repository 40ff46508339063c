"""The messages of a layer with what comes before and after them, in as few passes over memory as possible.

    s = scale · (A_BB drop(h_B) + A_BH drop(h_H)) + weight · h_0

The sums, the factor and the last term are one pass over the rows, and in the backward pass the transposed sums and the mask are one; of
the inputs nothing is kept, because the gradient needs none of them. As the slow twin, and where no CUDA kernel can be compiled, it is one
operation after another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gas_cli.ops.csr import CSR
from gas_cli.ops.dropout import Mask, apply_mask, masked
from gas_cli.ops.feedback import Feedback
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
    feedback: Feedback | None = None,
) -> Tensor:
    """s [B, C] of `target` [B, C] and `halo` [H, C], with `initial` h_0 [B, C]; lower precisions than float32 are widened first.

    With `feedback` (A_RB^T and the gradients Ḡ_R by the sums of readers R outside of the batch), the gradient g by s gives

        ∂loss/∂h_B = drop'(scale · (A_BB^T g + A_RB^T Ḡ_R))
    """
    start = wide(initial) if initial is not None else None
    if TWINS.slow or (target.is_cuda and not is_compiled(wide(target))):
        return aggregate_reference(inner, outer, wide(target), wide(halo), masks, scale, start, weight, feedback)
    return _Aggregate.apply(inner, outer, wide(target), wide(halo), masks, scale, start, weight, feedback)  # type: ignore[no-any-return, no-untyped-call]


def aggregate_reference(
    inner: CSR,
    outer: CSR,
    target: Tensor,
    halo: Tensor,
    masks: Masks,
    scale: float = 1.0,
    initial: Tensor | None = None,
    weight: float = 0.0,
    feedback: Feedback | None = None,
) -> Tensor:
    """The slow twin."""
    if masks is not None:
        target, halo = masked(target, masks[0]), masked(halo, masks[1])
    target = with_feedback(target, feedback, lambda gradient: gradient * scale)
    out = block_spmm(inner, outer, target, halo)
    if scale != 1:
        out = out.mul_(scale)
    return heard(out if initial is None else out.add_(initial, alpha=weight), feedback)


def with_feedback(h: Tensor, feedback: Feedback | None, change: Callable[[Tensor], Tensor]) -> Tensor:
    """The rows h [B, C'] of the targets, whose gradient also has change(A_RB^T Ḡ_R); a tensor of its own."""
    if feedback is None or not h.requires_grad:
        return h
    h = h.view_as(h)  # whoever else reads these rows must not add it again
    h.register_hook(lambda gradient: gradient + change(row_sums([feedback.pull()])).to(gradient.dtype))  # type: ignore[no-untyped-call]
    return h


def heard(s: Tensor, feedback: Feedback | None) -> Tensor:
    """The sums s [B, C] of the targets, whose gradient `feedback` gets."""
    if feedback is not None and s.requires_grad:
        s.register_hook(feedback.push)  # type: ignore[no-untyped-call]
    return s


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
        feedback: Feedback | None,
    ) -> Tensor:
        ctx.inner, ctx.outer, ctx.masks, ctx.scale, ctx.weight, ctx.feedback = inner, outer, masks, scale, weight, feedback
        if masks is not None:
            target, halo = apply_mask(target, masks[0]), apply_mask(halo, masks[1]) if outer.nnz else halo
        return row_sums([(inner, target), (outer, halo)], scale, initial, weight)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        grad, wanted = grads[0], ctx.needs_input_grad
        target_mask, halo_mask = ctx.masks or (None, None)
        terms = [(ctx.inner.transpose(), grad)]
        if ctx.feedback is not None:
            ctx.feedback.push(grad)
            terms.append(ctx.feedback.pull())
        to_target = row_sums(terms, ctx.scale, mask=target_mask) if wanted[2] else None
        to_halo = row_sums([(ctx.outer.transpose(), grad)], ctx.scale, mask=halo_mask) if wanted[3] else None
        to_initial = grad * ctx.weight if wanted[6] else None
        return None, None, to_target, to_halo, None, None, to_initial, None, None
