"""Historical embeddings: a table for the inputs of each layer but the first, and when each part was written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from gas_cli.config.history import HistoryConfig
from gas_cli.errors import UserError
from gas_cli.saved import check_keys, check_tensor, misfit
from gas_cli.tables.ages import NEVER, Ages
from gas_cli.tables.memory import MemoryTable
from gas_cli.tables.pinned import pinned_gather
from gas_cli.tables.streamed import StreamedTable
from gas_cli.tables.streams import CudaStreams
from gas_cli.tables.table import Table

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


class Histories:
    """Tables [N, widths[l]] for the inputs of layers 1..L-1, in the permuted node order.

    part_ptr    int64 [P + 1]: part p is the rows part_ptr[p]:part_ptr[p+1]; where steps write rows by position, each row is a part,
                and it is on the computing device
    ages        of the parts
    placement   what the tables are, for the log: device, pinned or host
    """

    def __init__(self, tables: Sequence[Table], part_ptr: Tensor, dtype: torch.dtype, placement: str) -> None:
        self._tables, self.part_ptr, self.dtype, self.placement = list(tables), part_ptr, dtype, placement
        self.num_nodes, self.ages = int(part_ptr[-1]), Ages(part_ptr.numel() - 1, part_ptr.device)

    def __getitem__(self, layer: int) -> Table:
        """The table of the inputs of layer 1..L-1."""
        return self._tables[layer - 1]

    def __iter__(self) -> Iterator[Table]:
        return iter(self._tables)

    @property
    def layers(self) -> range:
        """The layers that have a table."""
        return range(1, len(self._tables) + 1)

    @property
    def widths(self) -> tuple[int, ...]:
        return tuple(table.width for table in self._tables)

    @property
    def nbytes(self) -> int:
        return sum(table.nbytes for table in self._tables)

    @property
    def bytes_per_node(self) -> int:
        return sum(self.widths) * self.dtype.itemsize

    def map(self, change: Callable[[Table], Table]) -> Histories:
        """The same nodes and ages with other tables."""
        mapped = Histories([change(table) for table in self._tables], self.part_ptr, self.dtype, self.placement)
        mapped.ages = self.ages
        return mapped

    def overflowed(self) -> bool:
        """Whether a row is infinite."""
        self.flush()
        return any(bool(table.state().isinf().any()) for table in self._tables)

    def flush(self) -> None:
        """Wait for all traffic."""
        for table in self._tables:
            table.flush()

    def state_dict(self) -> dict[str, Any]:
        """Everything a resumed run needs to go on bit for bit; tables are on the host."""
        self.flush()
        return {"tables": [table.state() for table in self._tables], "written_at": self.ages.written_at.cpu().clone()}

    def check(self, saved: Any, step: int | None = None) -> None:
        """Raise UserError unless `saved` holds tables as these, finite, and ages of at most `step` steps (any, where that is None)."""
        check_keys("the histories", saved, ("tables", "written_at"))
        tables, written_at = saved["tables"], saved["written_at"]
        if not isinstance(tables, list) or len(tables) != len(self._tables):
            found = f"{len(tables)} tables" if isinstance(tables, list) else f"a {type(tables).__name__}"
            misfit(f"the histories are {found}", f"a list of {len(self._tables)} tables")
        for layer, (table, like) in enumerate(zip(tables, self._tables, strict=True), start=1):
            check_tensor(f"the history of layer {layer}", table, torch.empty(like.num_rows, like.width, dtype=like.dtype, device="meta"))
        check_tensor("written_at of the histories", written_at, self.ages.written_at)
        if written_at.numel() and (written_at.min() < NEVER or (step is not None and written_at.max() > step)):
            misfit("written_at of the histories holds steps that the run has not done", f"numbers from {NEVER} to {step}")

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`, for what `check` has passed."""
        for table, stored in zip(self._tables, state["tables"], strict=True):
            table.load(stored)
        self.ages.written_at.copy_(state["written_at"])


def make_histories(widths: Sequence[int], part_ptr: Tensor, config: HistoryConfig, device: torch.device) -> Histories:
    """Empty tables for a model whose layers 1..L-1 read `widths`, where `config` wants them. Raises UserError where there is no room.

    placement   device: on the computing device; pinned: page-locked host memory that a GPU reads by itself, on streams of its own with
                `config.pipeline`; host: plain memory; auto: on a GPU the device where the tables take at most half of its free memory
    """
    num_nodes, dtype = int(part_ptr[-1]), _DTYPES[config.dtype]
    placement = _placement(config.placement, device, num_nodes * sum(widths) * dtype.itemsize)
    streams = CudaStreams(device) if placement == "pinned" and config.pipeline else None

    def table(number: int, width: int) -> Table:
        rows = _allocate(num_nodes, width, dtype, placement, device)
        if streams is None:
            return MemoryTable(rows, device)
        return StreamedTable(rows, pinned_gather(rows, device), streams, f"layer {number}")

    return Histories([table(number, width) for number, width in enumerate(widths, start=1)], part_ptr, dtype, placement)


def _allocate(rows: int, width: int, dtype: torch.dtype, placement: str, device: torch.device) -> Tensor:
    try:
        if placement == "device":
            return torch.zeros(rows, width, dtype=dtype, device=device)
        return torch.zeros(rows, width, dtype=dtype, pin_memory=placement == "pinned")
    except (RuntimeError, MemoryError) as error:
        size = rows * width * dtype.itemsize / 2**30
        raise UserError(
            f"history.placement={placement}: not enough memory for a history of {rows} x {width} {dtype} ({size:.2f} GiB). "
            "Try history.placement=host, history.dtype=bfloat16 or a smaller model.hidden_channels."
        ) from error


def _placement(wanted: str, device: torch.device, nbytes: int) -> str:
    """Resolve `auto`."""
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
