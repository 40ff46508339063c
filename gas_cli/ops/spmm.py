"""Sparse-dense products with their backward pass: the hot loop of message passing.

    out = A x            (`spmm`)
    out = A_BB x_B + A_BH x_H    (`block_spmm`: in-batch and halo sources, without concatenating them)

The gradient of x is A^T grad; it is computed only where it is asked for, so histories, which take no gradient, cost no transpose.
In float32 both run compiled kernels, on the CPU and on CUDA; in other precisions, and where no CUDA kernel can be compiled, torch's CSR
product (cuSPARSE) is the path on CUDA. `spmm_reference` is the slow twin.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gas_cli.ops.csr import CSR
from gas_cli.ops.csr_tensors import row_ids
from gas_cli.ops.dropout import Mask, apply_mask, array
from gas_cli.ops.kernels import csr_kernels, cuda_kernels, feature_kernels, nvrtc, row_kernels
from gas_cli.ops.kernels.cuda_kernels import Term
from gas_cli.ops.threads import over_groups, over_rows
from gas_cli.ops.twins import TWINS

NO_ROWS = np.empty((0, 0), np.float32)
NO_MATRIX = np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.float32), NO_ROWS


def spmm(a: CSR, x: Tensor) -> Tensor:
    """a [n, m] times x [m, C], in float32 or float64 (lower precisions are widened first)."""
    return _SpMM.apply(a, wide(x))  # type: ignore[no-any-return, no-untyped-call]


def block_spmm(inner: CSR, outer: CSR, target: Tensor, halo: Tensor) -> Tensor:
    """inner [B, B] times target [B, C] plus outer [B, H] times halo [H, C]."""
    return _BlockSpMM.apply(inner, outer, wide(target), wide(halo))  # type: ignore[no-any-return, no-untyped-call]


def spmm_reference(a: CSR, x: Tensor) -> Tensor:
    """The slow twin of `spmm`: gather and `index_add_`, one message per edge."""
    target = row_ids(a.rowptr, a.nnz)
    messages = a.value.to(x.dtype).unsqueeze(-1) * x[a.col.long()]
    return x.new_zeros(a.num_rows, x.shape[1]).index_add_(0, target, messages)


def row_sums(
    terms: Sequence[Term], scale: float = 1.0, anchor: Tensor | None = None, weight: float = 0.0, mask: Mask | None = None
) -> Tensor:
    """mask(scale · Σ a x over one or two `terms` + weight · anchor) [n, C], without autograd, in one pass over the rows.

    A mask divides what it keeps by 1-p; it excludes an anchor.
    """
    assert mask is None or anchor is None, "an anchor would not be scaled with the rest"
    if is_compiled(terms[0][1]):
        sums = _row_sums_cuda if terms[0][1].is_cuda else _row_sums_compiled
        return sums(terms, scale, anchor, weight, mask)
    out = _multiply(*terms[0])
    for a, x in terms[1:]:
        out.add_(_multiply(a, x))
    if scale != 1:
        out.mul_(scale)
    if anchor is not None:
        out.add_(anchor, alpha=weight)
    return out if mask is None else apply_mask(out, mask)


def is_compiled(x: Tensor) -> bool:
    """Whether the sums of rows of x run in a kernel: in float32, on CUDA where kernels can be compiled; never for the slow twins."""
    return x.dtype == torch.float32 and not TWINS.slow and (not x.is_cuda or nvrtc.available())


def _row_sums_cuda(terms: Sequence[Term], scale: float, anchor: Tensor | None, weight: float, mask: Mask | None) -> Tensor:
    used = [term for term in terms if term[0].nnz] or terms[:1]
    if mask is None:
        return cuda_kernels.row_sums(used, scale, anchor, weight, None)
    return cuda_kernels.row_sums(used, scale * float(mask.scale), anchor, weight, (mask.ids, mask.cuda_words))


def _row_sums_compiled(terms: Sequence[Term], scale: float, anchor: Tensor | None, weight: float, mask: Mask | None) -> Tensor:
    (a, x), *others = [term for term in terms if term[0].nnz] or terms[:1]
    out = x.new_empty(a.num_rows, x.shape[1])
    if out.numel() == 0:  # a kernel writes at least one number per row
        return out
    second = (*others[0][0].arrays, array(others[0][1])) if others else NO_MATRIX
    kernel: Any = row_kernels.aggregate if mask is None else row_kernels.aggregate_dropped
    kept = 1.0 if mask is None else 1 - mask.p
    matrices = (*a.arrays, array(x), *second, x.shape[1], np.float32(scale / kept))
    epilogue = (NO_ROWS if anchor is None else array(anchor), np.float32(weight)) if mask is None else mask.words()
    kernel = partial(kernel, *matrices, *epilogue, array(out))
    over_rows(kernel, a.arrays[0], x.shape[1])
    return out


def _multiply(a: CSR, x: Tensor) -> Tensor:
    """a x in any precision and on any device."""
    if x.is_cuda:
        matrix = torch.sparse_csr_tensor(a.rowptr.to(torch.int32), a.col, a.value.to(x.dtype), a.shape, check_invariants=False)
        return matrix @ x
    out = x.new_empty(a.num_rows, x.shape[1])
    over_rows(partial(csr_kernels.spmm, *a.arrays, array(x), out.numpy()), a.arrays[0], x.shape[1])
    return out


def wide(x: Tensor) -> Tensor:
    """Aggregation is done in float32 or float64: lower precisions are widened first."""
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


class _SpMM(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: CSR, x: Tensor) -> Tensor:
        ctx.a = a
        return row_sums([(a, x)])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor | None]:
        return None, _multiply_transposed(ctx.a, grads[0]) if ctx.needs_input_grad[1] else None


def _multiply_transposed(a: CSR, grad: Tensor) -> Tensor:
    """a^T grad [m, C] of a matrix that is used once, such as features after dropout: rows are added where they belong."""
    if TWINS.slow or grad.is_cuda or grad.dtype != torch.float32:
        return row_sums([(a.transpose(), grad)])
    channels = grad.shape[1]
    out = grad.new_zeros(a.num_cols, channels)
    kernel = partial(feature_kernels.scatter, *a.arrays, array(grad), channels, array(out))
    over_groups(kernel, (channels + 15) // 16, a.nnz * channels)
    return out


class _BlockSpMM(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inner: CSR, outer: CSR, target: Tensor, halo: Tensor) -> Tensor:
        ctx.inner, ctx.outer = inner, outer
        return row_sums([(inner, target), (outer, halo)])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, None, Tensor | None, Tensor | None]:
        grad = grads[0]
        to_target = row_sums([(ctx.inner.transpose(), grad)]) if ctx.needs_input_grad[2] else None
        to_halo = row_sums([(ctx.outer.transpose(), grad)]) if ctx.needs_input_grad[3] else None
        return None, None, to_target, to_halo
