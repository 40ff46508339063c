"""Page-locked memory as a GPU reads it: by itself, over the bus."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from gas_cli.ops.kernels import cuda_kernels, nvrtc
from gas_cli.tables.streamed import Gather
from gas_cli.tables.table import Where, num_of


def pinned_gather(table: Tensor, device: torch.device) -> Gather:
    """What reads rows of a page-locked table to the device: positions by a kernel, ranges as copies."""
    by_position = pinned_rows(table, device)

    def gather(where: Where) -> Tensor:
        if isinstance(where, Tensor):
            return by_position(where)
        rows, offset = torch.empty(num_of(where), table.shape[1], dtype=table.dtype, device=device), 0
        for start, stop in where:
            rows[offset : offset + stop - start].copy_(table[start:stop], non_blocking=True)
            offset += stop - start
        return rows

    return gather


def pinned_rows(table: Tensor, device: torch.device) -> Callable[[Tensor], Tensor]:
    """What gathers rows [k, C] of a page-locked table by positions int64 [k] on the device: over the bus, with no host thread in between.

    A kernel on few blocks, which leaves the device to the computation; where none can be compiled, torch's gather on a view of the table.
    """
    if nvrtc.available():
        return partial(cuda_kernels.gather, table)
    view = device_view(table, device)
    return lambda positions: view.index_select(0, positions)


class _HostPointer:
    """Describes page-locked memory to torch as CUDA memory (under unified addressing a GPU reads it through the same pointer)."""

    def __init__(self, tensor: Tensor, typestr: str) -> None:
        self.owner = tensor  # keeps the memory alive as long as the view
        self.__cuda_array_interface__ = {
            "shape": tuple(tensor.shape),
            "typestr": typestr,
            "data": (tensor.data_ptr(), False),
            "version": 3,
            "strides": None,
        }


def device_view(pinned: Tensor, device: torch.device) -> Tensor:
    """A CUDA tensor over the memory of a pinned host tensor: kernels gather its rows over the bus, with no host thread in between."""
    # bfloat16 has no type string in the array interface, so 16-bit rows travel as int16 and are reinterpreted.
    bits = pinned.view(torch.int16) if pinned.element_size() == 2 else pinned
    view = torch.as_tensor(_HostPointer(bits, "<i2" if bits.dtype == torch.int16 else "<f4"), device=device)
    if view.data_ptr() != pinned.data_ptr():
        raise RuntimeError(f"torch copied the pinned table at {pinned.data_ptr():#x} to {view.data_ptr():#x} instead of viewing it")
    return view.view(pinned.dtype)
