"""What streamed tables need of CUDA streams, and the only module that names them for tables.

A stream runs operations in order. `Streams.submit` puts one on a stream, to start after the given marks, and returns a mark of its end;
`wait` makes the computing stream wait for a mark without stopping the host. Ownership of buffers: a tensor that crosses from one stream
to another is announced to the allocator (`record_stream`), so its memory is not reused before both are done with it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

Operation = Callable[[], Tensor | None]
Mark = Any


class Streams(ABC):
    """Two streams for copies, `read` and `write`, beside the computing one."""

    @abstractmethod
    def now(self) -> Mark:
        """A mark of all that the computing stream was given so far."""

    @abstractmethod
    def submit(
        self, stream: str, operation: Operation, after: Sequence[Mark], reads: Sequence[Tensor], label: str
    ) -> tuple[Tensor | None, Mark]:
        """Run `operation` on `stream` after the marks; `reads` are tensors of the computing stream that it uses."""

    @abstractmethod
    def wait(self, mark: Mark, result: Tensor, label: str) -> None:
        """The computing stream goes on after `mark`, and from then on uses `result`."""

    @abstractmethod
    def drain(self) -> None:
        """Block the host until both streams are idle."""


class CudaStreams(Streams):
    """A side stream for each of the two. `delay_cycles` makes every copy start late, so that a missing wait shows in a test."""

    def __init__(self, device: torch.device, delay_cycles: int = 0) -> None:
        self.device, self.delay_cycles = device, delay_cycles
        self.streams = {name: torch.cuda.Stream(device) for name in ("read", "write")}  # type: ignore[no-untyped-call]

    def now(self) -> Mark:
        return torch.cuda.current_stream(self.device).record_event()

    def submit(
        self, stream: str, operation: Operation, after: Sequence[Mark], reads: Sequence[Tensor], label: str
    ) -> tuple[Tensor | None, Mark]:
        side = self.streams[stream]
        for mark in after:
            side.wait_event(mark)
        with torch.cuda.stream(side):
            if self.delay_cycles:
                torch.cuda._sleep(self.delay_cycles)  # type: ignore[no-untyped-call]
            result = operation()
            for tensor in reads:
                tensor.record_stream(side)
            return result, side.record_event()

    def wait(self, mark: Mark, result: Tensor, label: str) -> None:
        current = torch.cuda.current_stream(self.device)
        current.wait_event(mark)
        result.record_stream(current)  # allocated on the side, used here from now on

    def drain(self) -> None:
        for stream in self.streams.values():
            stream.synchronize()  # host synchronisation: before an evaluation, refresh or checkpoint reads the tables
