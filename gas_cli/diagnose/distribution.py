"""Distributions of per-node numbers in a few JSON-safe figures."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


def summarize(x: Tensor) -> dict[str, float | None]:
    """`mean`, `p50`, `p95`, `max` of x [n] (nearest rank); None without entries, or where the number is not finite."""
    if x.numel() == 0:
        return dict.fromkeys(("mean", "p50", "p95", "max"))
    ascending = x.float().sort().values
    ranked = {name: ascending[max(math.ceil(q * x.numel()) - 1, 0)] for name, q in (("p50", 0.5), ("p95", 0.95), ("max", 1.0))}
    return {"mean": short(float(x.double().mean())), **{name: short(float(value)) for name, value in ranked.items()}}


def summarize_low(x: Tensor) -> dict[str, float | None]:
    """`mean`, `p50`, `p5`, `min`: for numbers of which the small ones are the bad ones (cosines)."""
    mirrored = summarize(-x)
    names = {"mean": "mean", "p50": "p50", "p5": "p95", "min": "max"}
    return {name: None if (value := mirrored[other]) is None else -value for name, other in names.items()}


def short(value: float) -> float | None:
    """Six significant digits: metrics.jsonl keeps thousands of these. None for NaN and infinities."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


@dataclass(frozen=True)
class Groups:
    """Nodes sorted into `count` groups: `group` int64 [N]; `up_to` is the largest key of each group, or its bound."""

    group: Tensor
    up_to: list[int]

    @property
    def sizes(self) -> list[int]:
        return torch.bincount(self.group, minlength=len(self.up_to)).tolist()

    def means(self, x: Tensor) -> list[float | None]:
        """Mean of x [N] in each group; None for an empty one."""
        total = torch.zeros(len(self.up_to), dtype=torch.float64).index_add_(0, self.group, x.double())
        sums, sizes = total.tolist(), self.sizes
        return [short(s / n) if n else None for s, n in zip(sums, sizes, strict=True)]


def by_age(ages: Tensor) -> Groups:
    """Groups of ages int64 [N] that double in width: 0, 1, 2, 3-4, 5-8, … steps."""
    oldest = int(ages.max()) if ages.numel() else 0
    bounds = [0, 1]
    while bounds[-1] < oldest:
        bounds.append(2 * bounds[-1])
    return Groups(torch.bucketize(ages, torch.tensor(bounds)), bounds)


def by_decile(keys: Tensor) -> Groups:
    """Ten groups of about equal size by an integer key [N]; fewer where equal keys, which share a group, make up more than a tenth."""
    ascending = keys.sort().values
    ranks = [max(math.ceil(keys.numel() * k / 10) - 1, 0) for k in range(1, 11)]
    bounds = torch.unique(ascending[ranks])
    return Groups(torch.bucketize(keys, bounds), bounds.tolist())
