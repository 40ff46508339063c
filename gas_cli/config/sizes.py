"""Sizes as people write them: 50GiB."""

from __future__ import annotations

import re

UNITS = {"B": 1, **{f"{letter}iB": 1 << 10 * power for power, letter in enumerate("KMGT", 1)}}
UNITS |= {f"{letter}B": 1000**power for power, letter in enumerate("KMGT", 1)}


def parse_size(text: str) -> int | None:
    """Bytes of `50GiB`, `1.5 TB` or `0B`; None where it is no size."""
    found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,9})?) ?([KMGT]?i?B)", text.strip())
    return int(float(found[1]) * UNITS[found[2]]) if found and found[2] in UNITS else None


def shown_size(nbytes: int) -> str:
    """In the largest binary unit of which there is at least one."""
    unit = max((name for name in UNITS if "i" in name or name == "B"), key=lambda name: (UNITS[name] <= max(nbytes, 1)) * UNITS[name])
    return f"{nbytes} B" if unit == "B" else f"{nbytes / UNITS[unit]:.1f} {unit}"
