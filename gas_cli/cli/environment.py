"""Settings of the process that have to be made before torch is loaded."""

from __future__ import annotations

import io
import os
import sys


def prepare_process() -> None:
    """Environment variables of torch and its libraries, where the user has not set them, and output that no terminal can stop.

    Idle threads of torch sleep instead of spin: they alternate with the kernels' own, and spinning ones keep the cores that the others
    need. Large tensors lie on huge pages: a step allocates gigabytes anew, and touching them page by page was a third of its time.
    Both are measured in docs/log.md.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # "±" in a table must not stop a sweep on a terminal that has only ASCII
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
