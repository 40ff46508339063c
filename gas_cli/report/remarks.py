"""What a user should know of a graph before it is trained on: `gas-train` and `gas-data check` say it in the same words."""

from __future__ import annotations

from gas_cli.config.dataset import DatasetConfig, FolderConfig
from gas_cli.config.model import ModelConfig
from gas_cli.graph.describe import notes
from gas_cli.graph.graph import Graph
from gas_cli.graph.normalize import check_weights
from gas_cli.model.unread import unread

MOST_HALO = 3.0
"""Nodes of the halo per node of a part. The graphs of the published pairs have less; where there is more, most of what a step reads is
stale (docs/own-graph.md)."""


def remarks(graph: Graph, dataset: DatasetConfig, model: ModelConfig) -> list[str]:
    """One line for each thing that is allowed but seldom meant, in a user's graph, and for what the model does not read of the edges.

    What the files were taken for was logged while they were read. Raises `UserError` for weights that the model's normalisation cannot
    take.
    """
    check_weights(graph.adj, model.normalization, dataset.path if isinstance(dataset, FolderConfig) else graph.name)
    own = notes(graph) if isinstance(dataset, FolderConfig) else []
    return [*own, *unread(graph, model)]


def halo_remark(parts: int, batch_parts: int | str, halo_ratio: float) -> str:
    """What to type where steps of `batch_parts` of `parts` parts read a large halo; empty where all is well."""
    if halo_ratio <= MOST_HALO or (isinstance(batch_parts, int) and batch_parts >= parts):  # a step has them all
        return ""
    return (
        f"The halo is large: {halo_ratio:.1f} nodes outside a part per node inside, and what a step knows of them is stale, which may cost "
        "accuracy. Use partitioner.num_parts=auto (one part if the graph fits into memory) or method=full_batch; otherwise fewer "
        "partitioner.num_parts, or larger trainer.batch_parts."
    )
