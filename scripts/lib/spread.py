"""Means with their spread, as cells of a table."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def with_deviation(values: list[float]) -> str:
    return f"{statistics.fmean(values):.2f} ± {statistics.stdev(values) if len(values) > 1 else 0.0:.2f}"


def with_error(gaps: list[float]) -> str:
    return f"{statistics.fmean(gaps):+.2f} ± {standard_error(gaps):.2f}"


def standard_error(values: Sequence[float]) -> float:
    """Of the mean; 0 of a single value."""
    return statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
