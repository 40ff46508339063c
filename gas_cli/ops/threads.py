"""Runs row-parallel kernels on several threads.

Kernels release the GIL, so plain Python threads suffice, and there is no second OpenMP beside torch's: two of them spin for each
other's cores and made small steps five times slower. Rows are divided so that every piece has about the same work; pieces are taken as
threads come free.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue

import numpy as np
import torch
from numpy.typing import NDArray

SERIAL_WORK = 1 << 17
"""Below this many multiply-adds, handing work to another thread costs more than it saves."""
PIECES_PER_THREAD = 4

Piece = Callable[[int, int], None]
"""A kernel on the rows [start, stop)."""


def over_rows(piece: Piece, rowptr: NDArray[np.int64], width: int) -> None:
    """Run `piece` over all rows of a sparse matrix; the work of a row is its entries times `width`."""
    num_rows, nnz = rowptr.shape[0] - 1, int(rowptr[-1] - rowptr[0])
    count = _num_pieces((nnz + num_rows) * width)
    if count == 1:
        _run(piece, [0, num_rows])
        return
    bounds = np.searchsorted(rowptr, rowptr[0] + np.linspace(0, nnz, count + 1)[1:-1])
    _run(piece, [0, *bounds.tolist(), num_rows])


def over_equal_rows(piece: Piece, num_rows: int, width: int) -> None:
    """Run `piece` over `num_rows` rows of `width` entries each."""
    count = _num_pieces(num_rows * width)
    _run(piece, [num_rows * i // count for i in range(count + 1)])


def over_groups(piece: Piece, num_groups: int, work: int) -> None:
    """Run `piece` over groups of columns, one range of them per thread: every piece reads the whole matrix, so more would cost more."""
    count = min(torch.get_num_threads(), num_groups) if work >= SERIAL_WORK else 1
    _run(piece, [num_groups * i // count for i in range(count + 1)])


def _num_pieces(work: int) -> int:
    threads = torch.get_num_threads()
    return 1 if threads == 1 or work < SERIAL_WORK else threads * PIECES_PER_THREAD


def _run(piece: Piece, bounds: list[int]) -> None:
    if len(bounds) == 2:  # as most calls of a small graph are, whose layers take hardly longer than the bookkeeping below
        piece(*bounds)
        return
    job = _Job(piece, bounds)
    helpers = min(torch.get_num_threads(), len(bounds) - 1) - 1
    if helpers > 0:
        _pool().offer(job, helpers)
    job.work()
    job.wait()


def _nothing(start: int, stop: int) -> None:
    """What is left of a finished job."""


class _Job:
    """Pieces that any number of threads take turns at; the first error is raised where the job was given."""

    def __init__(self, piece: Piece, bounds: list[int]) -> None:
        self.piece = piece
        self._ranges: Iterator[tuple[int, int]] = iter(itertools.pairwise(bounds))
        self._lock = threading.Lock()
        self._left = len(bounds) - 1
        self._done = threading.Event()
        self._error: BaseException | None = None

    def work(self) -> None:
        while True:
            with self._lock:
                taken = next(self._ranges, None)
            if taken is None:
                return
            try:
                if taken[0] < taken[1]:
                    self.piece(*taken)
            except BaseException as error:  # handed over to `wait`, which raises it
                self._error = self._error or error
            with self._lock:
                self._left -= 1
                if self._left == 0:
                    self._done.set()

    def wait(self) -> None:
        self._done.wait()
        self.piece = _nothing  # a helper that comes too late finds the job in the queue: it must not keep the arrays of the kernel alive
        if self._error is not None:
            raise self._error


class _Pool:
    """Daemon threads that wait for jobs. A forked child makes its own."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._size = 0

    def offer(self, job: _Job, helpers: int) -> None:
        for _ in range(self._size, helpers):
            threading.Thread(target=self._serve, name="kernel-worker", daemon=True).start()
        self._size = max(self._size, helpers)
        for _ in range(helpers):
            self._jobs.put(job)

    def _serve(self) -> None:
        while True:
            self._jobs.get().work()


_pools: list[_Pool] = []


def _pool() -> _Pool:
    if not _pools or _pools[0].pid != os.getpid():
        _pools[:] = [_Pool()]
    return _pools[0]
