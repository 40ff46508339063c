"""Where the batches of a training come from: what builds them, and on which device."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gas_cli.batch.batch import Batch, Reading
from gas_cli.batch.builder import BatchBuilder
from gas_cli.batch.loader import BatchLoader, Builder
from gas_cli.batch.side_stream import SideBuilder
from gas_cli.graph.graph import Split
from gas_cli.prepared.problem import Problem


def graph_device(wanted: str, problem: Problem, sums: Tensor | None, device: torch.device) -> torch.device:
    """Where batches are built. `auto`: on the device, where graph, features and their sums take at most a quarter of its free memory and
    do not lie on the disk."""
    if device.type == "cpu" or wanted == "host":
        return torch.device("cpu")
    if wanted == "auto":
        nbytes = sum(problem.nbytes.values()) + (0 if sums is None else sums.numel() * sums.element_size())
        free, _ = torch.cuda.mem_get_info(device)
        return device if problem.graph.x_row is None and nbytes <= free // 4 else torch.device("cpu")
    return device


def make_loader(
    problem: Problem,
    split: Split,
    num_layers: int,
    sums: Tensor | None,
    reading: Reading,
    prefetch: int,
    device: torch.device,
    where: torch.device,
) -> BatchLoader:
    """Batches that hold every edge of their targets, built on `where` for a training on `device`; `sums` is A x, if the model reads it."""
    builder = BatchBuilder(problem.graph, problem.adj, problem.partition, split, num_layers, sums, reading, where)
    if where.type == "cuda":
        return BatchLoader(SideBuilder(builder, where), prefetch)
    return host_loader(builder, prefetch, device)


def host_loader(builder: Builder, prefetch: int, device: torch.device) -> BatchLoader:
    """Batches in page-locked memory where a GPU reads them."""
    prepare: Callable[[Batch], Batch] = Batch.pin_memory if device.type == "cuda" else lambda batch: batch
    return BatchLoader(builder, prefetch, prepare)
