"""Settings of the `partitioner` group."""

from __future__ import annotations

from dataclasses import dataclass

from gas_cli.config.checks import MAX_COUNT, require, require_name, require_whole

METHODS = ("metis", "random", "range", "file")
ORDERS = ("bfs", "ids")


@dataclass
class PartitionerConfig:
    """How the nodes are divided into `num_parts` clusters.

    `file` (for `partitioner=file`) names an .npy or .txt file with one part id per node. `recursive` selects METIS'
    recursive bisection instead of its k-way scheme. `order` is that of the nodes within a part (also in the one part of full batch): `bfs`
    (breadth first, so that neighbours are close together in memory) or `ids`; results are the same up to round-off. `cache` is the folder
    of prepared graphs and finished partitions, which later starts map instead of making them; empty turns it off.
    """

    name: str = "metis"
    num_parts: int = 40
    seed: int = 0
    recursive: bool = False
    file: str = ""
    order: str = "bfs"
    cache: str = "~/.cache/gas-cli"

    def __post_init__(self) -> None:
        require_name("partitioner.name", self.name)
        require(self.name in METHODS, "partitioner", self.name, "one of " + ", ".join(METHODS))
        require_whole("partitioner.num_parts", self.num_parts, 1, MAX_COUNT)
        require_whole("partitioner.seed", self.seed, 0, MAX_COUNT)  # METIS takes 32 bits
        require(self.order in ORDERS, "partitioner.order", self.order, "one of " + ", ".join(ORDERS))
        require(self.name != "file" or bool(self.file), "partitioner.file", repr(self.file), "a path to an .npy or .txt file of part ids")
