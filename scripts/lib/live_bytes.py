"""The device memory of a training step, counted on a machine without a device.

On CUDA the allocator knows the peak. On the CPU a process's memory says little (the dataset, the libraries and the histories are in it), so
the storages of tensors are counted while the step runs: what is allocated, until it is freed.
"""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from gas_cli.batch.batch import Batch
from gas_cli.batch.loader import BatchLoader


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of live tensor storages: `live` now, `peak` at most since `restart`.

    A storage counts from the operation that first returns it until the last tensor (or autograd node) lets go of it, views no further.
    Tensors from before are counted where `count` is told so, and never where `ignore` is. What an operation allocates and frees by itself,
    and arrays of NumPy, are not seen.
    """

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._counting = True
        self._known: Any = WeakIdKeyDictionary()  # storage -> bytes counted for it
        self._ends: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if self._counting:
            self.count(result)
        return result

    def count(self, tensors: Any) -> None:
        """Count the storages of all tensors in `tensors` (any nesting) that are not known yet."""
        for tensor in tree_leaves(tensors):
            if isinstance(tensor, Tensor) and tensor.untyped_storage() not in self._known:
                self._begin(tensor.untyped_storage(), tensor.untyped_storage().nbytes())
        self.peak = max(self.peak, self.live)

    def ignore(self, tensors: Any) -> None:
        """Never count these: they would stay on the host."""
        for tensor in tree_leaves(tensors):
            self._begin(tensor.untyped_storage(), 0)

    def restart(self) -> None:
        self.peak = self.live

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What is allocated in here is the host's."""
        before, self._counting = self._counting, False
        try:
            yield
        finally:
            self._counting = before

    def _begin(self, storage: torch.UntypedStorage, nbytes: int) -> None:
        self._known[storage] = nbytes
        self.live += nbytes

        def end(reference: weakref.ref[Any]) -> None:
            self.live -= nbytes
            del self._ends[id(reference)]

        reference = weakref.ref(storage, end)
        self._ends[id(reference)] = reference


class UncountedLoader:
    """Batches are built uncounted, as on the host; what `serve` makes of each is handed on.

    With `copied` it stands in for the transfer to a device: the copy is counted.
    """

    def __init__(self, loader: BatchLoader, counter: LiveBytes, serve: Callable[[Batch], Batch]) -> None:
        self.loader, self.counter, self.serve = loader, counter, serve

    def batches(self, groups: list[list[int]], keep: bool) -> Iterator[Batch]:
        source = self.loader.batches(groups, keep)
        while True:
            with self.counter.paused():
                batch = next(source, None)
            if batch is None:
                return
            yield self.serve(batch)


def copied(value: Any, done: dict[int, Any] | None = None) -> Any:
    """A copy of a dataclass whose tensors share no memory with the original's; what occurs several times in it stays one."""
    done = {} if done is None else done
    if id(value) in done:
        return done[id(value)]
    result = value
    if isinstance(value, Tensor):
        result = value.clone()
    elif type(value) is tuple:
        result = tuple(copied(item, done) for item in value)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: copied(getattr(value, field.name), done) for field in dataclasses.fields(value)}
        result = dataclasses.replace(value, **fields)
    done[id(value)] = result
    return result
