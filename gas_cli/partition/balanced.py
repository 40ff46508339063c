"""Partitions that ignore the edges: baselines, and the way out where METIS needs too much time or memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def range_parts(num_nodes: int, num_parts: int) -> NDArray[np.int32]:
    """Contiguous ids: node v is in part floor(v P / N), so that sizes differ by at most one."""
    return (np.arange(num_nodes, dtype=np.int64) * num_parts // num_nodes).astype(np.int32)


def random_parts(num_nodes: int, num_parts: int, seed: int) -> NDArray[np.int32]:
    """A uniformly random assignment among those whose sizes are those of `range_parts`."""
    return np.random.default_rng(seed).permutation(range_parts(num_nodes, num_parts))
