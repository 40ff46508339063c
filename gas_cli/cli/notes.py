"""What the small commands say on the way: the lines that gas-train has in its log."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

NOTE = "note: "


@contextmanager
def logged_as_notes() -> Iterator[None]:
    """What is logged within goes to the output, each line after `NOTE`."""
    logger, handler = logging.getLogger("gas_cli"), logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter(f"{NOTE}%(message)s"))
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
