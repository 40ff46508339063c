"""GCNII's identity mapping and its activation: ReLU((1-β) s + β s W), one product that accumulates onto its own input."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def identity_map(s: Tensor, weight: Tensor, beta: float) -> Tensor:
    """(1-β) s + β s W of s [B, C] and W [C, C]; under autocast the product alone has the lower precision."""
    if torch.is_autocast_enabled(s.device.type):
        return torch.lerp(s, (s @ weight).to(s.dtype), beta)
    return torch.addmm(s, s, weight, beta=1 - beta, alpha=beta)


def identity_map_relu(s: Tensor, weight: Tensor, beta: float) -> Tensor:
    """ReLU of it. Kept for the backward pass are s and the result, which the next layer reads anyway."""
    if torch.is_autocast_enabled(s.device.type):
        return identity_map(s, weight, beta).relu_()
    return _IdentityMapReLU.apply(s, weight, beta)  # type: ignore[no-any-return, no-untyped-call]


class _IdentityMapReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, s: Tensor, weight: Tensor, beta: float) -> Tensor:
        out = identity_map(s, weight, beta).relu_()
        ctx.beta = beta
        ctx.save_for_backward(s, weight, out)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        s, weight, out = ctx.saved_tensors
        grad = torch.ops.aten.threshold_backward(grads[0], out, 0)
        to_s = identity_map(grad, weight.t(), ctx.beta) if ctx.needs_input_grad[0] else None
        to_weight = (s.t() @ grad).mul_(ctx.beta) if ctx.needs_input_grad[1] else None
        return to_s, to_weight, None
