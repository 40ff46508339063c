"""Expected degrees with a power-law tail."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

MAX_LOG_RATIO = 60.0
"""Bound of the search for ln(θ_max / θ_min): no graph needs a ratio of e^60."""


def expected_degrees(num_nodes: int, average: float, exponent: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draws θ [N] with density ∝ θ^-exponent on [θ_min, θ_max], scaled to have exactly the mean `average`.

    θ_max is √(N · average), where two hubs expect one edge between them (and N - 1 at most); θ_min follows from the mean.
    A smaller exponent puts more weight on the hubs, a large one makes all degrees alike.
    """
    largest = max(average, min(num_nodes - 1, math.sqrt(num_nodes * average)))
    log_ratio = _log_ratio(largest / average, exponent)
    # Inverse of the distribution function, in terms of θ / θ_max ≤ 1 where nothing can overflow
    tail = math.exp(-(exponent - 1) * log_ratio)
    u = rng.random(num_nodes)
    relative = np.exp(-log_ratio - np.log1p(-u * (1 - tail)) / (exponent - 1)) if log_ratio > 0 else np.ones(num_nodes)
    degrees: NDArray[np.float64] = relative * (average / relative.mean())
    return degrees


def _log_ratio(peak: float, exponent: float) -> float:
    """ln(θ_max / θ_min) of the distribution whose θ_max is `peak` ≥ 1 times its mean, by bisection."""
    low, high = 0.0, MAX_LOG_RATIO
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if math.exp(middle) / _mean(middle, exponent) < peak else (low, middle)
    return low


def _mean(log_ratio: float, exponent: float) -> float:
    """Mean of θ / θ_min: (γ-1)/(γ-2) · (1 - r^(2-γ)) / (1 - r^(1-γ)) for γ = exponent, r = θ_max / θ_min."""
    below = exponent - 2
    growth = log_ratio if abs(below) < 1e-9 else -math.expm1(-below * log_ratio) / below
    return (exponent - 1) * growth / -math.expm1(-(exponent - 1) * log_ratio)
