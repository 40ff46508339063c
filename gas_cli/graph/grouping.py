"""The column of a node table that a split is made by: which nodes have the same value, and in which order the values are."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from gas_cli.graph.node_ids import NodeIds


@dataclass(frozen=True, eq=False)
class Grouping:
    """One value per node.

    column   its name
    ordered  whether values are numbers or dates; texts only name groups
    code     int64 [N]: the position of a node's value among the distinct ones in ascending order, -1 where it has none
    values   the distinct values, as text
    """

    column: str
    ordered: bool
    code: Tensor
    values: NodeIds
