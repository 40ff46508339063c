"""Named stages inside one another, whose cost is charged to the innermost."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager


class Nesting(ABC):
    """Base of what measures a program by named stages; what happens in a stage inside another counts for the inner one alone.

    A subclass says what is measured: `_charge` is called before every change of the innermost stage, raised errors included.
    """

    def __init__(self) -> None:
        self._stack: list[str] = []

    @property
    def _innermost(self) -> str | None:
        """The stage that is charged now; None outside of all."""
        return self._stack[-1] if self._stack else None

    @contextmanager
    def _inside(self, name: str) -> Iterator[None]:
        self._charge()
        self._stack.append(name)
        try:
            yield
        finally:
            self._charge()
            self._stack.pop()

    @abstractmethod
    def _charge(self) -> None:
        """Put what was measured since the last call to the account of `_innermost`."""
