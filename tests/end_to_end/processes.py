"""`gas-train` in a separate process that can be killed: forked from a server that has everything imported, which saves seconds."""

from __future__ import annotations

import io
import itertools
import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from tests.end_to_end.runs import Outcome

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    ["gas_cli.run", "gas_cli.cli.train", "gas_cli.config.launch", "hydra.main", "torch._dynamo", "tests.end_to_end.processes"]
)

Sabotage = Callable[[], None]


class Program:
    """A running `gas-train <argv>` in `folder`; `sabotage` is called in the process first."""

    def __init__(self, folder: Path, *argv: str, sabotage: tuple[Sabotage, ...] = ()) -> None:
        self.folder = folder
        self.process = SERVER.Process(target=_main, args=(folder, argv, sabotage), daemon=True)
        self.process.start()

    def kill(self, number: signal.Signals) -> None:
        assert self.process.pid is not None
        if self.process.is_alive():
            os.kill(self.process.pid, number)

    def wait_for(self, file: str) -> None:
        """Until `file` has content, or the process is over."""
        for _ in range(20000):
            path = self.folder / file
            if (path.exists() and path.stat().st_size) or not self.process.is_alive():
                return
            time.sleep(0.005)
        raise AssertionError(f"{file} did not appear: {self.outcome()}")

    def outcome(self) -> Outcome:
        """After the end; the code is negative for a signal."""
        self.process.join(60)
        assert self.process.exitcode is not None, "the process hangs"
        return Outcome(self.process.exitcode, (self.folder / "out.txt").read_text(), (self.folder / "err.txt").read_text())


def _main(folder: Path, argv: tuple[str, ...], sabotage: tuple[Sabotage, ...]) -> None:
    os.chdir(folder)
    for descriptor, name in ((1, "out.txt"), (2, "err.txt")):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    sys.argv = ["gas-train", *argv]
    import gas_cli.run
    from gas_cli.cli.train import main

    gas_cli.run.plot_curves = lambda metrics, out: False  # type: ignore[attr-defined]
    for spoil in sabotage:
        spoil()
    main()


def slow_steps() -> None:
    """Five milliseconds more per step, so that a signal finds the run in the middle of its work."""
    from gas_cli.training.trainer import Trainer

    step = Trainer._train_step

    def slow(self: Trainer, *args: Any) -> None:
        time.sleep(0.005)
        step(self, *args)

    Trainer._train_step = slow  # type: ignore[method-assign]


def endless_loading() -> None:
    """Loading never ends; the file `loading` says that it has begun."""
    import gas_cli.prepared.graph_layer

    def load(*_: Any) -> None:
        Path("loading").write_text("now")
        time.sleep(60)

    gas_cli.prepared.graph_layer.load_graph = load  # type: ignore[attr-defined]


def small_files() -> None:
    """No file may grow beyond 8 KiB: checkpoints do not fit, everything else does."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # an error instead, as from a full disk
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, resource.RLIM_INFINITY))


class KilledWhileWriting:
    """`kill -9` when half of checkpoint number `number` is on the disk."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __call__(self) -> None:
        import torch

        save, count = torch.save, itertools.count(1)

        def half(state: Any, file: BinaryIO) -> None:
            if next(count) < self.number:
                return save(state, file)
            whole = io.BytesIO()
            save(state, whole)
            file.write(whole.getvalue()[: whole.tell() // 2])
            file.flush()
            return os.kill(os.getpid(), signal.SIGKILL)

        torch.save = half  # type: ignore[assignment]


class KilledBeforeRename:
    """`kill -9` when checkpoint number `number` is written whole, under its temporary name."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __call__(self) -> None:
        replace, count = Path.replace, itertools.count(1)

        def killed(self_: Path, target: Path) -> Path:
            if self_.name.endswith(".pt.tmp") and next(count) == self.number:
                os.kill(os.getpid(), signal.SIGKILL)
            return replace(self_, target)

        Path.replace = killed  # type: ignore[method-assign,assignment]
