"""What one step reads: a block of messages for each layer, and the rows of features and labels that belong to them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import Tensor

from gas_cli.graph.graph import Features
from gas_cli.ops.csr import CSR
from gas_cli.ops.csr_tensors import row_ids
from gas_cli.ops.feedback import Feedback


@dataclass(frozen=True)
class Block:
    """The messages of one layer: what its B targets receive from one another and from the H nodes of their halo.

    inner       CSR [B, B]   sources among the targets
    outer       CSR [B, H]   sources in the halo
    target_ids  int64 [B]    node ids as in the dataset: the key of dropout masks, the same in every partition
    halo_ids    int64 [H]
    halo        int64 [H]    positions of the halo in the permuted graph, ascending
    edge_attr   float32 [E_b, D] in the order of `edge_source`, or None where the edges have no attributes (or the model reads none)

    Example: nodes 0-1 form part 0, nodes 2-3 part 1, the path 0-1-2-3. The block of part 0 has inner = [[0,1],[1,0]],
    halo = (2,) and outer = [[0],[1]].
    """

    inner: CSR
    outer: CSR
    target_ids: Tensor
    halo_ids: Tensor
    halo: Tensor
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

    def without_messages(self) -> Block:
        """The block in which the targets receive nothing, and have no halo."""
        inner, outer = (CSR.empty(self.num_targets, columns, self.inner.device) for columns in (self.num_targets, 0))
        return Block(inner, outer, self.target_ids, self.halo_ids[:0], self.halo[:0])

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


@dataclass(frozen=True)
class Readers:
    """The nodes outside of a batch that receive messages of its targets.

    positions   int64 [R], in the permuted graph, ascending
    weights     CSR [B, R]: of the message from each target to each reader
    """

    positions: Tensor
    weights: CSR


@dataclass(frozen=True)
class Control:
    """What histories say of the messages to the T targets of a block with H halo nodes that the block does not have.

    nodes     int64 [T + H]: positions of the block's targets and halo, whose rows the step computes
    sources   int64 [K]: positions of those whose histories are read, ascending
    weights   CSR [T, K]: P − P̂, the weights of all messages less those of the drawn ones
    drawn     the block with the weights P̂ of the sample, where that of the batch has others for rows with dropout
    """

    nodes: Tensor
    sources: Tensor
    weights: CSR
    drawn: Block | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of the matrices."""
        return self.weights.nbytes + (0 if self.drawn is None else self.drawn.nbytes)


@dataclass(frozen=True)
class HaloTargets:
    """The H nodes of a batch's halo as targets themselves, of messages that come from within the batch and its halo.

    block       `inner` [H, H]: from one another, or nothing; `outer` [H, B]: from the batch's targets
    y           labels [H]
    train_rows  int64: those of them that train, ascending
    share       float32 [H]: how much of each node's messages is in `block`, by their number
    """

    block: Block
    y: Tensor
    train_rows: Tensor
    share: Tensor


@dataclass(frozen=True)
class Rows:
    """The inputs of one layer: `target` [B, C] and `halo` [H, C], either both dense or (raw features only) both CSR.

    `known` [B, C] is a constant that `propagate` adds to the sum of the messages: what is known of it without them. With `feedback`, the
    gradient by `target` also has what the sums of nodes outside of the batch give to it; only `propagate` knows how. `mixed` makes of the
    sum [B, C] the one with which the layer goes on, once per pass.
    """

    target: Features
    halo: Features
    known: Tensor | None = None
    feedback: Feedback | None = None
    mixed: Callable[[Tensor], Tensor] | None = None


@dataclass(frozen=True)
class Reading:
    """What a model reads of a batch; builders leave out the rest.

    messages   whether layer 0 reads its sources one by one. If not, it reads the weighted sum of their raw features, through `propagate`
               alone and with nothing random before it: A x, which is the same in every step
    own        whether layer 0 reads the targets' own raw features
    others     whether a target's scores depend on the messages of other targets in the last layer (batch norm there, say)
    """

    messages: bool = True
    own: bool = True
    others: bool = True


