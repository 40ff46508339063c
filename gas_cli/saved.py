"""What a saved state holds against what is expected, piece by piece: everything is checked before anything is used.

Every function raises UserError with the first thing that does not fit.
"""

from __future__ import annotations

from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from gas_cli.errors import UserError

VALUES_AT_A_TIME = 1 << 24


def check_keys(what: str, saved: Any, expected: Any) -> None:
    """`saved` is a mapping with exactly the keys `expected`."""
    if not isinstance(saved, dict):
        misfit(f"{what} are a {type(saved).__name__}", "a mapping")
    missing, extra = ([key for key in one if key not in other] for one, other in ((expected, saved), (saved, expected)))
    if missing:
        misfit(f"{what} lack {missing[0]}", "all of them")
    if extra:
        misfit(f"{what} have {str(extra[0])[:80]!r}", "nothing that this run does not have")


def misfit(found: str, expected: str) -> NoReturn:
    found = " ".join(found.split())  # a crafted value may be written over several lines
    raise UserError(
        f"the checkpoint does not fit this run: {found}, expected {expected}. Restore an intact checkpoint, or start the run again."
    )


def check_tensor(name: str, value: Any, like: Tensor) -> None:
    """A plain tensor of `like`'s type and shape, each entry at an address of its own, floating-point ones finite."""
    wanted = f"{_type(like)} {list(like.shape)}"
    if type(value) not in (Tensor, nn.Parameter) or value.layout is not torch.strided or value.device.type != "cpu":
        misfit(f"{name} is a {_type(value) + ' tensor without values' if isinstance(value, Tensor) else type(value).__name__}", wanted)
    if value.dtype != like.dtype or value.shape != like.shape:
        misfit(f"{name} is {_type(value)} {list(value.shape)}", wanted)
    if not _dense(value):
        misfit(f"entries of {name} share memory (strides {list(value.stride())})", "an address for each")
    if not _finite(value):
        misfit(f"{name} has NaN or infinite entries", "finite numbers")


def _dense(value: Tensor) -> bool:
    """Whether the entries fill a piece of memory without gap or overlap, in any order of the dimensions."""
    expected = 1
    for stride, size in sorted((stride, size) for stride, size in zip(value.stride(), value.shape, strict=True) if size > 1):
        if stride != expected:
            return False
        expected *= size
    return True


def _finite(value: Tensor) -> bool:
    """In blocks of rows: a history may take more than half of the memory."""
    if not value.is_floating_point() or value.dim() == 0 or value.numel() == 0:
        return bool(torch.isfinite(value).all())
    rows = max(1, VALUES_AT_A_TIME // value[0].numel())
    return all(bool(torch.isfinite(value[start : start + rows]).all()) for start in range(0, value.shape[0], rows))


def _type(value: Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")
