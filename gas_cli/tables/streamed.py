"""Tables in page-locked memory, whose traffic runs on streams of its own, behind the computation.

Per step t and layer l, with C the computing stream and a caller that reads the next step's rows as soon as it has written its own:

    C:      ... layer l-1 (t) ─┬─ wait read(l, t) ─ layer l (t) ... backward ... layer l-1 (t+1) ─ wait read(l, t+1) ─
    write:                     └─ write(l, t) ─┐
    read:                                      └─ read(l, t+1)   runs behind the rest of forward and backward of step t

A read waits for the table's last write and nothing else; earlier writes lie before it on the same stream. A write waits for what the
computing stream was given so far: among it are the waits for earlier reads.

Buffers: rows that are read are allocated on the read stream and belong to the computing stream after their wait; rows that are written
belong to the computing stream and are lent to the write stream (`Streams` tells the allocator in both cases).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from gas_cli.tables.memory import write_rows
from gas_cli.tables.streams import Mark, Streams
from gas_cli.tables.table import Pending, Table, Where

Gather = Callable[[Where], Tensor]
"""Rows [n, C] of a table by their place, made on the stream that it is called on."""


class StreamedTable(Table):
    """Equal to a `MemoryTable` bit for bit, several copies in flight. `name` stands in the journal and in traces."""

    def __init__(self, rows: Tensor, gather: Gather, streams: Streams, name: str) -> None:
        self.num_rows, self.width, self.dtype = rows.shape[0], rows.shape[1], rows.dtype
        self._rows, self._gather, self.streams, self._name = rows, gather, streams, name
        self._written: Mark = None

    def read(self, where: Where, ready: Any = None) -> Pending:
        # `now` covers what the computing stream wrote into the table before, `ready` the positions.
        after = [self.streams.now(), *(mark for mark in (self._written, ready) if mark is not None)]
        reads = [where] if isinstance(where, Tensor) else []
        rows, mark = self.streams.submit("read", lambda: self._gather(where).float(), after, reads, self._name)
        assert rows is not None
        return _InFlight(rows, mark, self.streams, self._name)

    def write(self, where: Where, rows: Tensor) -> None:
        self.check(where, rows)
        rows = rows.detach()
        _, self._written = self.streams.submit("write", lambda: self._copy(where, rows), [self.streams.now()], [rows], self._name)

    def flush(self) -> None:
        self.streams.drain()
        self._written = None

    def state(self) -> Tensor:
        return self._rows

    def load(self, state: Tensor) -> None:
        self.flush()
        self._rows.copy_(state)

    def _copy(self, where: Where, rows: Tensor) -> None:
        write_rows(self._rows, where, rows.to(self.dtype), non_blocking=True)  # narrow on the device: half the traffic


class _InFlight(Pending):
    def __init__(self, rows: Tensor, mark: Mark, streams: Streams, name: str) -> None:
        self._rows, self._mark, self._streams, self._name = rows, mark, streams, name

    def wait(self) -> Tensor:
        self._streams.wait(self._mark, self._rows, self._name)
        return self._rows
