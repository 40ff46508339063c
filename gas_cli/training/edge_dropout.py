"""Edge dropout: the adjacency's counterpart of dropout."""

from __future__ import annotations

from dataclasses import replace

from gas_cli.batch.batch import Batch, Block
from gas_cli.ops.dropout import Noise, dropout_csr

SITE = 1 << 20
"""Beyond the sites that layers use."""


def drop_edges(batch: Batch, p: float, noise: Noise) -> Batch:
    """The batch with each message's weight zeroed with probability p, else divided by 1-p.

    Every edge enters one batch per epoch, so this draws each edge once per epoch. The draw is keyed by target and position of the source
    in the block; the sparsity pattern stays, so the blocks' memory does too.
    """
    thinned: dict[int, Block] = {}
    for block in batch.blocks:
        if id(block) not in thinned:
            inner, outer = (dropout_csr(a, p, noise, SITE + k, block.target_ids) for k, a in enumerate((block.inner, block.outer)))
            thinned[id(block)] = replace(block, inner=inner, outer=outer)
    return replace(batch, blocks=tuple(thinned[id(block)] for block in batch.blocks))
