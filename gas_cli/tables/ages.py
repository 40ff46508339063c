"""When rows of a table were written."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

CPU = torch.device("cpu")
NEVER = -1
"""`written_at` of what was never written."""


class Ages:
    """written_at int64 [n]: the step at which each part (or each row, where a method writes rows by position) was last written.

    It lies where the numbers are that are marked, so that to mark rows of a batch on a GPU does not wait for it.
    """

    def __init__(self, number: int, device: torch.device = CPU) -> None:
        self.written_at = torch.full((number,), NEVER, dtype=torch.int64, device=device)

    def mark(self, which: Sequence[int] | Tensor, step: int) -> None:
        """`which` were written at `step`: their numbers."""
        self.written_at[which if isinstance(which, Tensor) else list(which)] = step

    def mark_all(self, step: int) -> None:
        """Everything was written at `step`."""
        self.written_at.fill_(step)

    def at(self, step: int) -> Tensor:
        """int64 [n]: steps since each was written, counted from the first step for those never written."""
        return step - self.written_at
