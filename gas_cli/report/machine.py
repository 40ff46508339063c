"""What a result has to say about where it was measured: processor, GPU, versions."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "torch_geometric", "numba", "numpy", "scipy", "pymetis", "hydra-core")


def describe_machine() -> dict[str, Any]:
    """`date`, `cpu`, `cores`, `gpu`, `python`, `versions` of the packages that decide speed and results, `code` (see `code_version`)."""
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {
        "date": date.today().isoformat(),
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "gpu": gpu,
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
        "code": code_version(),
    }


def machine_line(machine: dict[str, Any]) -> str:
    """One sentence for the end of a table."""
    versions = ", ".join(f"{package} {number}" for package, number in machine["versions"].items())
    hardware = f"{machine['cores']} cores ({machine['cpu']}), GPU {machine['gpu']}"
    return f"Measured on {machine['date']}: {hardware}, Python {machine['python']}, {versions}."


def code_version() -> str:
    """The commit of the checkout this package runs from (`-dirty` with changes in it), else the installed package's version."""
    import gas_cli

    command = ["git", "-C", str(Path(gas_cli.__file__).resolve().parent), "describe", "--always", "--dirty", "--abbrev=7"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:  # no git on this machine
        return gas_cli.__version__
    return done.stdout.strip() if done.returncode == 0 else gas_cli.__version__


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
