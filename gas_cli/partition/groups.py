"""Which parts form a batch."""

from __future__ import annotations

import torch


def epoch_groups(num_parts: int, batch_parts: int, shuffle: bool, seed: int, epoch: int) -> list[list[int]]:
    """The part ids of each batch of one epoch: a function of (seed, epoch) alone, so that a resumed run sees the same ones.

    Every part is in exactly one group; the last group may be smaller.
    """
    if shuffle:
        generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) & 0x7FFFFFFFFFFFFFFF)
        order = torch.randperm(num_parts, generator=generator).tolist()
    else:
        order = list(range(num_parts))
    return [sorted(order[i : i + batch_parts]) for i in range(0, num_parts, batch_parts)]
