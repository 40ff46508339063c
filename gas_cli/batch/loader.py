"""Which batches an epoch has, built ahead of time on another thread."""

from __future__ import annotations

import queue
import threading
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol

import torch

from gas_cli.batch.batch import Batch

CACHE_BYTES = 1 << 30
"""Batches whose grouping repeats are kept while they fit in this."""


class Batches(Protocol):
    """Batches one after the other."""

    def __iter__(self) -> Iterator[Batch]: ...
    def __next__(self) -> Batch: ...
    def close(self) -> None: ...


Prepare = Callable[[Batch], Batch]


class Builder(Protocol):
    """Builds one batch at a time out of part ids."""

    @property
    def num_parts(self) -> int: ...

    @property
    def device(self) -> torch.device:
        """Where its batches come to be."""
        return torch.device("cpu")

    def build(self, parts: list[int], inputs: bool = True) -> Batch: ...

    def apply(self, change: Prepare, batch: Batch) -> Batch:
        """A batch of this builder with something done to it, on the stream where it was built."""
        return change(batch)


class BatchLoader:
    """Serves lists of groups as batches, `prefetch` ahead of their use; repeated groups come from a cache.

    `prepare` is applied to each batch on the building thread (pinning memory, say).
    """

    def __init__(self, builder: Builder, prefetch: int, prepare: Prepare = lambda batch: batch) -> None:
        self.builder, self.prefetch, self.prepare = builder, prefetch, prepare
        self._cache: dict[tuple[int, ...], Batch] = {}
        self._cached_bytes = 0
        self._lock = threading.Lock()

    def batches(self, groups: list[list[int]], keep: bool, inputs: bool = True) -> Batches:
        """The batches of `groups`, in order; `keep` says that the same groups will be asked for again, `inputs` whether features are read.
        Building starts now, where batches are built ahead; `close` stops it."""
        if self.prefetch == 0 or all(tuple(group) in self._cache for group in groups):
            return (self.get(group, keep, inputs) for group in groups)
        return _Ahead(partial(self.get, keep=keep, inputs=inputs), groups, self.prefetch)

    def get(self, group: list[int], keep: bool, inputs: bool = True) -> Batch:
        """One batch, now. A batch that is kept has its features, whoever asked for it first."""
        cached = self._cache.get(tuple(group))
        if cached is not None:
            return cached
        keep = keep and self._cached_bytes < CACHE_BYTES
        with self._lock:  # the builder's scratch serves one thread at a time
            batch, size = self._make(group, keep, inputs or keep)
        if keep:
            if self._cached_bytes + size <= CACHE_BYTES:
                self._cache[tuple(group)] = batch
            self._cached_bytes += size  # beyond the limit nothing more is built in order to be kept
        return batch

    def _make(self, group: list[int], keep: bool, inputs: bool) -> tuple[Batch, int]:
        """A new batch, and the bytes that keeping it takes."""
        batch = self.prepare(self.builder.build(group, inputs))
        return batch, batch.nbytes


class DerivedLoader(BatchLoader):
    """The batches of another loader with something done to them, where and how that one makes its own; what both keep is kept once."""

    def __init__(self, whole: BatchLoader, derive: Prepare) -> None:
        super().__init__(whole.builder, whole.prefetch, lambda batch: whole.prepare(whole.builder.apply(derive, batch)))
        self.whole = whole

    def _make(self, group: list[int], keep: bool, inputs: bool) -> tuple[Batch, int]:
        whole = self.whole.get(group, keep, inputs)
        batch = self.prepare(whole)
        blocks = sum(one.nbytes for one, other in zip(batch.blocks, whole.blocks, strict=True) if one is not other)
        return batch, blocks + batch.added_nbytes


class _Ahead:
    """Batches built on a thread; errors surface at the consumer, and a consumer that stops early stops the thread.

    A batch takes one of `prefetch` places before it is built and leaves it when it is taken: so many are in memory beside those in use.
    """

    def __init__(self, get: Callable[[list[int]], Batch], groups: list[list[int]], prefetch: int) -> None:
        self._left = len(groups)
        self._ready: queue.SimpleQueue[Batch | BaseException] = queue.SimpleQueue()
        self._places, self._stop = threading.Semaphore(prefetch), threading.Event()
        shared = (get, groups, self._ready, self._places, self._stop)  # and not this object, which stops the thread when nobody holds it
        self._thread = threading.Thread(target=_build, args=shared, name="batch-builder", daemon=True)
        self._thread.start()
        # When nobody holds this any more, and before the interpreter ends: a thread that is inside of torch then would abort the process.
        weakref.finalize(self, _end, self._stop, self._thread)

    def __iter__(self) -> _Ahead:
        return self

    def __next__(self) -> Batch:
        if self._left == 0:
            self.close()
            raise StopIteration
        item = self._ready.get()
        self._places.release()
        self._left -= 1
        if isinstance(item, BaseException):
            self.close()
            raise item
        return item

    def close(self) -> None:
        """Stop building, and drop what nobody took."""
        self._left = 0
        _end(self._stop, self._thread)


def _end(stop: threading.Event, thread: threading.Thread) -> None:
    stop.set()
    if thread is not threading.current_thread():  # where the garbage collector runs on it
        thread.join()


def _build(
    get: Callable[[list[int]], Batch],
    groups: list[list[int]],
    ready: queue.SimpleQueue[Batch | BaseException],
    places: threading.Semaphore,
    stop: threading.Event,
) -> None:
    """What the thread of `_Ahead` does."""

    def place_free() -> bool:
        while not stop.is_set():
            if places.acquire(timeout=0.1):
                return True
        return False

    try:
        for group in groups:
            if not place_free():
                return
            ready.put(get(group))
    except BaseException as error:  # handed over, not swallowed: the consumer raises it
        ready.put(error)
