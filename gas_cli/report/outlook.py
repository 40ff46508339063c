"""What to expect of training on a graph: how large the halo of its parts is, and which method fits the memory."""

from __future__ import annotations

from dataclasses import dataclass

from gas_cli.config.model import ModelConfig
from gas_cli.config.partitioner import PartitionerConfig
from gas_cli.graph.graph import Graph
from gas_cli.ops.csr import CSR
from gas_cli.partition.auto import SMALLEST_PART, Load, decide, told_whole
from gas_cli.partition.metis import metis_parts
from gas_cli.partition.partition import Quality
from gas_cli.partition.quality import measure_quality
from gas_cli.partition.random_halo import expected_halo
from gas_cli.training.assemble import pick_device
from gas_cli.training.parts import memory_of, step_load

PARTS = 40
"""Parts that the halo is told for; a smaller graph gets fewer, of `SMALLEST_PART` nodes."""
QUICK_MESSAGES = 1 << 20
"""METIS divides a graph of so many messages in about a second; of a larger one the halo of random parts is told."""
LARGE_HALO = 3.0
"""Nodes outside a part per node inside: most of what a step reads is from the histories."""


@dataclass(frozen=True)
class Halo:
    """Of `parts` parts. `quality` is measured, where METIS has divided the graph; else the ratio is that of random parts."""

    parts: int
    ratio: float
    quality: Quality | None


def outlook(graph: Graph, model: ModelConfig, device: str) -> list[tuple[str, str]]:
    """The last lines of `gas-data check`: halo and method, by the estimate that a training of `model` on `device` decides by."""
    halo = halo_of(graph.adj)
    memory = "the GPU's memory" if pick_device(device).type == "cuda" else "memory"
    method = fitting_method(step_load(model, graph, device), memory_of(device), memory, halo)
    return [*([] if halo is None else [("halo", _told(halo))]), ("method", method)]


def halo_of(adj: CSR) -> Halo | None:
    """Of parts as a training would make them; None for a graph that is too small for parts."""
    parts = min(PARTS, adj.num_rows // SMALLEST_PART)
    if parts < 2:
        return None
    if adj.nnz > QUICK_MESSAGES:
        return Halo(parts, expected_halo(adj, parts), None)
    quality = measure_quality(adj, metis_parts(adj, parts, PartitionerConfig().seed).astype("int32"))
    return Halo(parts, quality.halo_ratio, quality)


def _told(halo: Halo) -> str:
    what = f"{halo.ratio:.2f} nodes outside a part per node inside"
    if halo.quality is None:
        return f"at most {what}, with {halo.parts} random parts; METIS finds better ones"
    return f"{what}, with {halo.parts} parts of METIS, which cut {100 * halo.quality.edge_cut:.1f} % of the edges"


def fitting_method(load: Load, memory: int, device: str, halo: Halo | None) -> str:
    """One line: the method, and why. It is full batch where `partitioner.num_parts=auto` would be one part."""
    takes = told_whole(load, memory, device)
    if decide(load, memory, None, None).num_parts == 1:
        return f"full_batch: {takes}, and is exact"
    if halo is None:
        return f"full_batch: {takes}; the graph is too small for parts, so use fewer channels or layers"
    large = "; with such a halo use large steps (trainer.batch_parts)" if halo.ratio > LARGE_HALO else ""
    dropped = "the edges between parts" if halo.quality is None else f"{100 * halo.quality.edge_cut:.1f} % of the edges"
    return f"gas: {takes}, steps of parts take less{large}; cluster_gcn is a baseline that drops {dropped}"
