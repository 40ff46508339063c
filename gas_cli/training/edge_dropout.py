"""Edge dropout: the adjacency's counterpart of dropout."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from gas_cli.batch.batch import Batch, Block
from gas_cli.ops.csr import CSR
from gas_cli.ops.dropout import Noise, dropout_csr

SITE = 1 << 20
"""Beyond the sites that layers use."""


def drop_edges(batch: Batch, p: float, noise: Noise) -> Batch:
    """The batch with each message's weight zeroed with probability p, else divided by 1-p.

    Every edge enters one batch per epoch, so this draws each edge once per epoch. The draw is keyed by the node ids of its target and its
    source: the same edges are dropped whatever the partition. The sparsity pattern stays, so the blocks' memory does too.
    """
    thinned: dict[int, Block] = {}
    for block in batch.blocks:
        if id(block) not in thinned:
            inner, outer = _thin(block.inner, block.target_ids, block, p, noise), _thin(block.outer, block.halo_ids, block, p, noise)
            thinned[id(block)] = replace(block, inner=inner, outer=outer)
    return replace(batch, blocks=tuple(thinned[id(block)] for block in batch.blocks))


def _thin(messages: CSR, sources: Tensor, block: Block, p: float, noise: Noise) -> CSR:
    by_id = CSR(messages.rowptr, sources.int().index_select(0, messages.col), messages.value, messages.num_cols)
    return messages.with_values(dropout_csr(by_id, p, noise, SITE, block.target_ids).value)
