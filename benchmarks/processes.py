"""A measurement in a process of its own, so that its peak memory is its own."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from typing import Any

KILLED = -9
"""The return code of a process that the system stopped, which it does to the largest one where memory runs out."""


def in_process(module: str, task: dict[str, Any]) -> dict[str, Any]:
    """What `python -m module --worker TASK` prints as its last line; `{"missing": why}` where the memory did not suffice.

    Raises SystemExit with the end of its error output where it fails otherwise.
    """
    command = [sys.executable, "-m", module, "--worker", json.dumps(task)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode == KILLED:
        return {"missing": "its process was killed, as happens where memory runs out"}
    if done.returncode:
        raise SystemExit(f"{module} {task} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])  # type: ignore[no-any-return]


def peak_memory(device: str) -> int:
    """Bytes: the allocator's peak on CUDA, the process' elsewhere."""
    import torch

    return torch.cuda.max_memory_allocated() if device == "cuda" else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
