"""Tables in memory, of the host or of the computing device: copies happen in program order. The reference for every other table."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gas_cli.ops.csr_tensors import cut_ranges
from gas_cli.tables.table import Pending, Table, Where


class MemoryTable(Table):
    """The rows of one tensor, read to `device`. A read gathers when it is waited for: asked for ahead, it takes no memory until then."""

    def __init__(self, rows: Tensor, device: torch.device) -> None:
        self.num_rows, self.width, self.dtype = rows.shape[0], rows.shape[1], rows.dtype
        self._rows, self._device = rows, device

    def read(self, where: Where, ready: Any = None) -> Pending:
        return _Gather(self._rows, where, self._device)

    def write(self, where: Where, rows: Tensor) -> None:
        self.check(where, rows)
        write_rows(self._rows, where, rows)

    def flush(self) -> None:
        """Every copy has already happened."""

    def state(self) -> Tensor:
        return self._rows.cpu()


class _Gather(Pending):
    def __init__(self, rows: Tensor, where: Where, device: torch.device) -> None:
        self._rows, self._where, self._device = rows, where, device

    def wait(self) -> Tensor:
        return read_rows(self._rows, self._where).to(self._device).float()


class ScratchTable(Table):
    """The table of one pass over the nodes, on the host in the precision of its first rows: made by its first write, whose rows are the
    table where they are all. `width` and `dtype` are those of the rows."""

    def __init__(self, num_rows: int, device: torch.device) -> None:
        self.num_rows, self._device = num_rows, device
        self._table: MemoryTable | None = None

    def read(self, where: Where, ready: Any = None) -> Pending:
        return self._written.read(where, ready)

    def write(self, where: Where, rows: Tensor) -> None:
        if self._table is None:
            self.width, self.dtype = rows.shape[1], rows.dtype
            self.check(where, rows)
            if not isinstance(where, Tensor) and list(where) == [(0, self.num_rows)]:
                self._table = MemoryTable(rows.detach().cpu(), self._device)
                return
            self._table = MemoryTable(torch.empty(self.num_rows, self.width, dtype=self.dtype), self._device)
        self._table.write(where, rows)

    def flush(self) -> None:
        """Every copy has already happened."""

    def state(self) -> Tensor:
        return self._written.state()

    @property
    def _written(self) -> MemoryTable:
        assert self._table is not None, "a pass over the nodes has at least one batch"
        return self._table


def read_rows(table: Tensor, where: Where) -> Tensor:
    """Rows [n, C]; those of one range are a view."""
    if isinstance(where, Tensor):
        return table.index_select(0, where.to(table.device))
    return cut_ranges(table, where)


def write_rows(table: Tensor, where: Where, rows: Tensor, non_blocking: bool = False) -> None:
    """Copy `rows` [n, C] to their places; to positions on the host from a device this is a host synchronisation."""
    if isinstance(where, Tensor):
        table.index_copy_(0, where.to(table.device), rows.detach().to(table.device, table.dtype))
        return
    offset = 0
    for start, stop in where:
        table[start:stop].copy_(rows[offset : offset + stop - start].detach(), non_blocking=non_blocking)
        offset += stop - start
