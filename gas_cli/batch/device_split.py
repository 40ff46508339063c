"""`HostSplitter` by whole-tensor operations, for a matrix that lies on the computing device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gas_cli.batch.split import Cut
from gas_cli.ops.csr import CSR
from gas_cli.ops.csr_tensors import rowptr_of


class DeviceSplitter:
    """Equal to `HostSplitter`, entry by entry. Holds O(N) scratch: one thread at a time.

    Two numbers are read on the way (host synchronisations): the entries inside the batch, and the halo's nodes. The host issues few
    operations, whatever the number of ranges: a batch is built while it also issues the steps.
    """

    def __init__(self, matrix: CSR) -> None:
        self._matrix = matrix
        self._rowptr = matrix.rowptr.cpu()
        self._local = torch.full((matrix.num_cols,), -1, dtype=torch.int32, device=matrix.device)

    def __call__(self, ranges: Sequence[tuple[int, int]]) -> Cut:
        matrix, local, device = self._matrix, self._local, self._matrix.device
        positions = joined(ranges, device)
        num_targets = positions.numel()
        ends = self._rowptr[torch.tensor(ranges)]
        degrees = matrix.rowptr[positions + 1] - matrix.rowptr[positions]
        rowptr = rowptr_of(degrees)
        entries = joined(ends.tolist(), device)
        col = matrix.col[entries]

        local[positions] = torch.arange(num_targets, dtype=torch.int32, device=device)
        where = local[col]
        order = (where < 0).byte().sort(stable=True).indices  # the entries inside, then those outside
        num_inside = int((where >= 0).sum())
        inside, outside = order[:num_inside], order[num_inside:]
        halo, outer_col = _numbered(col[outside], matrix.num_cols)
        local[positions] = -1

        value, inner_ptr = matrix.value[entries[order]], torch.searchsorted(inside, rowptr)  # entries inside that come before each row
        inner = CSR(inner_ptr, where[inside], value[:num_inside], num_targets, matrix.symmetric)
        outer = CSR(rowptr - inner_ptr, outer_col, value[num_inside:], halo.numel())
        return Cut(inner, outer, halo, None if matrix.attr_row is None else matrix.attr_row[entries[order]])


def joined(ranges: Sequence[tuple[int, int]], device: torch.device) -> Tensor:
    """int64: the numbers of half-open ranges, one after the other."""
    bounds = torch.tensor(ranges, dtype=torch.int64)
    lengths = bounds[:, 1] - bounds[:, 0]
    ends = lengths.cumsum(0)
    shifts = bounds[:, 0] - (ends - lengths)  # of each range's numbers against their places
    total = int(ends[-1])
    moved = torch.stack([shifts, lengths]).to(device, non_blocking=True)
    return torch.repeat_interleave(moved[0], moved[1], output_size=total) + torch.arange(total, device=device)


def _numbered(nodes: Tensor, num_nodes: int) -> tuple[Tensor, Tensor]:
    """The distinct `nodes`, ascending, int64; and of each of `nodes` its number among them, int32."""
    seen = torch.zeros(num_nodes, dtype=torch.bool, device=nodes.device)
    seen.index_fill_(0, nodes.long(), True)
    distinct = seen.nonzero().flatten()
    return distinct, torch.searchsorted(distinct, nodes.long()).int()
