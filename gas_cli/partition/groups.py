"""Which parts form a batch."""

from __future__ import annotations

from typing import NamedTuple

import torch


class Units(NamedTuple):
    """What the batches of an epoch are made of: parts, or training nodes.

    total     how many there are
    per_step  how many form a batch; the last one may have fewer
    drawn     whether a batch is drawn anew in every epoch. Unit u then has the number e * total + u in epoch e: it says which batch of the
              same units is meant, and no number comes again
    """

    total: int
    per_step: int
    drawn: bool = False


def groups_of(units: Units, shuffle: bool, seed: int, epoch: int) -> list[list[int]]:
    """The numbers of the units of each batch of one epoch."""
    total, per_step, drawn = units
    return epoch_groups(total, per_step, shuffle, seed, epoch, epoch * total if drawn else 0)


def epoch_groups(num_parts: int, batch_parts: int, shuffle: bool, seed: int, epoch: int, first: int = 0) -> list[list[int]]:
    """The part ids of each batch of one epoch: a function of (seed, epoch) alone, so that a resumed run sees the same ones.

    Every part is in exactly one group, in ascending order; the last group may be smaller. Ids count from `first`.
    """
    if shuffle:
        generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) & 0x7FFFFFFFFFFFFFFF)
        order = torch.randperm(num_parts, generator=generator)
    else:
        order = torch.arange(num_parts)
    order += first
    full = num_parts // batch_parts * batch_parts  # one sort for all full groups: there may be a million of them
    groups: list[list[int]] = order[:full].view(-1, batch_parts).sort(dim=1).values.tolist()
    return groups if full == num_parts else [*groups, order[full:].sort().values.tolist()]
