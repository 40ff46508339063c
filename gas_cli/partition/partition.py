"""A division of the nodes into parts, with its quality."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Quality:
    """How well parts follow the graph.

    edge_cut    share of the directed edges whose ends lie in different parts, 0 to 1
    halo_ratio  mean over parts of (out-of-part neighbours) / (nodes of the part): history rows read per row computed
    balance     largest part / mean part, at least 1
    """

    edge_cut: float
    halo_ratio: float
    balance: float


@dataclass(frozen=True)
class Partition:
    """Nodes sorted by part: part p holds the original node ids `node_perm[part_ptr[p]:part_ptr[p+1]]`.

    node_perm  int64 [N], new position -> original id; within a part breadth first (`order_nodes`)
    part_ptr   int64 [P+1]; no part is empty
    dropped    how many parts came out empty and are not counted
    """

    node_perm: Tensor
    part_ptr: Tensor
    quality: Quality
    dropped: int = 0

    @property
    def num_parts(self) -> int:
        return self.part_ptr.numel() - 1

    @property
    def num_nodes(self) -> int:
        return self.node_perm.numel()

    def fingerprint(self) -> str:
        """Histories are stored in this node order, so a checkpoint belongs to one partition."""
        digest = hashlib.blake2b(digest_size=16)
        for tensor in (self.node_perm, self.part_ptr):
            digest.update(tensor.contiguous().numpy().data)
        return digest.hexdigest()
