from __future__ import annotations

import pytest
from hypothesis import given, strategies

from gas_cli.config.sizes import UNITS, parse_size, shown_size


@pytest.mark.parametrize(
    ("text", "size"), [("0B", 0), ("1KiB", 1024), ("1 KB", 1000), ("50GiB", 50 << 30), ("1.5TiB", 3 << 39), (" 2 MB ", 2_000_000)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "5", "GiB", "-1GiB", "1gib", "1 iB", "1PiB", "1e3B", "nanB", "1GiBx", "1\n"])
def test_what_is_no_size(text: str) -> None:
    assert parse_size(text) is None


@given(strategies.integers(0, 1 << 50))
def test_what_is_shown_is_a_size_close_to_it(size: int) -> None:
    found = parse_size(shown_size(size))
    assert found is not None and abs(found - size) <= 0.051 * max(unit for unit in UNITS.values() if unit <= max(size, 1))
