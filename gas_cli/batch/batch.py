"""What one step reads: a bipartite block and the rows of features and labels that belong to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from gas_cli.graph.graph import Features
from gas_cli.ops.csr import CSR
from gas_cli.ops.csr_tensors import row_ids


@dataclass(frozen=True)
class Block:
    """The messages that B in-batch nodes receive from themselves and from their H halo nodes.

    inner       CSR [B, B]   in-batch sources
    outer       CSR [B, H]   halo sources (out-of-batch 1-hop neighbours); inner and outer together hold every edge of the targets
    target_ids  int64 [B]    node ids as in the dataset: the key of dropout masks, the same in every partition
    halo_ids    int64 [H]
    edge_attr   float32 [E_b, D] in the order of `edge_source`, or None where the edges have no attributes (or the model reads none)

    Example: nodes 0-1 form part 0, nodes 2-3 part 1, the path 0-1-2-3. The block of part 0 has inner = [[0,1],[1,0]],
    halo = (2,) and outer = [[0],[1]].
    """

    inner: CSR
    outer: CSR
    target_ids: Tensor
    halo_ids: Tensor
    edge_attr: Tensor | None = None

    @property
    def num_targets(self) -> int:
        return self.inner.num_rows

    @property
    def num_halo(self) -> int:
        return self.outer.num_cols

    @property
    def num_edges(self) -> int:
        return self.inner.nnz + self.outer.nnz

    def messages_to(self, targets: Tensor) -> Block:
        """The block with the messages of the `targets` int64 [k] (ascending) alone: as many targets, but the others receive nothing."""
        assert self.edge_attr is None, "edge attributes would have to follow"
        return replace(self, inner=self.inner.only_rows(targets), outer=self.outer.only_rows(targets))

    @property
    def nbytes(self) -> int:
        """Bytes of the two matrices and of the edge attributes."""
        attributes = 0 if self.edge_attr is None else self.edge_attr.numel() * self.edge_attr.element_size()
        return self.inner.nbytes + self.outer.nbytes + attributes

    @cached_property
    def edge_source(self) -> Tensor:
        """int64 [E_b]: the source of each edge, counting targets first and then halo nodes, as PyG's bipartite graphs do."""
        return torch.cat([self.inner.col.long(), self.outer.col.long() + self.num_targets])

    @cached_property
    def edge_target(self) -> Tensor:
        """int64 [E_b]: the target of each edge, in the order of `edge_source`."""
        return torch.cat([row_ids(a.rowptr, a.nnz) for a in (self.inner, self.outer)])

    @cached_property
    def edge_weight(self) -> Tensor:
        """float32 [E_b], in the order of `edge_source`."""
        return torch.cat([self.inner.value, self.outer.value])

    @cached_property
    def edge_ids(self) -> Tensor:
        """int64 [E_b]: a 32-bit key of each edge from the node ids of its ends, the same in every partition: for masks on edges."""
        source = torch.cat([self.target_ids, self.halo_ids])[self.edge_source]
        return (self.target_ids[self.edge_target] * 0x9E3779B1 + source * 0x85EBCA77) & 0xFFFFFFFF

    def to(self, device: torch.device) -> Block:
        return Block(
            self.inner.to(device, non_blocking=True),
            self.outer.to(device, non_blocking=True),
            self.target_ids.to(device, non_blocking=True),
            self.halo_ids.to(device, non_blocking=True),
            None if self.edge_attr is None else self.edge_attr.to(device, non_blocking=True),
        )

    def pin_memory(self) -> Block:
        return Block(
            self.inner.pin_memory(),
            self.outer.pin_memory(),
            self.target_ids.pin_memory(),
            self.halo_ids.pin_memory(),
            None if self.edge_attr is None else self.edge_attr.pin_memory(),
        )


def tensors(value: Any) -> Iterator[Tensor]:
    """Every tensor in a batch, its blocks and their matrices."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple):
        for each in value:
            yield from tensors(each)
    elif isinstance(value, Batch | Block | CSR):
        for each in vars(value).values():  # fields, and what was computed from them and kept
            yield from tensors(each)


def _own_bytes(x: Features) -> int:
    if isinstance(x, CSR):
        return x.nbytes
    return 0 if x._base is not None else x.numel() * x.element_size()


@dataclass(frozen=True)
class Batch:
    """One step's input; positions count the permuted graph's nodes, in which parts are contiguous.

    parts       the part ids, ascending
    ranges      the targets as half-open ranges of positions, ascending; adjacent parts are merged
    halo        int64 [H] positions of the halo nodes, ascending
    block       the messages
    x_target    features [B, F] of the targets, dense or CSR; x_halo [H, F]
    loss_block  the messages of the training targets alone, where these are few: the last layer of a training step needs no others
    x_summed    [B, F] A x of the targets, where it was computed once for all nodes; x_halo then has no rows, nor has x_target where the
                model reads nothing but the sums
    y           labels of the targets
    train_rows  int64 [num_train] the targets that train, ascending
    ready       where another stream than the computing one makes the tensors: its mark that they are made
    """

    parts: tuple[int, ...]
    ranges: tuple[tuple[int, int], ...]
    halo: Tensor
    block: Block
    x_target: Features
    x_halo: Features
    y: Tensor
    train_rows: Tensor
    x_summed: Tensor | None = None
    loss_block: Block | None = None
    ready: Any = None

    @property
    def num_train(self) -> int:
        """How many targets train."""
        return self.train_rows.numel()

    @property
    def nbytes(self) -> int:
        """Bytes of the block and of the features, which count nothing where they are a view of the graph's."""
        features = sum(_own_bytes(x) for x in (self.x_target, self.x_halo, self.x_summed) if x is not None)
        return features + sum(block.nbytes for block in (self.block, self.loss_block) if block is not None)

    def to(self, device: torch.device) -> Batch:
        """The batch on `device`; itself where it already is there."""
        if self.halo.device == device:
            return self
        return replace(
            self,
            halo=self.halo.to(device, non_blocking=True),
            block=self.block.to(device),
            x_target=self.x_target.to(device, non_blocking=True),
            x_halo=self.x_halo.to(device, non_blocking=True),
            y=self.y.to(device, non_blocking=True),
            train_rows=self.train_rows.to(device, non_blocking=True),
            x_summed=None if self.x_summed is None else self.x_summed.to(device, non_blocking=True),
            loss_block=None if self.loss_block is None else self.loss_block.to(device),
        )

    def pin_memory(self) -> Batch:
        """A copy in page-locked memory, made on the building thread so that the transfer to a GPU runs asynchronously."""
        return replace(
            self,
            halo=self.halo.pin_memory(),
            block=self.block.pin_memory(),
            x_target=self.x_target.pin_memory(),
            x_halo=self.x_halo.pin_memory(),
            y=self.y.pin_memory(),
            train_rows=self.train_rows.pin_memory(),
            x_summed=None if self.x_summed is None else self.x_summed.pin_memory(),
            loss_block=None if self.loss_block is None else self.loss_block.pin_memory(),
        )
