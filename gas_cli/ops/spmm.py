"""Sparse-dense products with their backward pass: the hot loop of message passing.

    out = A x            (`spmm`)
    out = A_BB x_B + A_BH x_H    (`block_spmm`: in-batch and halo sources, without concatenating them)

The gradient of x is A^T grad; it is computed only where it is asked for, so histories, which take no gradient, cost no transpose.
On the CPU both run the compiled kernel; on CUDA, torch's CSR product (cuSPARSE). `spmm_reference` is the slow twin.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from gas_cli.ops import kernels
from gas_cli.ops.csr import CSR
from gas_cli.ops.threads import over_rows


def spmm(a: CSR, x: Tensor) -> Tensor:
    """a [n, m] times x [m, C], in float32 or float64 (lower precisions are widened first)."""
    return _SpMM.apply(a, wide(x))  # type: ignore[no-any-return, no-untyped-call]


def block_spmm(inner: CSR, outer: CSR, target: Tensor, halo: Tensor) -> Tensor:
    """inner [B, B] times target [B, C] plus outer [B, H] times halo [H, C]."""
    return _BlockSpMM.apply(inner, outer, wide(target), wide(halo))  # type: ignore[no-any-return, no-untyped-call]


def spmm_reference(a: CSR, x: Tensor) -> Tensor:
    """The slow twin of `spmm`: gather and `index_add_`, one message per edge."""
    target = torch.repeat_interleave(torch.arange(a.num_rows, device=a.device), a.rowptr.diff())
    messages = a.value.to(x.dtype).unsqueeze(-1) * x[a.col.long()]
    return x.new_zeros(a.num_rows, x.shape[1]).index_add_(0, target, messages)


def multiply(a: CSR, x: Tensor, onto: Tensor | None = None) -> Tensor:
    """a x, without autograd; added to `onto` in place where that is given."""
    if x.is_cuda:
        matrix = torch.sparse_csr_tensor(a.rowptr.to(torch.int32), a.col, a.value.to(x.dtype), a.shape, check_invariants=False)
        product = matrix @ x
        return product if onto is None else onto.add_(product)
    out = x.new_empty(a.num_rows, x.shape[1]) if onto is None else onto
    rowptr, col, value, rows = (t.detach().contiguous().numpy() for t in (a.rowptr, a.col, a.value, x))
    result, accumulate = out.numpy(), onto is not None
    over_rows(partial(kernels.spmm, rowptr, col, value, rows, result, accumulate), rowptr, x.shape[1])
    return out


def wide(x: Tensor) -> Tensor:
    """Aggregation is done in float32 or float64: lower precisions are widened first."""
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


class _SpMM(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: CSR, x: Tensor) -> Tensor:
        ctx.a = a
        return multiply(a, x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor | None]:
        return None, multiply(ctx.a.transpose(), grads[0]) if ctx.needs_input_grad[1] else None


class _BlockSpMM(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inner: CSR, outer: CSR, target: Tensor, halo: Tensor) -> Tensor:
        ctx.inner, ctx.outer = inner, outer
        out = multiply(inner, target)
        return multiply(outer, halo, onto=out) if outer.nnz else out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, None, Tensor | None, Tensor | None]:
        grad = grads[0]
        to_target = multiply(ctx.inner.transpose(), grad) if ctx.needs_input_grad[2] else None
        to_halo = multiply(ctx.outer.transpose(), grad) if ctx.needs_input_grad[3] else None
        return None, None, to_target, to_halo
