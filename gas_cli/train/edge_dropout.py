"""Edge dropout: the adjacency's counterpart of dropout."""

from __future__ import annotations

from dataclasses import replace

from gas_cli.batch.batch import Batch
from gas_cli.ops.csr import CSR
from gas_cli.ops.dropout import Noise, dropout_csr

SITE = 1 << 20
"""Beyond the sites that layers use."""


def drop_edges(batch: Batch, p: float, noise: Noise) -> Batch:
    """The batch with each message's weight zeroed with probability p, else divided by 1-p.

    Every edge enters one batch per epoch, so this draws each edge once per epoch. The draw is keyed by target and position of the source
    in the block; the sparsity pattern stays, so the blocks' memory does too.
    """
    block = batch.block

    def thin(a: CSR, site: int) -> CSR:
        return dropout_csr(a, p, noise, site, block.target_ids)

    return replace(batch, loss_block=None, block=replace(block, inner=thin(block.inner, SITE), outer=thin(block.outer, SITE + 1)))
