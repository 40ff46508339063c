"""What all runs of one configuration share: the permuted graph, its adjacency for the model, and the partition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

from torch import Tensor

from gas_cli.graph.graph import Graph
from gas_cli.ops.csr import CSR
from gas_cli.ops.spmm import row_sums
from gas_cli.partition.groups import epoch_groups
from gas_cli.partition.partition import Partition
from gas_cli.partition.permute import fits_memory, order_features

Keep = Callable[[Callable[[], Tensor]], Tensor]
"""Gives what an earlier start has kept, or what the argument makes."""


def made(make: Callable[[], Tensor]) -> Tensor:
    """Nothing is kept."""
    return make()


@dataclass(frozen=True)
class Preparation:
    """Peak resident bytes: by stage, `start` being those before the first one, and of the processes that were started."""

    stages: dict[str, int] = field(default_factory=dict)
    processes: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Problem:
    """A graph in the node order of a partition.

    graph         permuted: part p is the range part_ptr[p]:part_ptr[p+1]
    adj           the permuted adjacency, normalised for the model
    fingerprints  of the graph as it was loaded, by what they cover, and of the partition: checkpoints belong to them
    memory        what making it took
    x_summed      whether graph.x is A x, for models that read nothing else (`summed`)
    keep_sums     where A x is kept for later starts
    parts         how many were decided or set, and how many of them a step takes (`Config.with_parts`)
    """

    graph: Graph
    adj: CSR
    partition: Partition
    fingerprints: dict[str, str]
    memory: Preparation = field(default_factory=Preparation)
    x_summed: bool = False
    keep_sums: Keep = made
    parts: tuple[int, int] = (1, 1)

    @property
    def multilabel(self) -> bool:
        return self.graph.y.dim() == 2 and not self.graph.regression

    @property
    def num_seen(self) -> int:
        """Nodes that training sees; they come first. All of them, or the training nodes of an inductive graph."""
        return int(self.graph.splits[0].train.sum()) if self.graph.inductive else self.graph.num_nodes

    @property
    def seen_adj(self) -> CSR:
        """The rows of `adj` that training sees; an inductive graph has no edges from the others into them."""
        return self.adj.row_ranges([(0, self.num_seen)])

    @cached_property
    def feature_sums(self) -> Tensor | None:
        """A x [N, F] of dense features in memory; None where they are sparse (their sums would not be) or stay on the disk."""
        x = self.graph.x
        if self.x_summed:
            assert isinstance(x, Tensor)
            return x
        if isinstance(x, CSR) or (self.graph.x_row is not None and not fits_memory(x)):
            return None
        return self.keep_sums(self._sum_features)

    def _sum_features(self) -> Tensor:
        x = order_features(self.graph).x
        assert isinstance(x, Tensor)
        return row_sums([(self.adj, x)])

    def summed(self) -> Problem:
        """The same with A x in the place of x, where there is A x: for a model that reads nothing else."""
        sums = self.feature_sums
        return self if sums is None else replace(self, graph=replace(self.graph, x=sums, x_row=None), x_summed=True)

    @property
    def nbytes(self) -> dict[str, int]:
        """Bytes of the data that training reads, by kind; features may be mapped from a file."""
        x = self.graph.x
        features = x.nbytes if isinstance(x, CSR) else x.numel() * x.element_size()
        return {"graph": self.adj.nbytes, "features": features}

    @property
    def train_parts(self) -> int:
        """Parts that training visits; they come first. No part mixes seen and unseen nodes."""
        return int((self.partition.part_ptr < self.num_seen).sum())

    @property
    def seen_ptr(self) -> Tensor:
        """int64 [train_parts + 1]: where the parts that training visits begin and end."""
        return self.partition.part_ptr[: self.train_parts + 1]

    def evaluation_groups(self, batch_parts: int) -> list[list[int]]:
        """Every part once, in batches that mix seen and unseen parts no more than training does."""
        seen, num_parts = self.train_parts, self.partition.num_parts
        unseen = epoch_groups(num_parts - seen, batch_parts, shuffle=False, seed=0, epoch=0)
        return epoch_groups(seen, batch_parts, shuffle=False, seed=0, epoch=0) + [[seen + part for part in group] for group in unseen]
