"""Dense products in bfloat16 on the CPU: operands are rounded, results and everything around them stay float32.

torch's autocast hands on the results in bfloat16, and every pass after them leaves its compiled float32 kernel; on processors with bfloat16
instructions the products themselves are all there is to win. Kept for the backward pass are the rounded operands, half the memory.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

PRODUCTS: set[Callable[..., Any]] = {torch.matmul, torch.mm, Tensor.matmul, Tensor.mm, Tensor.__matmul__}


def low_precision(device: torch.device, enabled: bool) -> AbstractContextManager[Any]:
    """Dense products in bfloat16 within: those of tables on the CPU by `LowPrecisionProducts`, on CUDA by torch's autocast."""
    if device.type == "cuda" or not enabled:
        return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)
    return LowPrecisionProducts()


class LowPrecisionProducts(TorchFunctionMode):
    """Within, every product of two float32 matrices on the CPU, linear layers included, rounds its operands to bfloat16.

    It reaches whatever code a model calls: torch's own modules, PyG's, a user's.
    """

    depth = 0  # of nested modes

    def __enter__(self) -> LowPrecisionProducts:
        LowPrecisionProducts.depth += 1
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *exception: Any) -> None:
        LowPrecisionProducts.depth -= 1
        super().__exit__(*exception)  # type: ignore[no-untyped-call]

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        if func in PRODUCTS and not kwargs and _fits(*args):
            return rounded_product(*args)
        if func is F.linear and not kwargs and _fits(args[0], args[1]):
            out = rounded_product(args[0], args[1].t())
            return out if len(args) < 3 or args[2] is None else out.add_(args[2])
        return func(*args, **(kwargs or {}))


def are_products_rounded() -> bool:
    """Whether dense products have a lower precision here, by either way."""
    return LowPrecisionProducts.depth > 0 or torch.is_autocast_enabled("cuda")


def rounded_product(x: Tensor, y: Tensor) -> Tensor:
    """x [n, k] times y [k, m] of operands rounded to bfloat16, in float32; so are the two products of its gradient."""
    return _RoundedProduct.apply(x, y)  # type: ignore[no-any-return, no-untyped-call]


def _fits(x: Any, y: Any) -> bool:
    return all(isinstance(t, Tensor) and t.dim() == 2 and t.dtype == torch.float32 and not t.is_cuda and not t.is_sparse for t in (x, y))


class _RoundedProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
        x, y = x.bfloat16(), y.bfloat16()
        ctx.save_for_backward(x, y)
        return (x @ y).float()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None]:
        (x, y), grad, (to_x, to_y) = ctx.saved_tensors, grads[0].bfloat16(), ctx.needs_input_grad
        return (grad @ y.t()).float() if to_x else None, (x.t() @ grad).float() if to_y else None
