"""Means with their spread, as cells of a table."""

from __future__ import annotations

import statistics


def with_deviation(values: list[float]) -> str:
    return f"{statistics.fmean(values):.2f} ± {statistics.stdev(values) if len(values) > 1 else 0.0:.2f}"


def with_error(gaps: list[float]) -> str:
    error = statistics.stdev(gaps) / len(gaps) ** 0.5 if len(gaps) > 1 else 0.0
    return f"{statistics.fmean(gaps):+.2f} ± {error:.2f}"
