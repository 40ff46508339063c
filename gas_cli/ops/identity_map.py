"""GCNII's identity mapping and its activation: ReLU((1-β) s + β s W), one product that accumulates onto its own input.

Kept for the backward pass are s and one bit per entry, not the result: a deep network's activations halve. Gradients reach only rows
within some hops of a training node; where enough rows have none, the two products of the backward pass leave them out, which is exact.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from gas_cli.ops.dropout import array
from gas_cli.ops.kernels import relu_kernels
from gas_cli.ops.low_precision import are_products_rounded
from gas_cli.ops.threads import over_equal_rows
from gas_cli.ops.twins import TWINS

GATHER_COST = 40
"""What gathering and spreading a channel of a row costs, in multiply-adds of the products that are saved for it."""


def identity_map(s: Tensor, weight: Tensor, beta: float) -> Tensor:
    """(1-β) s + β s W of s [B, C] and W [C, C]; the product alone has the lower precision, where one is asked for."""
    if are_products_rounded():
        return torch.lerp(s, (s @ weight).to(s.dtype), beta)
    return torch.addmm(s, s, weight, beta=1 - beta, alpha=beta)


def identity_map_relu(s: Tensor, weight: Tensor, beta: float) -> Tensor:
    """ReLU of it; compiled on the CPU in float32."""
    if TWINS.slow or s.is_cuda or s.dtype != torch.float32 or are_products_rounded():
        return identity_map(s, weight, beta).relu_()
    if not torch.is_grad_enabled():
        return identity_map(s, weight, beta).relu_()
    return _IdentityMapReLU.apply(s, weight, beta)  # type: ignore[no-any-return, no-untyped-call]


class _IdentityMapReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, s: Tensor, weight: Tensor, beta: float) -> Tensor:
        out = identity_map(s, weight, beta)
        rows, channels = out.shape
        bits = torch.empty(rows * ((channels + 15) // 16), dtype=torch.uint16)
        over_equal_rows(partial(relu_kernels.relu, out.numpy(), bits.numpy(), channels), rows, channels)
        ctx.beta = beta
        ctx.save_for_backward(s, weight, bits)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        s, weight, bits = ctx.saved_tensors
        grad, live = _relu_backward(grads[0], bits)
        to_s, to_weight = ctx.needs_input_grad[:2]
        if live is None:
            return (
                identity_map(grad, weight.t(), ctx.beta) if to_s else None,
                _weight_gradient(s, grad, ctx.beta) if to_weight else None,
                None,
            )
        grad = grad[live]
        spread = torch.zeros_like(s).index_copy_(0, live, identity_map(grad, weight.t(), ctx.beta)) if to_s else None
        return spread, _weight_gradient(s[live], grad, ctx.beta) if to_weight else None, None


def _weight_gradient(s: Tensor, grad: Tensor, beta: float) -> Tensor:
    return (s.t() @ grad).mul_(beta)


def _relu_backward(grad: Tensor, bits: Tensor) -> tuple[Tensor, Tensor | None]:
    """The gradient [B, C] before ReLU, and the ids of its nonzero rows; None where it would not pay to leave the others out."""
    rows, channels = grad.shape
    out, live = torch.empty_like(grad), torch.empty(rows, dtype=torch.bool)
    arguments = array(grad), bits.numpy(), channels, out.numpy(), live.numpy()
    over_equal_rows(partial(relu_kernels.relu_backward, *arguments), rows, channels)
    ids = live.nonzero().view(-1)
    return out, ids if ids.numel() * (channels + GATHER_COST) < rows * channels else None
