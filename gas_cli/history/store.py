"""Where historical embeddings live: one table per layer, in one of several placements and precisions, with the age of every part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gas_cli.config.history import HistoryConfig
from gas_cli.errors import UserError

NEVER = -1
"""`pushed_at` of a part whose histories were never written."""

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}

Ranges = Sequence[tuple[int, int]]


class HistoryStore:
    """Tables [N, widths[l]] for the inputs of layers 1..L-1, in the permuted node order.

    placement   `device`: on the computing device; `pinned`: page-locked host memory that a GPU reads by itself; `host`: plain memory
    pushed_at   int64 [P]: the step at which each part was last pushed or refreshed, NEVER before that

    `pull` and `push` are the synchronous reference; asynchronous exchanges work on `tables` directly and own the ordering.
    """

    def __init__(self, num_nodes: int, widths: Sequence[int], part_ptr: Tensor, config: HistoryConfig, device: torch.device) -> None:
        self.device, self.dtype = device, _DTYPES[config.dtype]
        self.num_nodes, self.widths = num_nodes, tuple(widths)
        self.part_ptr = part_ptr
        self.placement = _placement(config.placement, device, num_nodes * sum(widths) * self.dtype.itemsize)
        self.tables = [self._allocate(num_nodes, width) for width in widths]
        self.pushed_at = torch.full((part_ptr.numel() - 1,), NEVER, dtype=torch.int64)

    def _allocate(self, rows: int, width: int) -> Tensor:
        try:
            if self.placement == "device":
                return torch.zeros(rows, width, dtype=self.dtype, device=self.device)
            return torch.zeros(rows, width, dtype=self.dtype, pin_memory=self.placement == "pinned")
        except (RuntimeError, MemoryError) as error:
            size = rows * width * self.dtype.itemsize / 2**30
            raise UserError(
                f"history.placement={self.placement}: no room for a history of {rows} x {width} {self.dtype} ({size:.2f} GiB). "
                "Try history.placement=host, history.dtype=bfloat16 or a smaller model.hidden_channels."
            ) from error

    @property
    def nbytes(self) -> int:
        return sum(t.numel() * t.element_size() for t in self.tables)

    @property
    def bytes_per_node(self) -> int:
        return sum(self.widths) * self.dtype.itemsize

    def pull(self, layer: int, positions: Tensor) -> Tensor:
        """Rows [H, widths[layer]] of the table for layer `layer` (1..L-1), in float32 on the computing device."""
        table = self.tables[layer - 1]
        return table.index_select(0, positions.to(table.device)).to(self.device).float()

    def push(self, layer: int, ranges: Ranges, rows: Tensor) -> None:
        """Write rows [B, widths[layer]] of the targets at `ranges`; refuses rows of another width, which would corrupt the table."""
        table = self.tables[layer - 1]
        if rows.shape != (sum(stop - start for start, stop in ranges), table.shape[1]):
            found = f"rows of shape {tuple(rows.shape)} for ranges {ranges}"
            raise ValueError(f"History of layer {layer} is {table.shape[1]} wide; got {found}")
        offset = 0
        for start, stop in ranges:
            table[start:stop].copy_(rows[offset : offset + stop - start])
            offset += stop - start

    def exact_table(self, layer: int, num_nodes: int) -> Tensor | None:
        """The table of layer `layer` where it can be written row by row and read back as it was: float32, on the host, with a row for each
        of `num_nodes` nodes. None otherwise."""
        table = self.tables[layer - 1]
        return table if table.dtype == torch.float32 and table.device.type == "cpu" and self.num_nodes == num_nodes else None

    def mark_pushed(self, parts: Sequence[int], step: int) -> None:
        self.pushed_at[list(parts)] = step

    def ages(self, step: int) -> Tensor:
        """int64 [P]: steps since each part's histories were written, counted from the first step for parts never written."""
        return step - self.pushed_at

    def state_dict(self) -> dict[str, Any]:
        """Everything a resumed run needs to go on bit for bit; tables are on the host."""
        return {"tables": [t.cpu() for t in self.tables], "pushed_at": self.pushed_at.clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises UserError where the stored tables have other shapes or another precision."""
        found = [(tuple(t.shape), t.dtype) for t in state["tables"]]
        expected = [(tuple(t.shape), t.dtype) for t in self.tables]
        if found != expected or state["pushed_at"].shape != self.pushed_at.shape:
            raise UserError(
                f"The checkpoint's histories are {found}; this run's are {expected}. Resume with the settings of the run that wrote it."
            )
        for table, stored in zip(self.tables, state["tables"], strict=True):
            table.copy_(stored)
        self.pushed_at.copy_(state["pushed_at"])


def _placement(wanted: str, device: torch.device, nbytes: int) -> str:
    """Resolve `auto`: on a GPU the device where the tables take at most half of its free memory, else pinned; on a CPU plain memory."""
    if device.type == "cpu":
        if wanted == "pinned":
            raise UserError(
                "history.placement=pinned needs a CUDA device, and this run computes on the CPU: use history.placement=auto or host."
            )
        return "host" if wanted == "auto" else wanted
    if wanted != "auto":
        return wanted
    free, _ = torch.cuda.mem_get_info(device)
    return "device" if nbytes <= free // 2 else "pinned"
