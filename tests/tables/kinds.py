"""Tables for the tests of the contract: every kind that runs on a CPU, at its promptest and at its latest."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from gas_cli.tables.histories import Histories
from gas_cli.tables.memory import MemoryTable, read_rows
from gas_cli.tables.streamed import StreamedTable
from gas_cli.tables.streams import Streams
from gas_cli.tables.table import Pending, Table, Where
from tests.tables.streams import InlineStreams, LateStreams

CPU = torch.device("cpu")
MakeTable = Callable[[int, int, torch.dtype], Table]


def memory(num_rows: int, width: int, dtype: torch.dtype = torch.float32) -> MemoryTable:
    return MemoryTable(torch.zeros(num_rows, width, dtype=dtype), CPU)


def streamed(streams: Streams, num_rows: int, width: int, dtype: torch.dtype = torch.float32) -> StreamedTable:
    rows = torch.zeros(num_rows, width, dtype=dtype)
    return StreamedTable(rows, lambda where: read_rows(rows, where).clone(), streams, "table")


class LateTable(Table):
    """Any table, with every operation as late as the contract allows: a read runs when it is waited for, a write when a read behind it
    does, or with `flush`."""

    def __init__(self, table: Table) -> None:
        self.num_rows, self.width, self.dtype, self.table = table.num_rows, table.width, table.dtype, table
        self.queue: list[Callable[[], None]] = []

    def read(self, where: Where, ready: Any = None) -> Pending:
        pending = _LateRows(self)
        self.queue.append(partial(pending.run, where, ready))
        return pending

    def write(self, where: Where, rows: Tensor) -> None:
        self.check(where, rows)
        self.queue.append(partial(self.table.write, where, rows.detach()))

    def flush(self) -> None:
        while self.queue:
            self.queue.pop(0)()
        self.table.flush()

    def state(self) -> Tensor:
        return self.table.state()


class _LateRows(Pending):
    def __init__(self, table: LateTable) -> None:
        self.table = table
        self.rows: Tensor | None = None

    def run(self, where: Where, ready: Any) -> None:
        self.rows = self.table.table.read(where, ready).wait().clone()

    def wait(self) -> Tensor:
        while self.rows is None:
            self.table.queue.pop(0)()
        return self.rows


class DictTable(Table):
    """A row by its number, in a dict: a table from outside the package."""

    def __init__(self, num_rows: int, width: int, dtype: torch.dtype = torch.float32) -> None:
        self.num_rows, self.width, self.dtype = num_rows, width, dtype
        self.rows: dict[int, Tensor] = {}

    def read(self, where: Where, ready: Any = None) -> Pending:
        nothing = torch.zeros(self.width, dtype=self.dtype)
        found = [self.rows.get(number, nothing) for number in numbers(where)]
        return _Rows(torch.stack(found).float() if found else torch.zeros(0, self.width))

    def write(self, where: Where, rows: Tensor) -> None:
        self.check(where, rows)
        self.rows |= {number: row.clone() for number, row in zip(numbers(where), rows.detach().to(self.dtype), strict=True)}

    def flush(self) -> None:
        """Nothing is under way."""

    def state(self) -> Tensor:
        return self.read([(0, self.num_rows)]).wait().to(self.dtype)


class _Rows(Pending):
    def __init__(self, rows: Tensor) -> None:
        self.rows = rows

    def wait(self) -> Tensor:
        return self.rows


def numbers(where: Where) -> list[int]:
    return where.tolist() if isinstance(where, Tensor) else [number for bounds in where for number in range(*bounds)]


KINDS: dict[str, MakeTable] = {
    "memory": memory,
    "streamed": lambda *size: streamed(InlineStreams(), *size),
    "streamed, late": lambda *size: streamed(LateStreams(), *size),
    "late": lambda *size: LateTable(memory(*size)),
    "late, streamed late": lambda *size: LateTable(streamed(LateStreams(), *size)),
    "dict": DictTable,
}


def histories(kind: str, num_nodes: int, widths: tuple[int, ...], part_ptr: Tensor, dtype: torch.dtype = torch.float32) -> Histories:
    """Tables of one kind for the layers of a model."""
    return Histories([KINDS[kind](num_nodes, width, dtype) for width in widths], part_ptr, dtype, kind)
