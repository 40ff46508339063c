"""The process in which METIS runs: `python metis_worker.py FOLDER NUM_PARTS SEED RECURSIVE PARENT_PID`.

pymetis holds the GIL for the whole call and METIS may abort the process, so neither may happen to the process that trains.
This file is run as a script and imports nothing of the package, in order to start fast.

FOLDER holds rowptr.bin and col.bin (int64, raw); the part ids are left there as parts.npy (int64 [N]), and the process's peak memory in
bytes as peak.txt.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np

PR_SET_PDEATHSIG = 1


def main(argv: list[str]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Python's own handler would wait for METIS to return
    folder, num_parts, seed, parent = Path(argv[0]), int(argv[1]), int(argv[2]), int(argv[3])
    if sys.platform.startswith("linux"):
        _prepare_linux()
    if os.name == "posix" and os.getppid() != parent:
        sys.exit("The training process has ended.")
    np.save(folder / "parts.npy", divide(folder, num_parts, seed))
    (folder / "peak.txt").write_text(str(peak_memory()))


def divide(folder: Path, num_parts: int, seed: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """METIS on the graph in `folder`, read in place: no copy of the edges."""
    import pymetis

    adjacency = pymetis.CSRAdjacency(_open(folder / "rowptr.bin"), _open(folder / "col.bin"))
    # + 1: METIS seeds C's generator, to which 0 and 1 are the same seed (and -1 stands for METIS' default)
    _, parts = pymetis.part_graph(num_parts, adjacency, recursive=False, options=pymetis.Options(seed=seed + 1))
    return np.asarray(parts, np.int64)


def _open(path: Path) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The file as an array; on POSIX its name goes at once, so that nothing large stays behind whatever happens."""
    array = np.memmap(path, np.int64, "r") if path.stat().st_size else np.empty(0, np.int64)
    if os.name == "posix":
        path.unlink()
    return array


def peak_memory() -> int:
    """Bytes. The kernel's `VmHWM` where there is one: the usual figure counts the parent, as which this process began, on Linux.
    0, for not known, on Windows."""
    try:
        import resource
    except ImportError:
        return 0
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    usual = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), usual)


def _prepare_linux() -> None:
    """Die with the parent even when it is killed; write METIS' messages at once, since abort() loses what C has buffered."""
    import ctypes

    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    libc.setvbuf(ctypes.c_void_p.in_dll(libc, "stdout"), None, 2, ctypes.c_size_t(0))  # 2: unbuffered


if __name__ == "__main__":
    main(sys.argv[1:])
