"""How large the halo of parts is that know nothing of the edges: what a better partition is measured against."""

from __future__ import annotations

import numpy as np

from gas_cli.ops.csr import CSR


def expected_halo(adj: CSR, num_parts: int) -> float:
    """Halo ratio of random parts: nodes outside a part that send it messages, per node inside.

    Node w sends to d_w others. Each of the P - 1 parts that w is not in holds one of these with probability 1 - (1 - 1/P)^d_w:

        halo = 1/N Σ_w (P - 1) (1 - (1 - 1/P)^d_w)
    """
    sent = np.bincount(adj.col.numpy(), minlength=adj.num_rows)
    return float((num_parts - 1) * (1 - (1 - 1 / num_parts) ** sent).mean())
