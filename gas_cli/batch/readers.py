"""Who reads the targets of a batch from outside of it: what a backward pass needs that cuts no message either."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from gas_cli.batch.batch import Batch, Readers
from gas_cli.batch.device_split import DeviceSplitter
from gas_cli.batch.split import HostSplitter, Splitter
from gas_cli.ops.csr import CSR


def with_readers(adj: CSR, device: torch.device) -> Callable[[Batch], Batch]:
    """What gives a batch, whose blocks hold every message of its targets, its `readers`; `adj` is the permuted adjacency of the nodes that
    training sees, batches are built on `device`.

    Where `adj` is symmetric, the readers are the halo and their weights the halo's. Otherwise (a directed graph, means over neighbours)
    they are a halo of the transposed adjacency: a second copy of it is held, and each batch is cut out of both. One thread at a time.
    """
    if adj.symmetric:
        return lambda batch: replace(batch, readers=Readers(batch.blocks[-1].halo, batch.blocks[-1].outer))
    transposed = adj.transpose().to(device)
    split: Splitter = HostSplitter(transposed) if device.type == "cpu" else DeviceSplitter(transposed)

    def cut(batch: Batch) -> Batch:
        rows = split(list(batch.ranges))
        return replace(batch, readers=Readers(rows.halo, rows.outer))

    return cut
