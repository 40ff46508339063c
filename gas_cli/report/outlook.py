"""What to expect of training on a graph: how large the halo of its parts is, and which method fits the memory."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

from gas_cli.config.model import ConvConfig, CustomConfig, GATConfig, ModelConfig, PNAConfig
from gas_cli.config.partitioner import PartitionerConfig
from gas_cli.config.sizes import shown_size
from gas_cli.graph.graph import Graph
from gas_cli.model.registry import build_model
from gas_cli.ops.csr import CSR
from gas_cli.partition.metis import metis_parts
from gas_cli.partition.partition import Quality
from gas_cli.partition.quality import measure_quality
from gas_cli.partition.random_halo import expected_halo

PARTS = 40
"""Parts that the halo is told for."""
SMALLEST_PART = 100
"""Nodes; a graph gets fewer parts rather than smaller ones."""
QUICK_MESSAGES = 1 << 20
"""METIS divides a graph of so many messages in about a second; of a larger one the halo of random parts is told."""
LARGE_HALO = 3.0
"""Nodes outside a part per node inside: most of what a step reads is from the histories."""
ROWS, FEATURE_ROWS, MESSAGE_ROWS = 4, 3, 3
"""Kept of each layer in a step: activations with their gradients, features, and rows per message of models that make these."""
BYTES_PER_MESSAGE = 24
"""Of the adjacency and its transpose."""
LIBRARIES = 512 << 20
SHARE = 0.5
"""Of the memory that a step may take; the rest is for what the estimate does not know."""


@dataclass(frozen=True)
class Halo:
    """Of `parts` parts. `quality` is measured, where METIS has divided the graph; else the ratio is that of random parts."""

    parts: int
    ratio: float
    quality: Quality | None


def outlook(graph: Graph, model: ModelConfig) -> list[tuple[str, str]]:
    """The last lines of `gas-data check`: halo and method."""
    halo = halo_of(graph.adj)
    return [*([] if halo is None else [("halo", _told(halo))]), ("method", fitting_method(full_batch_bytes(graph, model), *memory(), halo))]


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


def full_batch_bytes(graph: Graph, model: ModelConfig) -> int:
    """About what a training step on the whole graph takes, from sizes only."""
    built = build_model(model, graph.num_features, max(graph.num_classes, 1), 0, graph.edge_dim)
    features = graph.x.nbytes if isinstance(graph.x, CSR) else 4 * graph.x.numel()
    width = sum(built.widths[1:]) + max(graph.num_classes, 1)
    messages = graph.num_edges + graph.num_nodes
    rows = 4 * (ROWS * graph.num_nodes + (MESSAGE_ROWS * messages if _keeps_messages(model) else 0)) * width
    return LIBRARIES + FEATURE_ROWS * features + rows + messages * (BYTES_PER_MESSAGE + 8 * graph.edge_dim)


def _keeps_messages(model: ModelConfig) -> bool:
    """Whether a step has a row per message; attention of the first version is compiled."""
    if isinstance(model, GATConfig):
        return model.version != 1
    return isinstance(model, (ConvConfig, CustomConfig, PNAConfig))


def memory() -> tuple[int, str]:
    """Bytes of the device that would train, and what it is called."""
    if torch.cuda.is_available():
        return int(torch.cuda.get_device_properties(0).total_memory), "the GPU's memory"
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), "memory"
    except (AttributeError, ValueError, OSError):  # no sysconf, or not of this: Windows
        return 8 << 30, "memory (assumed)"


def fitting_method(needed: int, available: int, device: str, halo: Halo | None) -> str:
    """One line: the method, and why."""
    takes = f"training on the whole graph takes about {shown_size(needed)} of {shown_size(available)} of {device}"
    if needed <= SHARE * available:
        return f"full_batch: {takes}, and is exact"
    if halo is None:
        return f"full_batch: {takes}; the graph is too small for parts, so use fewer channels or layers"
    large = "; with such a halo use large steps (trainer.batch_parts)" if halo.ratio > LARGE_HALO else ""
    dropped = "the edges between parts" if halo.quality is None else f"{100 * halo.quality.edge_cut:.1f} % of the edges"
    return f"gas: {takes}, steps of parts take less{large}; cluster_gcn is a baseline that drops {dropped}"
