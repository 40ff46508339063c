"""From a graph's topology to a `Partition`, by the method of the configuration."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from gas_cli.config.partitioner import PartitionerConfig
from gas_cli.errors import UserError
from gas_cli.measure.memory import OnProcess, unmeasured
from gas_cli.measure.seconds import timed
from gas_cli.ops.csr import CSR
from gas_cli.partition.balanced import random_parts, range_parts
from gas_cli.partition.from_file import read_parts
from gas_cli.partition.metis import metis_parts
from gas_cli.partition.order import order_nodes
from gas_cli.partition.partition import Partition
from gas_cli.partition.quality import measure_quality

log = logging.getLogger(__name__)

Parts = NDArray[np.integer]


def make_partition(adj: CSR, config: PartitionerConfig, progress: bool = False, on_process: OnProcess = unmeasured) -> Partition:
    """Divide the nodes of `adj` [N, N] into clusters.

    Args:
        adj: the topology by target; directed input is fine, edge weights play no part.
        config: the method and its options. `file` takes the number of parts from its file, the others from `config.num_parts`.
        progress: show the elapsed time while METIS runs (on a terminal; plain log lines elsewhere).
        on_process: receives the peak memory of METIS' process, where it ran.

    Parts that come out empty are dropped with a notice, so `Partition.num_parts` may be less than asked for.

    Raises:
        UserError: more parts than nodes, an unusable file of part ids, METIS missing or crashed.
        KeyboardInterrupt: Ctrl-C, at once, METIS being stopped and its temporary files removed.
    """
    _check_num_parts(config, adj.num_rows)
    used, parts = np.unique(assign_parts(adj, config, progress, on_process), return_inverse=True)  # renumbered from 0, in their order
    expected = int(used[-1]) + 1 if config.name == "file" else config.parts
    partition = replace(partition_of(adj, parts.astype(np.int32)), dropped=expected - len(used))
    report_dropped(partition)
    return partition


def report_dropped(partition: Partition) -> None:
    """Say how many parts came out empty."""
    if partition.dropped:
        left, expected = partition.num_parts, partition.num_parts + partition.dropped
        log.warning("%d of %d parts are empty and were dropped: continuing with %d parts.", partition.dropped, expected, left)


def partition_of(adj: CSR, parts: NDArray[np.int32]) -> Partition:
    """The partition that part ids [N] make, each of 0 … P-1 in use."""
    node_perm, quality = order_nodes(adj, parts), measure_quality(adj, parts)
    part_ptr = np.concatenate([[0], np.cumsum(np.bincount(parts))]).astype(np.int64)
    return Partition(torch.from_numpy(node_perm.astype(np.int64, copy=False)), torch.from_numpy(part_ptr), quality)


@timed("assign parts")
def assign_parts(adj: CSR, config: PartitionerConfig, progress: bool = False, on_process: OnProcess = unmeasured) -> Parts:
    """The part of each node, [N]: non-negative ids, some of which may be unused."""
    if config.name == "metis":
        return metis_parts(adj, config.parts, config.seed, progress, on_process)
    if config.name == "random":
        return random_parts(adj.num_rows, config.parts, config.seed)
    if config.name == "range":
        return range_parts(adj.num_rows, config.parts)
    return read_parts(config.file, adj.num_rows)


def _check_num_parts(config: PartitionerConfig, num_nodes: int) -> None:
    if config.name != "file" and config.parts > num_nodes:
        few = max(1, min(40, num_nodes // 10))
        raise UserError(
            f"partitioner.num_parts={config.parts} is larger than the number of nodes: expected 1 to {num_nodes}, "
            f"such as partitioner.num_parts={few} with trainer.batch_parts={max(1, few // 4)}."
        )
