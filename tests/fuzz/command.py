"""One command in a forked child of this process, which has everything imported, within limits of time and memory.

The parent keeps to one thread: `torch.set_num_threads(1)`, and kernels are compiled by runs that are too small for helper threads.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import importlib
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 20.0
"""Seconds of a command before it is asked to stop."""
GRACE = 10.0
"""Seconds that it then has."""
MEMORY = 3 << 30
"""Bytes of address space beyond those of this process."""

PROGRAMS = {"gas-train": "gas_cli.cli.train", "gas-predict": "gas_cli.cli.predict", "gas-data": "gas_cli.cli.data"}
Preparation = Callable[[], None]


@dataclass(frozen=True)
class Ending:
    """How a command ended: the exit code (negative: the signal), what it printed, and whether it had to be asked to stop."""

    program: str
    code: int
    out: str
    err: str
    stopped: bool


def command(folder: Path, program: str, *argv: str, first: Preparation | None = None, patience: float = PATIENCE) -> Ending:
    """Run `<program> <argv>` in `folder` and wait for its end; `first` is called in the child before."""
    child = start(folder, program, *argv, first=first)
    stopped = not _ended(child, patience)
    if stopped:
        os.kill(child, signal.SIGTERM)
        if not _ended(child, GRACE):
            os.killpg(child, signal.SIGKILL)
    return Ending(program, wait(child), *(_printed(folder / name) for name in ("out.txt", "err.txt")), stopped)


def start(folder: Path, program: str, *argv: str, first: Preparation | None = None) -> int:
    """The process id of a child that runs the command; what it prints goes to out.txt and err.txt in `folder`."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        try:
            _run(folder, program, argv, first)
        finally:
            os._exit(99)  # not reached, unless the harness itself fails
    return child


def wait(child: int) -> int:
    """The exit code of a child; what it has started itself ends with it."""
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)
    return code


def _run(folder: Path, program: str, argv: tuple[str, ...], first: Preparation | None) -> None:
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # as a shell starts a command, whatever the parent does with signals
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(folder)
    for descriptor, name in ((1, "out.txt"), (2, "err.txt")):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.stdout, sys.stderr = (open(descriptor, "w", buffering=1, closefd=False) for descriptor in (1, 2))  # noqa: SIM115
    faulthandler.enable(file=sys.stderr)
    _limit()
    sys.argv = [program, *argv]
    code = 1
    try:
        if first is not None:
            first()
        importlib.import_module(PROGRAMS[program]).main()
        code = 0
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    statistics = Path("/proc/self/statm")
    if statistics.exists():
        most = int(statistics.read_text().split()[0]) * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _ended(child: int, seconds: float) -> bool:
    """Whether `child` ends in time; it is not yet waited for."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return True
        time.sleep(0.003)
    return False


def _printed(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def warm(folder: Path) -> None:
    """Import all that the commands import, and compile the kernels, in this process: children then start at once."""
    import gas_cli.cli.data
    import gas_cli.cli.predict
    import gas_cli.cli.train
    import gas_cli.graph.describe
    import gas_cli.prediction
    import gas_cli.run

    for module in ("hydra.main", "gas_cli.config.launch", "torch._dynamo", "pandas", "scipy.sparse"):
        importlib.import_module(module)
    import torch

    torch.set_num_threads(1)
    gas_cli.run.plot_curves = lambda metrics, out: False  # type: ignore[attr-defined]
    from gas_cli.prediction import predict
    from tests.end_to_end.runs import train

    train(folder / "run")
    for mode in ("exact", "history"):
        predict(folder / "run", mode=mode).save(folder / "predictions.npz")
    gc.collect()
    gc.freeze()  # a child's collections would touch, and so copy, every page of what it shares with this process
