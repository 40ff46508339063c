"""Neighbour sampling (Hamilton et al., NeurIPS 2017) from outside the package: blocks whose targets grow towards the first layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gas_cli.batch.batch import Batch, Block, Rows
from gas_cli.batch.loader import BatchLoader, Builder
from gas_cli.config.checks import MAX_COUNT, require_whole
from gas_cli.config.method import MethodConfig
from gas_cli.method.method import Alone, Link, Method, Phase, Through, itself, untimed
from gas_cli.ops.csr import CSR
from gas_cli.prepared.problem import Problem


@dataclass
class SampledConfig(MethodConfig):
    """`fan_out` neighbours of each node and layer; 0: all of them."""

    implementation: ClassVar[str] = "tests.method.sampled:Sampled"
    name: str = "sampled"
    fan_out: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_whole("method.fan_out", self.fan_out, 0, MAX_COUNT)


class Sampled(Method):
    """No histories: what the last layer's targets need is computed, layer below layer."""

    reads_sums = False

    def loader(self, whole: BatchLoader) -> BatchLoader:
        return BatchLoader(SampledBuilder(self), 0)

    def link(self, phase: Phase = untimed, through: Through = itself) -> Link:
        return Computed()


class Computed(Alone):
    """The halo's rows are outputs of the layer before: those behind the rows of the next block's targets."""

    def begin(self, batch: Batch, upcoming: Batch | None) -> None:
        self.blocks = batch.blocks

    def between(self, layer: int, h: Tensor) -> Rows:
        count = self.blocks[layer].num_targets
        return Rows(h[:count], h[count:])


class SampledBuilder(Builder):
    """The last block's targets are the nodes of some parts; those of each block below are the nodes that the block above reads."""

    def __init__(self, method: Sampled) -> None:
        self.problem: Problem = method.problem
        self.train, self.num_layers = method.split.train, method.model.num_layers
        self.fan_out: int = method.config.fan_out  # type: ignore[attr-defined]
        self.generator = torch.Generator().manual_seed(0)

    @property
    def num_parts(self) -> int:
        return self.problem.partition.num_parts

    def build(self, parts: list[int], inputs: bool = True) -> Batch:
        ptr = self.problem.partition.part_ptr
        seeds = torch.cat([torch.arange(int(ptr[part]), int(ptr[part + 1])) for part in sorted(parts)])
        blocks: list[Block] = []
        targets = seeds
        for _ in range(self.num_layers):
            blocks.insert(0, self._block(targets))
            targets = torch.cat([targets, blocks[0].halo])
        first, x = blocks[0], self.problem.graph.x
        rows = Rows(x[targets[: first.num_targets]], x[first.halo])  # type: ignore[index]
        train_rows = self.train[seeds].nonzero().flatten()
        return Batch(tuple(sorted(parts)), (), tuple(blocks), rows, self.problem.graph.y[seeds], train_rows)

    def _block(self, targets: Tensor) -> Block:
        matrix, ids = self.problem.adj, self.problem.partition.node_perm
        place = {int(node): k for k, node in enumerate(targets)}
        entries: tuple[list[tuple[int, int, float]], list[tuple[int, int, float]]] = ([], [])
        halo: dict[int, int] = {}
        for row, node in enumerate(targets.tolist()):
            start, stop = int(matrix.rowptr[node]), int(matrix.rowptr[node + 1])
            chosen = torch.arange(start, stop)
            scale = 1.0
            if 0 < self.fan_out < stop - start:
                chosen = chosen[torch.randperm(stop - start, generator=self.generator)[: self.fan_out].sort().values]
                scale = (stop - start) / self.fan_out
            for entry in chosen.tolist():
                source, value = int(matrix.col[entry]), scale * float(matrix.value[entry])
                if source in place:
                    entries[0].append((row, place[source], value))
                else:
                    entries[1].append((row, halo.setdefault(source, len(halo)), value))
        positions = torch.tensor(list(halo), dtype=torch.int64)
        inner, outer = (_matrix(found, targets.numel(), width) for found, width in zip(entries, (targets.numel(), len(halo)), strict=True))
        return Block(inner, outer, ids[targets], ids[positions], positions)


def _matrix(entries: list[tuple[int, int, float]], num_rows: int, num_cols: int) -> CSR:
    if not entries:
        return CSR.empty(num_rows, num_cols, torch.device("cpu"))
    rows, columns, values = (torch.tensor(column) for column in zip(*sorted(entries), strict=True))
    rowptr = torch.cat([torch.zeros(1, dtype=torch.int64), torch.bincount(rows, minlength=num_rows).cumsum(0)])
    return CSR(rowptr, columns.int(), values.float(), num_cols)
