"""What a source logs of its files (what they were taken for, edges that were dropped): a mapped graph says it again."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

SOURCES = "gas_cli.graph.sources"

Said = list[tuple[int, str]]
"""Level and line."""


class _Note(logging.Handler):
    """Notes every record, and hands on those of the level that the logger had."""

    def __init__(self, said: Said, level: int, parent: logging.Logger) -> None:
        super().__init__()
        self.said, self.handed_on, self.parent = said, level, parent

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append((record.levelno, record.getMessage()))
        if record.levelno >= self.handed_on:
            self.parent.callHandlers(record)


@contextmanager
def noting() -> Iterator[Said]:
    """The lines that sources log within, from INFO on, whether or not anybody reads the log; they are logged as ever."""
    said: Said = []
    logger = logging.getLogger(SOURCES)
    level, parent = logger.getEffectiveLevel(), logger.parent
    assert parent is not None
    before, handler = logger.level, _Note(said, level, parent)
    logger.addHandler(handler)
    logger.setLevel(min(level, logging.INFO))
    logger.propagate = False
    try:
        yield said
    finally:
        logger.propagate = True
        logger.setLevel(before)
        logger.removeHandler(handler)


def say_again(said: Said) -> None:
    for level, line in said:
        logging.getLogger(SOURCES).log(level, "%s", line)
