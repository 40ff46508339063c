"""Batches that are built or copied on a CUDA stream beside the computing one, so that no step waits for the next one's batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from gas_cli.batch.batch import Batch, tensors
from gas_cli.batch.loader import Builder


class SideStream:
    """One CUDA stream. What it makes is `Batch.ready` once it has passed the mark."""

    def __init__(self, device: torch.device) -> None:
        self.stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def make(self, work: Callable[[], Batch]) -> Batch:
        """What `work` makes, issued on this stream; `arrived` has to be called before the computing stream reads it."""
        with torch.cuda.stream(self.stream):
            batch = work()
            return replace(batch, ready=self.stream.record_event())


class SideBuilder(Builder):
    """A builder whose work is issued on a stream of its own."""

    def __init__(self, builder: Builder, device: torch.device) -> None:
        self.builder, self.side = builder, SideStream(device)

    @property
    def num_parts(self) -> int:
        return self.builder.num_parts

    @property
    def device(self) -> torch.device:
        return self.builder.device

    def build(self, parts: list[int], inputs: bool = True) -> Batch:
        return self.side.make(lambda: self.builder.build(parts, inputs))

    def apply(self, change: Callable[[Batch], Batch], batch: Batch) -> Batch:
        return self.side.make(lambda: change(batch))


def arrived(batch: Batch) -> Batch:
    """The batch, which the current stream may read from now on: it waits for `ready`, and the allocator learns of its use."""
    if batch.ready is not None:
        current = torch.cuda.current_stream(batch.y.device)
        current.wait_event(batch.ready)
        for tensor in tensors(batch):
            tensor.record_stream(current)
    return batch
