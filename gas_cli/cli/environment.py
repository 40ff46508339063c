"""Settings of the process that have to be made before torch is loaded."""

from __future__ import annotations

import os


def prepare_process() -> None:
    """Environment variables of torch and its libraries, where the user has not set them.

    Idle threads of torch sleep instead of spin: they alternate with the kernels' own, and spinning ones keep the cores that the others
    need. Large tensors lie on huge pages: a step allocates gigabytes anew, and touching them page by page was a third of its time.
    Both are measured in docs/log.md.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
