"""METIS in a process of its own, so that Ctrl-C and the progress display work and a crash stays there."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from signal import SIGINT

import numpy as np
from numpy.typing import NDArray

from gas_cli.errors import UserError
from gas_cli.measure.memory import OnProcess, unmeasured
from gas_cli.ops.csr import CSR
from gas_cli.partition.undirected import undirected_structure

log = logging.getLogger(__name__)

WORKER = Path(__file__).with_name("metis_worker.py")
WRITE_BLOCK = 1 << 22
"""Ids converted to int64 at a time: the edges are never held in memory as int64."""
POLL_SECONDS = 0.1
NOTICE_SECONDS = 30.0
WITHOUT_METIS = "or divide the graph without it: partitioner=random"


def metis_parts(adj: CSR, num_parts: int, seed: int, progress: bool = False, on_process: OnProcess = unmeasured) -> NDArray[np.int64]:
    """Part ids [N] that minimise the edge cut of the undirected structure of `adj` in parts of nearly equal size.

    METIS 5, k-way (Karypis and Kumar 1998); the same seed gives the same parts.
    Ids between 0 and `num_parts` - 1; some may be unused when parts are tiny.

    Raises:
        UserError: pymetis is missing, METIS fails or dies, or the temporary files cannot be written.
        KeyboardInterrupt: Ctrl-C; METIS has been killed and its temporary files are gone by then.
    """
    if num_parts == 1:
        return np.zeros(adj.num_rows, np.int64)
    metis_version()  # says what to install before any work is done
    log.info("METIS is dividing %d nodes and %d directed edges into %d parts.", adj.num_rows, adj.nnz, num_parts)
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="gas-metis-") as name:
        folder = Path(name)
        _write_graph(folder, adj)
        _run_worker(folder, [str(num_parts), str(seed)], progress)
        parts: NDArray[np.int64] = np.load(folder / "parts.npy", allow_pickle=False)
        peak = int((folder / "peak.txt").read_text())
    log.info("METIS took %.1f s and up to %.0f MiB in its own process.", time.monotonic() - start, peak / 2**20)
    on_process("metis", peak)
    return parts


def metis_version() -> str:
    """The installed version of pymetis, without importing it."""
    try:
        return version("pymetis")
    except PackageNotFoundError as error:
        raise UserError(
            f"partitioner=metis needs the package pymetis, which is not installed: pip install pymetis, {WITHOUT_METIS}."
        ) from error


def _write_graph(folder: Path, adj: CSR) -> None:
    rowptr, col = undirected_structure(adj)
    try:
        for name, ids in (("rowptr.bin", rowptr), ("col.bin", col)):
            with (folder / name).open("wb") as file:
                for start in range(0, len(ids), WRITE_BLOCK):
                    file.write(ids[start : start + WRITE_BLOCK].astype(np.int64).data)
    except OSError as error:
        size = 8 * (len(rowptr) + len(col)) / 2**20
        raise UserError(
            f"The input of METIS ({size:.0f} MiB) cannot be written to {folder} ({error.strerror or error}): "
            f"set TMPDIR to a folder with more room, {WITHOUT_METIS}."
        ) from error


def _run_worker(folder: Path, options: list[str], progress: bool) -> None:
    """Run METIS on `folder`; leave no process behind, however this function is left."""
    output = folder / "output.txt"
    command = [sys.executable, "-P", str(WORKER), str(folder), *options, str(os.getpid())]
    # The worker finds what this process finds, however that came onto its path.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with output.open("wb") as sink:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT, env=environment)
    try:
        _wait(process, progress)
    finally:
        process.kill()
        process.wait()
    if process.returncode == -SIGINT:  # Ctrl-C reaches the whole foreground group, the worker perhaps first
        raise KeyboardInterrupt
    if process.returncode != 0:
        raise UserError(_describe_failure(process.returncode, output.read_text(errors="replace")))


def _wait(process: subprocess.Popen[bytes], progress: bool) -> None:
    """Until METIS is done; meanwhile a running clock on a terminal, elsewhere a log line now and then."""
    from tqdm import tqdm

    start = noticed = time.monotonic()
    on_terminal = progress and sys.stderr.isatty()
    with tqdm(total=None, desc="METIS", bar_format="{desc}: {elapsed}", leave=False, disable=not on_terminal) as clock:
        while process.poll() is None:
            time.sleep(POLL_SECONDS if time.monotonic() - start > 1 else POLL_SECONDS / 10)
            clock.refresh()
            if progress and not on_terminal and time.monotonic() - noticed >= NOTICE_SECONDS:
                noticed = time.monotonic()
                log.info("METIS has been running for %.0f s.", noticed - start)


def _describe_failure(returncode: int, output: str) -> str:
    how = f"was stopped by signal {-returncode}" if returncode < 0 else f"ended with exit code {returncode}"
    memory = " (signal 9 usually means that memory ran out)" if returncode == -9 else ""
    last = " | ".join(line.strip() for line in output.splitlines()[-3:] if line.strip()) or "nothing"
    return f"METIS {how}{memory}; its last output: {last}. Try another partitioner.num_parts or partitioner.seed, {WITHOUT_METIS}."
