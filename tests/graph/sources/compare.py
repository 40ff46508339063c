"""What the tests of sources compare with other loaders."""

from __future__ import annotations

import torch

from gas_cli.graph.graph import Graph


def edges_of(graph: Graph) -> set[tuple[int, int]]:
    """(source, target) of every edge."""
    target = torch.repeat_interleave(torch.arange(graph.num_nodes), graph.adj.rowptr.diff())
    return set(zip(graph.adj.col.tolist(), target.tolist(), strict=True))
