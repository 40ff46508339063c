"""What torch reads from the environment when it is loaded, for speed."""

from __future__ import annotations

import logging
import os
import sys

log = logging.getLogger(__name__)

WAITING, PAGES = "OMP_WAIT_POLICY", "THP_MEM_ALLOC_ENABLE"

_said = False


def prepare_torch() -> None:
    """Set two environment variables, where the user has not. `import gas_cli` does it.

    Idle threads of torch sleep instead of spin: they alternate with the kernels' own, and spinning ones keep the cores that the others
    need. Large tensors lie on huge pages: a step allocates gigabytes anew, and touching them page by page was a third of its time.
    Both are measured in docs/log.md.
    """
    if "torch" not in sys.modules:  # later its threads have been set up
        os.environ.setdefault(WAITING, "PASSIVE")
    os.environ.setdefault(PAGES, "1")  # read with the first tensor


def report_late() -> None:
    """One warning per process, where torch was loaded before `prepare_torch` could do anything."""
    global _said  # noqa: PLW0603
    if not _said and WAITING not in os.environ:
        log.warning(
            "torch was imported before gas_cli, so its idle threads keep the cores busy and steps take longer. "
            "Put `import gas_cli` above `import torch`, or set %s=PASSIVE and %s=1 in the environment.",
            WAITING,
            PAGES,
        )
    _said = True
