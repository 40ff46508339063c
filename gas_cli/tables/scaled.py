"""A table of small numbers in a narrow precision."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from gas_cli.tables.table import Pending, Table, Where


class ScaledTable(Table):
    """Another table that holds `scale` times the rows that are written and read here. `state` is what it holds.

    float16 rounds what is below 6e-8 to zero. A `scale` that is a power of two changes no bit otherwise.
    """

    def __init__(self, table: Table, scale: float) -> None:
        self.num_rows, self.width, self.dtype, self.table, self.scale = table.num_rows, table.width, table.dtype, table, scale

    def read(self, where: Where, ready: Any = None) -> Pending:
        return _Scaled(self.table.read(where, ready), 1 / self.scale)

    def write(self, where: Where, rows: Tensor) -> None:
        self.table.write(where, rows.float() * self.scale)

    def flush(self) -> None:
        self.table.flush()

    def state(self) -> Tensor:
        return self.table.state()

    def load(self, state: Tensor) -> None:
        self.table.load(state)


class _Scaled(Pending):
    def __init__(self, rows: Pending, factor: float) -> None:
        self._rows, self._factor = rows, factor

    def wait(self) -> Tensor:
        return self._rows.wait() * self._factor