@dataclass(frozen=True)
class Batch:
    """One step's input; positions count the permuted graph's nodes, in which parts are contiguous.

    parts       the part ids, ascending
    ranges      the targets as half-open ranges of positions, ascending; adjacent parts are merged
    blocks      the messages of layers 0..L-1. The targets of a block are the first of the targets of the block before it; in GAS they are
                the same nodes in every layer
    x           raw features of the first block's targets [B, F] and halo [H, F]. Where layer 0 reads A x alone, that is `x.known`, the
                first block has no messages, and features that nobody reads have no rows
    y           labels of the last block's targets
    train_rows  int64 [num_train] those of them that train, ascending
    readers     who reads the targets from outside of the batch, where a method asks for them
    controls    by layer, where a method samples: what histories say of the messages that were not drawn; None for a layer without any
    halo        what the halo receives, where a method asks for it
    ready       where another stream than the computing one makes the tensors: its mark that they are made
    """

    parts: tuple[int, ...]
    ranges: tuple[tuple[int, int], ...]
    blocks: tuple[Block, ...]
    x: Rows
    y: Tensor
    train_rows: Tensor
    readers: Readers | None = None
    controls: tuple[Control | None, ...] | None = None
    halo: HaloTargets | None = None
    ready: Any = None

    @property
    def num_train(self) -> int:
        """How many targets train."""
        return self.train_rows.numel()

    @property
    def nbytes(self) -> int:
        """Bytes of the blocks and of the features, which count nothing where they are a view of the graph's."""
        features = sum(_own_bytes(x) for x in (self.x.target, self.x.halo, self.x.known) if x is not None)
        features += sum(control.nbytes for control in self.controls or () if control is not None)
        return features + sum({id(block): block.nbytes for block in self.blocks}.values()) + self.added_nbytes

    @property
    def added_nbytes(self) -> int:
        """Bytes of what a method asked for: the readers' weights, which count nothing where they are a block's, and the halo's block."""
        shared = self.readers is None or any(self.readers.weights is block.outer for block in self.blocks)
        halo = 0 if self.halo is None else self.halo.block.nbytes
        return halo + (0 if self.readers is None or shared else self.readers.weights.nbytes)

    def last_block(self, block: Block) -> Batch:
        """The batch with another block in its last layer."""
        return replace(self, blocks=(*self.blocks[:-1], block))

    def to(self, device: torch.device) -> Batch:
        """The batch on `device`; itself where it already is there."""
        if self.y.device == device:
            return self
        return _map(self, lambda x: x.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """A copy in page-locked memory, made on the building thread so that the transfer to a GPU runs asynchronously."""
        return _map(self, lambda x: x if x.is_pinned() else x.pin_memory())


T = TypeVar("T")


def _map(value: T, change: Callable[[Any], Any], done: dict[int, Any] | None = None) -> T:
    """`value` with every tensor and matrix inside changed; what occurs several times stays one, and what nothing changes itself."""
    done = {} if done is None else done
    if id(value) in done:
        return done[id(value)]  # type: ignore[no-any-return]
    result: Any = value
    if isinstance(value, Tensor | CSR):
        result = change(value)
    elif isinstance(value, tuple):
        items = tuple(_map(item, change, done) for item in value)
        result = value if all(map(operator.is_, items, value)) else items
    elif isinstance(value, Batch | Block | Control | HaloTargets | Readers | Rows):
        parts = {item.name: _map(getattr(value, item.name), change, done) for item in fields(value)}
        result = value if all(part is getattr(value, name) for name, part in parts.items()) else type(value)(**parts)
    done[id(value)] = result
    return result  # type: ignore[no-any-return]


def tensors(value: Any) -> Iterator[Tensor]:
    """Every tensor in a batch, its blocks and their matrices, once."""
    seen: set[int] = set()
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if id(found) in seen:
            continue
        seen.add(id(found))
        if isinstance(found, Tensor):
            yield found
        elif isinstance(found, tuple):
            waiting += found
        elif isinstance(found, Batch | Block | Control | CSR | HaloTargets | Readers | Rows):
            waiting += vars(found).values()  # fields, and what was computed from them and kept


def _own_bytes(x: Features) -> int:
    if isinstance(x, CSR):
        return x.nbytes
    return 0 if x._base is not None else x.numel() * x.element_size()
