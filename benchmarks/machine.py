"""What a result has to say about where it was measured."""

from __future__ import annotations

import json
import os
import platform
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("torch", "torch_geometric", "numba", "numpy", "scipy", "pymetis", "hydra-core")


def describe() -> dict[str, Any]:
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {
        "date": date.today().isoformat(),
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "gpu": gpu,
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
    }


def write(name: str, rows: list[dict[str, Any]], markdown: str, results: Path = RESULTS) -> None:
    """`<name>.json` with the machine and every row, and `<name>.md` for people."""
    results.mkdir(parents=True, exist_ok=True)
    machine = describe()
    (results / f"{name}.json").write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")
    versions = ", ".join(f"{package} {number}" for package, number in machine["versions"].items())
    hardware = f"{machine['cores']} cores ({machine['cpu']}), GPU {machine['gpu']}"
    where = f"Measured on {machine['date']}: {hardware}, Python {machine['python']}, {versions}."
    (results / f"{name}.md").write_text(f"{markdown}\n\n{where}\n")


def _version(name: str) -> str:
    from importlib.metadata import PackageNotFoundError

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
