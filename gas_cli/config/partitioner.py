"""Settings of the `partitioner` group."""

from __future__ import annotations

from dataclasses import dataclass

from gas_cli.config.checks import MAX_COUNT, require, require_name, require_whole
from gas_cli.config.sizes import parse_size

METHODS = ("metis", "random", "range", "file")
ORDERS = ("bfs", "ids")


@dataclass
class PartitionerConfig:
    """How the nodes are divided into `num_parts` clusters.

    `file` (for `partitioner=file`) names an .npy or .txt file with one part id per node. `recursive` selects METIS'
    recursive bisection instead of its k-way scheme. `order` is that of the nodes within a part (also in the one part of full batch): `bfs`
    (breadth first, so that neighbours are close together in memory) or `ids`; results are the same up to round-off. `cache` is the folder
    of prepared graphs and finished partitions, which later starts map instead of making them; empty turns it off. `cache_limit` is the size
    beyond which those that were not used for longest are removed from it; empty for none.
    """

    name: str = "metis"
    num_parts: int = 40
    seed: int = 0
    recursive: bool = False
    file: str = ""
    order: str = "bfs"
    cache: str = "~/.cache/gas-cli"
    cache_limit: str = "50GiB"

    def __post_init__(self) -> None:
        require_name("partitioner.name", self.name)
        require(self.name in METHODS, "partitioner", self.name, "one of " + ", ".join(METHODS))
        require_whole("partitioner.num_parts", self.num_parts, 1, MAX_COUNT)
        require_whole("partitioner.seed", self.seed, 0, MAX_COUNT)  # METIS takes 32 bits
        require(self.order in ORDERS, "partitioner.order", self.order, "one of " + ", ".join(ORDERS))
        require(
            not self.cache_limit or parse_size(self.cache_limit) is not None,
            "partitioner.cache_limit",
            repr(self.cache_limit),
            "a size such as 50GiB, or '' for none",
        )
        require(self.name != "file" or bool(self.file), "partitioner.file", repr(self.file), "a path to an .npy or .txt file of part ids")

    @property
    def cache_bytes(self) -> int | None:
        """`cache_limit` in bytes; None without a limit."""
        return parse_size(self.cache_limit)
