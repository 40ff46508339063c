"""Settings of the process that have to be made before torch is loaded."""

from __future__ import annotations

import os


def prepare_process() -> None:
    """Let idle threads of torch sleep instead of spin (unless the user has chosen).

    Torch's threads alternate with the kernels' own, and spinning ones keep the cores that the others need: on two cores a step on
    a small graph took five times as long (docs/log.md), and far longer beside any other process.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
