"""The features that a run reads: those of the graph as it was loaded, or made ones."""

from __future__ import annotations

from gas_cli.config.dataset import DatasetConfig
from gas_cli.graph.made_features import with_features
from gas_cli.prepared.graph_layer import Source


def featured(source: Source, config: DatasetConfig) -> Source:
    """The source with the features of `config.features`, and their fingerprints. Raises `UserError` where it has none.

    Made features follow from nodes and edges, which have fingerprints of their own: that of the features names how they were made.
    """
    graph = with_features(source.graph, config)
    return source if config.features is None else source.with_features(graph, f"made: {config.features}")
