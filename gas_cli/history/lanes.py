"""Lanes: what the pipelined exchange needs of CUDA streams, and the only module that names them.

A lane runs operations in order. `Lanes.submit` puts one on a lane, to start after the given marks, and returns a mark of its end;
`wait` makes the computing stream wait for a mark without stopping the host. Ownership of buffers: a tensor that crosses from one stream
to another is announced to the allocator (`record_stream`), so its memory is not reused before both are done with it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from gas_cli.ops import cuda_kernels, nvrtc

Operation = Callable[[], Tensor | None]
Mark = Any


class Lanes(ABC):
    """Two copy lanes, `pull` and `push`, beside the computing stream."""

    @abstractmethod
    def now(self) -> Mark:
        """A mark of all that the computing stream was given so far."""

    @abstractmethod
    def submit(
        self, lane: str, operation: Operation, after: Sequence[Mark], reads: Sequence[Tensor], label: str
    ) -> tuple[Tensor | None, Mark]:
        """Run `operation` on `lane` after the marks; `reads` are tensors of the computing stream that it uses."""

    @abstractmethod
    def wait(self, mark: Mark, result: Tensor, label: str) -> None:
        """The computing stream goes on after `mark`, and from then on uses `result`."""

    @abstractmethod
    def drain(self) -> None:
        """Block the host until both lanes are idle."""


class InlineLanes(Lanes):
    """No second stream: operations run where they are submitted, and the order is written to `journal`."""

    def __init__(self) -> None:
        self.journal: list[str] = []

    def now(self) -> Mark:
        return None

    def submit(
        self, lane: str, operation: Operation, after: Sequence[Mark], reads: Sequence[Tensor], label: str
    ) -> tuple[Tensor | None, Mark]:
        self.journal.append(f"{lane} {label}")
        return operation(), None

    def wait(self, mark: Mark, result: Tensor, label: str) -> None:
        self.journal.append(f"wait {label}")

    def drain(self) -> None:
        self.journal.append("drain")


class CudaLanes(Lanes):
    """One side stream per lane. `delay_cycles` makes every copy start late, so that a missing wait shows in a test."""

    def __init__(self, device: torch.device, delay_cycles: int = 0) -> None:
        self.device, self.delay_cycles = device, delay_cycles
        self.streams = {lane: torch.cuda.Stream(device) for lane in ("pull", "push")}  # type: ignore[no-untyped-call]

    def now(self) -> Mark:
        return torch.cuda.current_stream(self.device).record_event()

    def submit(
        self, lane: str, operation: Operation, after: Sequence[Mark], reads: Sequence[Tensor], label: str
    ) -> tuple[Tensor | None, Mark]:
        stream = self.streams[lane]
        for mark in after:
            stream.wait_event(mark)
        with torch.cuda.stream(stream):
            if self.delay_cycles:
                torch.cuda._sleep(self.delay_cycles)  # type: ignore[no-untyped-call]
            result = operation()
            for tensor in reads:
                tensor.record_stream(stream)
            return result, stream.record_event()

    def wait(self, mark: Mark, result: Tensor, label: str) -> None:
        current = torch.cuda.current_stream(self.device)
        current.wait_event(mark)
        result.record_stream(current)  # allocated on the lane, used here from now on

    def drain(self) -> None:
        for stream in self.streams.values():
            stream.synchronize()  # host synchronisation: before an evaluation, refresh or checkpoint reads the tables


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
