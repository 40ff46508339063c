"""What a graph's edges carry that a model does not read, in the sentences that every command prints."""

from __future__ import annotations

from gas_cli.config.model import ModelConfig
from gas_cli.graph.graph import Graph
from gas_cli.model.registry import model_class


def unread(graph: Graph, config: ModelConfig) -> list[str]:
    """One line each for edge attributes and for edge weights that play no part in the model of `config`."""
    model = model_class(config)
    lines = []
    if graph.edge_dim and not model.takes_edge_attr(config):
        lines.append(f"model={config.name} does not read the {graph.edge_dim} attribute(s) of each edge.")
    if graph.adj.weighted and not model.takes_edge_weight(config):
        lines.append(f"model={config.name} does not read the weights of the edges; gcn, sage, gin, gcnii and appnp do.")
    return lines
