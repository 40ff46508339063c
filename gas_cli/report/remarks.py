"""What a user should know of a graph before it is trained on: `gas-train` and `gas-data check` say it in the same words."""

from __future__ import annotations

from gas_cli.config.dataset import DatasetConfig, FolderConfig
from gas_cli.config.model import ModelConfig
from gas_cli.graph.describe import notes
from gas_cli.graph.graph import Graph
from gas_cli.graph.normalize import check_weights
from gas_cli.model.unread import unread


def remarks(graph: Graph, dataset: DatasetConfig, model: ModelConfig) -> list[str]:
    """One line for each thing that is allowed but seldom meant, in a user's graph, and for what the model does not read of the edges.

    What the files were taken for was logged while they were read. Raises `UserError` for weights that the model's normalisation cannot
    take.
    """
    check_weights(graph.adj, model.normalization, dataset.path if isinstance(dataset, FolderConfig) else graph.name)
    own = notes(graph) if isinstance(dataset, FolderConfig) else []
    return [*own, *unread(graph, model)]
