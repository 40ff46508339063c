"""What a command sets up in its process before torch is loaded."""

from __future__ import annotations

import io
import sys

from gas_cli.process import prepare_torch


def prepare_process() -> None:
    """The environment of torch, and output that no terminal can stop."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # "±" in a table must not stop a sweep on a terminal that has only ASCII
    prepare_torch()
