"""ReLU(batch norm(x) [+ residual]) over the rows of one batch.

    y = γ (x - μ) / √(σ² + ε) + β,    h = ReLU(y + r),    μ, σ²: mean and biased variance of each channel over the rows

Forward reads x twice and writes h; backward reads x and h's gradient twice and writes x's gradient. Kept are x and one bit per entry.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gas_cli.ops.dropout import array
from gas_cli.ops.kernels import norm_kernels
from gas_cli.ops.threads import over_equal_rows
from gas_cli.ops.twins import TWINS

CHUNK = 256
"""Rows that are summed by one thread: few enough to be still in the cache when they are read for their variance."""

LANES = 16

NO_ROWS = np.empty((0, 0), np.float32)

Channels = NDArray[np.float64]
"""One number per channel, [C]."""


class Normalised(NamedTuple):
    """h [B, C], and the rows' mean and biased variance [C], which take no gradient."""

    out: Tensor
    mean: Tensor
    variance: Tensor


def norm_relu(x: Tensor, residual: Tensor | None, weight: Tensor, bias: Tensor, eps: float) -> Normalised:
    """h of x [B, C], with γ = `weight` and β = `bias` [C]; only where `is_compiled`."""
    same = None if residual is None else residual.to(x.dtype)  # under autocast one of them may come from a product, in bfloat16
    return Normalised(*_NormReLU.apply(x, same, weight, bias, eps))  # type: ignore[no-untyped-call]


def is_compiled(x: Tensor) -> bool:
    """Float32 on the CPU, in a width that fills vectors; never for the slow twins."""
    return not TWINS.slow and x.dtype == torch.float32 and not x.is_cuda and x.shape[1] % LANES == 0


def norm_relu_reference(x: Tensor, residual: Tensor | None, weight: Tensor, bias: Tensor, eps: float) -> Normalised:
    """The slow twin."""
    out = torch.nn.functional.batch_norm(x, None, None, weight, bias, training=True, eps=eps)
    out = out.relu() if residual is None else (out + residual).relu()
    return Normalised(out, x.detach().mean(0), x.detach().var(0, unbiased=False))


class _NormReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, residual: Tensor | None, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        x = x.contiguous()
        rows, channels = x.shape
        mean, variance = _moments(array(x))
        ctx.mean, ctx.inverse = mean, 1 / np.sqrt(variance + eps)
        scale = array(weight) * ctx.inverse
        factors = scale.astype(np.float32), (array(bias) - mean * scale).astype(np.float32)
        out, bits = torch.empty_like(x), torch.empty(rows * channels // LANES, dtype=torch.uint16)
        added = NO_ROWS if residual is None else array(residual)
        over_equal_rows(partial(norm_kernels.norm_relu, array(x), added, *factors, out.numpy(), bits.numpy()), rows, channels)
        ctx.save_for_backward(x, weight, bits)
        statistics = torch.from_numpy(mean).float(), torch.from_numpy(variance).float()
        ctx.mark_non_differentiable(*statistics)
        return out, *statistics

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        x, weight, bits = ctx.saved_tensors
        sums, products = _gradient_sums(array(grads[0]), bits.numpy(), x.numpy(), ctx.mean)
        scale, rows = array(weight) * ctx.inverse, x.shape[0]
        across = -scale * ctx.inverse**2 * products / rows
        factors = [f.astype(np.float32) for f in (ctx.mean, scale, across, -scale * sums / rows)]
        to_x = torch.empty_like(x)
        to_residual = torch.empty_like(x) if ctx.needs_input_grad[1] else None
        tables = array(grads[0]), bits.numpy(), x.numpy()
        outputs = to_x.numpy(), NO_ROWS if to_residual is None else to_residual.numpy()
        kernel: Any = norm_kernels.norm_relu_backward
        over_equal_rows(partial(kernel, *tables, *factors, *outputs), *x.shape)
        to_weight, to_bias = (torch.from_numpy(g.astype(np.float32)) for g in (products * ctx.inverse, sums))
        return to_x, to_residual, to_weight, to_bias, None


def _moments(x: NDArray[np.float32]) -> tuple[Channels, Channels]:
    """Mean and biased variance of the rows: those of the chunks, combined in float64."""
    rows = x.shape[0]
    sums, squares = _per_chunk(partial(norm_kernels.moments, x, CHUNK), x)
    sizes = np.diff(np.append(np.arange(0, rows, CHUNK), rows))[:, None]
    mean = sums.sum(0) / rows
    between = (sizes * (sums / sizes - mean) ** 2).sum(0)
    return mean, (squares.sum(0) + between) / rows


def _gradient_sums(
    grad: NDArray[np.float32], bits: NDArray[np.uint16], x: NDArray[np.float32], mean: Channels
) -> tuple[Channels, Channels]:
    sums, products = _per_chunk(partial(norm_kernels.gradient_sums, grad, bits, x, mean.astype(np.float32), CHUNK), x)
    return sums.sum(0), products.sum(0)


def _per_chunk(kernel: Callable[..., None], x: NDArray[np.float32]) -> tuple[Channels, Channels]:
    """Two sums per chunk and channel, float64 [chunks, C]."""
    chunks, channels = -(-x.shape[0] // CHUNK), x.shape[1]
    one, other = np.empty((2, chunks, channels), np.float32)
    over_equal_rows(partial(kernel, one, other), chunks, CHUNK * channels)
    return one.astype(np.float64), other.astype(np.float64)
