"""Where tests find the methods that a run has made."""

from typing import Any

CLASSES: list[Any] = []
