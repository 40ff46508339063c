"""`gas-train doctor`: what is installed, what the machine has, and which code path a run would take."""

from __future__ import annotations

import os
import platform
from importlib import metadata

import gas_cli

LIBRARIES = ("torch", "torch_geometric", "numba", "pymetis", "hydra-core", "omegaconf", "numpy", "scipy", "ogb")
EXTRAS = ("tensorboard", "matplotlib", "hydra-joblib-launcher")


def report() -> str:
    """One `name: value` per line."""
    rows = [("gas-cli", gas_cli.__version__), ("Python", platform.python_version()), ("CPU cores", _cores())]
    rows += [(name, _version(name)) for name in (*LIBRARIES, *EXTRAS)]
    rows += _devices()
    width = max(len(name) for name, _ in rows) + 1
    return "\n".join(f"{name + ':':<{width}} {value}" for name, value in rows)


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"


def _cores() -> str:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{usable} usable of {os.cpu_count()}"


def _devices() -> list[tuple[str, str]]:
    import torch

    from gas_cli.ops.kernels import nvrtc

    rows = [("torch threads", str(torch.get_num_threads())), ("CUDA build", str(torch.version.cuda or "none"))]
    if not torch.cuda.is_available():
        return [*rows, ("GPU", "none"), ("device=auto", "cpu: compiled kernels, histories in host memory, synchronous exchange")]
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        rows.append((f"GPU {index}", f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"))
    kernels = "compiled kernels" if nvrtc.available() else "torch's operations (no kernels: NVRTC is missing)"
    return [*rows, ("device=auto", f"cuda: {kernels}, histories on the device, or pinned with the pipelined exchange")]
