"""Partitions of a graph whose training must not see the rest: the training nodes are divided by themselves, and so are the others."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from numba import njit
from torch import Tensor

from gas_cli.config.partitioner import PartitionerConfig
from gas_cli.measure.memory import OnProcess, unmeasured
from gas_cli.ops.csr import CSR
from gas_cli.partition.from_file import read_parts
from gas_cli.partition.make import make_partition, partition_of
from gas_cli.partition.partition import Partition
from gas_cli.partition.quality import measure_quality


def make_inductive_partition(
    adj: CSR, seen: Tensor, config: PartitionerConfig, progress: bool = False, on_process: OnProcess = unmeasured
) -> Partition:
    """Divide the nodes of `adj` [N, N] so that no part mixes seen and unseen ones; the parts of seen nodes come first.

    Args:
        adj: the topology by target.
        seen: bool [N], the training nodes. They are divided like a graph of their own, so that nothing of the others decides their parts.
        config: `num_parts` counts the parts of the seen nodes; the others get parts of about the same size. A file holds the ids of all
            nodes, and an id on both sides becomes two parts.
        progress, on_process: as for `make_partition`.

    Raises like `make_partition`.
    """
    inside, outside = seen.nonzero().view(-1), (~seen).nonzero().view(-1)
    if not outside.numel():
        return make_partition(adj, config, progress, on_process)
    if config.name == "file":
        return _joined(adj, inside, outside, *_from_file(adj, inside, outside, config))
    first = make_partition(induced(adj, inside), config, progress, on_process)
    num_parts = math.ceil(outside.numel() * first.num_parts / inside.numel())
    rest = replace(config, num_parts=min(num_parts, outside.numel()))
    return _joined(adj, inside, outside, first, make_partition(induced(adj, outside), rest, progress, on_process))


def induced(adj: CSR, nodes: Tensor) -> CSR:
    """The edges among `nodes` int64 [n], ascending, which become 0 … n-1."""
    place = torch.full((adj.num_cols,), -1, dtype=torch.int32)
    place[nodes] = torch.arange(nodes.numel(), dtype=torch.int32)
    rowptr, col, value = (torch.from_numpy(array) for array in _induced(*adj.arrays, nodes.numpy(), place.numpy()))
    return CSR(rowptr, col, value, nodes.numel(), adj.symmetric)


@njit(nogil=True, cache=True)
def _induced(rowptr, col, value, nodes, place):  # type: ignore[no-untyped-def]
    """CSR of the rows `nodes` with the columns that have a `place` >= 0."""
    cut_rowptr = np.zeros(nodes.shape[0] + 1, np.int64)
    for i in range(nodes.shape[0]):
        cut_rowptr[i + 1] = cut_rowptr[i]
        for e in range(rowptr[nodes[i]], rowptr[nodes[i] + 1]):
            cut_rowptr[i + 1] += place[col[e]] >= 0
    cut_col, cut_value = np.empty(cut_rowptr[-1], col.dtype), np.empty(cut_rowptr[-1], value.dtype)
    out = 0
    for v in nodes:
        for e in range(rowptr[v], rowptr[v + 1]):
            if place[col[e]] >= 0:
                cut_col[out], cut_value[out] = place[col[e]], value[e]
                out += 1
    return cut_rowptr, cut_col, cut_value


def _from_file(adj: CSR, inside: Tensor, outside: Tensor, config: PartitionerConfig) -> list[Partition]:
    parts = torch.from_numpy(read_parts(config.file, adj.num_rows))
    return [partition_of(induced(adj, nodes), _renumbered(parts[nodes])) for nodes in (inside, outside)]


def _renumbered(parts: Tensor) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    """The ids that occur, from 0 in their order."""
    return np.unique(parts.numpy(), return_inverse=True)[1].astype(np.int32)


def _joined(adj: CSR, inside: Tensor, outside: Tensor, first: Partition, second: Partition) -> Partition:
    """The parts of both sides, `first`'s before `second`'s; their quality together."""
    node_perm = torch.cat([inside[first.node_perm], outside[second.node_perm]])
    part_ptr = torch.cat([first.part_ptr, first.num_nodes + second.part_ptr[1:]])
    part = np.empty(adj.num_rows, np.int32)
    part[node_perm.numpy()] = np.repeat(np.arange(part_ptr.numel() - 1, dtype=np.int32), part_ptr.diff().numpy())
    return Partition(node_perm, part_ptr, measure_quality(adj, part), first.dropped + second.dropped)
