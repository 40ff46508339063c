"""Settings of the `partitioner` group."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gas_cli.config.checks import AUTO, MAX_COUNT, count_or_auto, decided, require, require_name, require_whole
from gas_cli.config.setting import setting
from gas_cli.config.sizes import parse_size

METHODS = ("metis", "random", "range", "file")


@dataclass
class PartitionerConfig:
    """How the nodes are divided into parts, and where the outcome is kept."""

    name: str = setting("metis", "How nodes are divided; decided by the file chosen for the group.", METHODS)
    num_parts: int | str = setting(
        AUTO,
        "Parts P that the graph is divided into; those that come out empty are dropped with a notice. `auto`: one if a step on the whole "
        "graph fits into half of the memory, else as many as fit ([how](own-graph.md#when-gas-is-the-right-method)). The run's config.yaml "
        "has the number.",
    )
    seed: int = setting(0, "Seed of METIS and of `random`.")
    file: str = setting("", "For `partitioner=file`: an .npy or text file with one part id per node.")
    cache: str | None = setting(
        "~/.cache/gas-cli",
        "Folder of prepared graphs and partitions for later starts; `null` keeps nothing ([how](architecture.md#the-prepared-graph)).",
    )
    cache_limit: str | None = setting(
        "50GiB",
        "Size beyond which the entries that were not used for longest are removed after one is written, never those of the run "
        "that writes; `null` for no limit ([why this one](decisions.md#the-cache-has-a-limit)). `gas-data clean` removes them by "
        "hand.",
    )

    def __post_init__(self) -> None:
        require_name("partitioner.name", self.name)
        require(self.name in METHODS, "partitioner", self.name, "one of " + ", ".join(METHODS))
        self.num_parts = count_or_auto("partitioner.num_parts", self.num_parts)
        require_whole("partitioner.seed", self.seed, 0, MAX_COUNT)  # METIS takes 32 bits
        require(self.cache != "", "partitioner.cache", "''", "a folder, or null to keep nothing")
        require(
            self.cache_limit is None or parse_size(self.cache_limit) is not None,
            "partitioner.cache_limit",
            repr(self.cache_limit),
            "a size such as 50GiB, or null for no limit",
        )
        require(self.name != "file" or bool(self.file), "partitioner.file", repr(self.file), "a path to an .npy or .txt file of part ids")

    def fitted(self, num_nodes: int) -> PartitionerConfig:
        """The same for a graph of so many nodes, once that is known."""
        return self

    @property
    def parts(self) -> int:
        """`num_parts`, which is decided."""
        return decided("partitioner.num_parts", self.num_parts)

    @property
    def cache_bytes(self) -> int | None:
        """`cache_limit` in bytes; None without a limit."""
        return None if self.cache_limit is None else parse_size(self.cache_limit)


@dataclass
class PartsOfSize(PartitionerConfig):
    """For a graph of another size than the one that the settings were made for, which had `nodes` nodes: parts are as large as there."""

    nodes: int = 1

    def fitted(self, num_nodes: int) -> PartitionerConfig:
        return replace(self, num_parts=min(max(1, round(self.parts * num_nodes / self.nodes)), num_nodes))
