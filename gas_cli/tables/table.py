"""The contract of a table: rows by node, read and written by position, wherever they lie.

Order: a read sees every write that was issued before it. Between a read and its `wait` nobody writes its rows; an implementation may
gather them at any moment in between. Other rows may be written meanwhile.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

Ranges = Sequence[tuple[int, int]]
Where = Tensor | Ranges
"""Rows of a table: positions int64 [n], or half-open ranges of positions, ascending."""


class Pending(ABC):
    """Rows on their way."""

    @abstractmethod
    def wait(self) -> Tensor:
        """float32 [n, C] on the computing device, without gradient, for use on the current stream. It may be a view of the table: nobody
        changes it, and it holds until these rows are written again."""


class Table(ABC):
    """`num_rows` rows of `width` values, stored as `dtype`."""

    num_rows: int
    width: int
    dtype: torch.dtype

    @abstractmethod
    def read(self, where: Where, ready: Any = None) -> Pending:
        """Ask for rows. `ready` is the mark of another stream that makes positions, or None where they are there."""

    @abstractmethod
    def write(self, where: Where, rows: Tensor) -> None:
        """Replace rows by `rows` [n, width] of any precision; the caller does not change them afterwards. Raises ValueError for rows of
        another shape, which would corrupt the table."""

    @abstractmethod
    def flush(self) -> None:
        """Wait for all traffic: on return every write has happened."""

    @abstractmethod
    def state(self) -> Tensor:
        """All rows [num_rows, width] in `dtype` on the host, for a checkpoint: a view where they lie there. Nothing is in flight."""

    def load(self, state: Tensor) -> None:
        """The inverse of `state`."""
        self.write([(0, self.num_rows)], state)
        self.flush()

    @property
    def nbytes(self) -> int:
        return self.num_rows * self.width * self.dtype.itemsize

    def check(self, where: Where, rows: Tensor) -> None:
        """Raise ValueError unless `rows` are as many and as wide as `where` says."""
        if rows.shape != (num_of(where), self.width):
            found = f"rows of shape {list(rows.shape)} for {num_of(where)} positions"
            raise ValueError(f"The table is {self.width} wide; got {found}")


def num_of(where: Where) -> int:
    """How many rows."""
    return where.numel() if isinstance(where, Tensor) else sum(stop - start for start, stop in where)
