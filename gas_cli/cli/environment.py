"""What a command sets up in its process."""

from __future__ import annotations

import io
import sys


def prepare_process() -> None:
    """Output that no terminal can stop: "±" in a table must not stop a sweep on a terminal that has only ASCII."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
