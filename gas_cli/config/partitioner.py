"""Settings of the `partitioner` group."""

from __future__ import annotations

from dataclasses import dataclass

from gas_cli.config.checks import MAX_COUNT, require, require_name, require_whole
from gas_cli.config.setting import setting
from gas_cli.config.sizes import parse_size

METHODS = ("metis", "random", "range", "file")
ORDERS = ("bfs", "ids")


@dataclass
class PartitionerConfig:
    """How the nodes are divided into parts, and where the outcome is kept."""

    name: str = setting("metis", "How nodes are divided; decided by the file chosen for the group.", METHODS)
    num_parts: int = setting(40, "Parts P to ask for; parts that come out empty are dropped with a notice.")
    seed: int = setting(0, "Seed of METIS and of `random`.")
    recursive: bool = setting(False, "METIS' recursive bisection instead of its k-way scheme.")
    file: str = setting("", "For `partitioner=file`: an .npy or text file with one part id per node.")
    order: str = setting(
        "bfs",
        "Order of the nodes within a part, also in the one part of full batch: breadth first, so that neighbours are close "
        "together in memory, or by their ids.",
        ORDERS,
    )
    cache: str = setting(
        "~/.cache/gas-cli",
        "Folder of prepared graphs and partitions, which later starts map instead of making them "
        "([how](architecture.md#the-prepared-graph)); empty turns it off.",
    )
    cache_limit: str = setting(
        "50GiB",
        "Size beyond which the entries that were not used for longest are removed after one is written, never those of the run "
        "that writes; empty for none ([why this one](decisions.md#the-cache-has-a-limit)). `gas-data clean` removes them by "
        "hand.",
    )

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
