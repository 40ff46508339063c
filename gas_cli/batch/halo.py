"""What the halo of a batch receives from within: for methods that compute the halo's rows, too, as far as the batch shows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from gas_cli.batch.batch import Batch, Block, HaloTargets
from gas_cli.batch.device_split import joined
from gas_cli.graph.graph import Split
from gas_cli.ops.csr import CSR
from gas_cli.ops.csr_tensors import rowptr_of
from gas_cli.prepared.problem import Problem


def with_halo(problem: Problem, split: Split, device: torch.device, among: bool) -> Callable[[Batch], Batch]:
    """What gives a batch, whose blocks hold every message of its targets, its `halo`; batches are built on `device`.

    With `among`, halo nodes receive messages of one another (and of themselves, where there are self-loops), otherwise of the batch's
    targets only. A cut takes O(messages of the halo, those from elsewhere included). Holds O(N) scratch, on a device other than the CPU
    also a copy of the adjacency: one thread at a time.
    """
    adj = (problem.seen_adj if problem.graph.inductive else problem.adj).to(device)
    y, train = problem.graph.y.to(device), split.train.to(device)
    number = torch.full((adj.num_cols,), -1, dtype=torch.int32, device=device)

    def cut(batch: Batch) -> Batch:
        block = batch.blocks[-1]
        rows, targets = adj.rows(block.halo), joined(batch.ranges, device)
        outer = _only_columns(rows, targets, number)
        inner = _only_columns(rows, block.halo, number) if among else CSR.empty(block.num_halo, block.num_halo, device)
        inner.symmetric = adj.symmetric and among
        share = (inner.rowptr.diff() + outer.rowptr.diff()) / rows.rowptr.diff().clamp(min=1)
        received = Block(inner, outer, block.halo_ids, block.target_ids, targets)
        return replace(batch, halo=HaloTargets(received, y[block.halo], train[block.halo].nonzero().flatten(), share))

    return cut


def _only_columns(matrix: CSR, positions: Tensor, number: Tensor) -> CSR:
    """The columns `positions` int64 [n] (ascending) of `matrix`, in that order. `number` int32 [N] is scratch that holds -1 everywhere,
    on entry as on return."""
    try:
        number[positions] = torch.arange(positions.numel(), dtype=torch.int32, device=number.device)
        col = number.index_select(0, matrix.col)
    finally:
        number[positions] = -1
    kept = col >= 0
    before = rowptr_of(kept)  # entries that stay before each entry
    return CSR(before[matrix.rowptr], col[kept], matrix.value[kept], positions.numel())
