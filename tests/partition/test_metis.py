from __future__ import annotations

import errno
import io
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject, SearchStrategy

from gas_cli.errors import UserError
from gas_cli.ops.csr import CSR
from gas_cli.partition import metis, metis_worker
from gas_cli.partition.metis import metis_parts
from gas_cli.partition.quality import measure_quality
from gas_cli.partition.undirected import undirected_structure

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where METIS' files go, so that a test can see whether any are left."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def use_worker(monkeypatch: pytest.MonkeyPatch, folder: Path, source: str) -> None:
    worker = folder / "worker.py"
    worker.write_text(source)
    monkeypatch.setattr(metis, "WORKER", worker)


def test_finds_the_obvious_cut_and_leaves_no_files(ring: CSR, temporary: Path) -> None:
    parts = metis_parts(ring, 4, seed=0)
    assert sorted(set(parts.tolist())) == [0, 1, 2, 3]
    quality = measure_quality(ring, parts.astype(np.int32))
    assert quality.edge_cut < 0.15  # 4 borders of 3 edges among 120, where random parts cut 0.75
    assert quality.balance <= 1.1
    assert list(temporary.iterdir()) == []


def test_the_seed_decides() -> None:
    rng = np.random.default_rng(0)
    dense = rng.random((200, 200)) < 0.05
    adj = CSR.from_scipy(np.triu(dense, 1).astype(np.float32))
    first, again, other = (metis_parts(adj, 5, seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_directed_input_gets_the_parts_of_its_undirected_graph(ring: CSR) -> None:
    upper = torch.triu(ring.to_dense())
    one_way = CSR.from_scipy(upper.numpy())
    both_ways = CSR.from_scipy((upper + upper.T).numpy())
    both_ways.symmetric = True
    assert np.array_equal(metis_parts(one_way, 4, 0), metis_parts(both_ways, 4, 0))


@settings(max_examples=15)
@given(st.data())
def test_any_graph_gets_a_part_for_every_node(graphs: SearchStrategy[CSR], data: DataObject) -> None:
    adj = data.draw(graphs)
    num_parts = data.draw(st.integers(1, adj.num_rows))
    parts = metis_parts(adj, num_parts, data.draw(st.integers(0, 3)))
    assert parts.shape == (adj.num_rows,)
    assert parts.min() >= 0
    assert parts.max() < num_parts


def test_the_worker_reads_without_a_copy_and_agrees(ring: CSR, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker's function, called in this process where its input can be looked at."""
    import pymetis

    seen: list[np.ndarray] = []
    original = pymetis.part_graph

    def part_graph(num_parts: int, adjacency: pymetis.CSRAdjacency, **options: Any) -> pymetis.GraphPartition:
        seen.extend([np.asanyarray(adjacency.adj_starts), np.asanyarray(adjacency.adjacent)])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return original(num_parts, adjacency, **options, warn_on_copies=True)

    monkeypatch.setattr(pymetis, "part_graph", part_graph)
    metis._write_graph(tmp_path, ring)
    parts = metis_worker.divide(tmp_path, 4, 0)

    assert np.array_equal(parts, metis_parts(ring, 4, 0))
    for array, expected in zip(seen, undirected_structure(ring), strict=True):
        assert isinstance(array, np.memmap)
        assert array.dtype == np.int64
        assert array.flags.c_contiguous
        assert np.array_equal(array, expected)


def test_input_is_written_whole_when_it_takes_several_blocks(ring: CSR, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metis, "WRITE_BLOCK", 7)
    metis._write_graph(tmp_path, ring)
    assert np.array_equal(np.fromfile(tmp_path / "col.bin", np.int64), ring.col.numpy())
    assert np.array_equal(np.fromfile(tmp_path / "rowptr.bin", np.int64), ring.rowptr.numpy())


def test_one_part_starts_no_process(ring: CSR, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", None)
    assert metis_parts(ring, 1, 0).tolist() == [0] * 60


def test_the_peak_of_its_process_is_told_and_holds_nothing_of_this_one(ring: CSR) -> None:
    ballast = np.ones(40_000_000)  # 305 MiB
    told: dict[str, int] = {}
    metis_parts(ring, 4, 0, on_process=told.__setitem__)
    assert 1 << 20 < told["metis"] < ballast.nbytes


def test_missing_pymetis_says_what_to_type(ring: CSR, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(metis, "version", missing)
    with pytest.raises(UserError, match=r"pip install pymetis.*partitioner=random"):
        metis_parts(ring, 4, 0)


def test_a_crash_is_reported_with_the_last_output(ring: CSR, tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_worker(monkeypatch, tmp_path, "import os\nprint('Memory allocation failed', flush=True)\nos.abort()\n")
    with pytest.raises(UserError, match=r"stopped by signal 6.*Memory allocation failed.*partitioner=random"):
        metis_parts(ring, 4, 0)
    assert list(temporary.iterdir()) == []


def test_a_failure_is_reported_with_the_last_output(ring: CSR, tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_worker(monkeypatch, tmp_path, "raise RuntimeError('METIS says no')\n")
    with pytest.raises(UserError, match=r"exit code 1.*RuntimeError: METIS says no.*partitioner=random"):
        metis_parts(ring, 4, 0)
    assert list(temporary.iterdir()) == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="C's buffers are turned off on Linux only")
def test_what_c_printed_before_an_abort_is_not_lost(ring: CSR, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = (
        f"import sys, os, ctypes\nsys.path.insert(0, {str(REPOSITORY)!r})\nfrom gas_cli.partition import metis_worker\n"
        "metis_worker._prepare_linux()\nctypes.CDLL(None).printf(b'printed by C')\nos.abort()\n"
    )
    use_worker(monkeypatch, tmp_path, source)
    with pytest.raises(UserError, match="printed by C"):
        metis_parts(ring, 4, 0)


def test_a_full_disk_is_an_error_with_a_remedy(ring: CSR, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Path.open

    def full(self: Path, *args: Any, **options: Any) -> Any:
        if self.suffix == ".bin":
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(self, *args, **options)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(UserError, match=r"No space left on device.*TMPDIR"):
        metis_parts(ring, 4, 0)
    assert list(temporary.iterdir()) == []


def test_ctrl_c_of_the_worker_is_ctrl_c(ring: CSR, tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal the signal reaches both processes, the worker perhaps first."""
    source = "import os, signal\nsignal.signal(signal.SIGINT, signal.SIG_DFL)\nos.kill(os.getpid(), signal.SIGINT)\n"
    use_worker(monkeypatch, tmp_path, source)
    with pytest.raises(KeyboardInterrupt):
        metis_parts(ring, 4, 0)
    assert list(temporary.iterdir()) == []


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_clock_runs_on_a_terminal(ring: CSR, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    metis_parts(ring, 4, 0, progress=True)
    assert "METIS: 00:00" in terminal.getvalue()


def test_log_lines_elsewhere(ring: CSR, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metis, "NOTICE_SECONDS", 0.0)
    plain = io.StringIO()
    monkeypatch.setattr(sys, "stderr", plain)
    with caplog.at_level(logging.INFO, logger="gas_cli"):
        metis_parts(ring, 4, 0, progress=True)
    assert plain.getvalue() == ""
    assert "METIS is dividing 60 nodes and 240 directed edges into 4 parts." in caplog.text
    assert "METIS has been running for" in caplog.text


SLOW = """
import subprocess, sys, torch, numpy as np
from gas_cli.ops.csr import CSR
from gas_cli.partition import metis

class Announced(subprocess.Popen):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        print(self.pid, flush=True)

metis.subprocess.Popen = Announced
n, k = 200_000, 20  # random neighbours: METIS needs minutes
col = np.random.default_rng(0).integers(0, n, (n, k))
col.sort(1)
adj = CSR(torch.arange(n + 1) * k, torch.from_numpy(col.astype(np.int32).reshape(-1)), torch.ones(n * k), n)
metis.metis_parts(adj, 5000, 0)
"""


def start_slow(temporary: Path) -> tuple[subprocess.Popen[str], int]:
    """A process that partitions for minutes, with METIS at work in the second one."""
    environment = {**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(REPOSITORY)}
    parent = subprocess.Popen(
        [sys.executable, "-c", SLOW], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    while any(temporary.glob("*/col.bin")):  # the worker takes its input's name away just before METIS starts
        assert parent.poll() is None
        time.sleep(0.01)
    time.sleep(0.2)
    return parent, worker


def gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"  # killed; whoever adopted it has not collected it yet


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
@pytest.mark.parametrize("to_group", [False, True])
def test_ctrl_c_stops_metis_and_removes_its_files(temporary: Path, to_group: bool) -> None:
    parent, worker = start_slow(temporary)
    assert not gone(worker)
    (os.killpg if to_group else os.kill)(parent.pid, signal.SIGINT)  # the group is what a terminal signals
    _, errors = parent.communicate(timeout=60)
    assert parent.returncode != 0
    assert "KeyboardInterrupt" in errors
    assert gone(worker)
    assert list(temporary.iterdir()) == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a process that its parent has died")
def test_metis_does_not_outlive_a_killed_process(temporary: Path) -> None:
    parent, worker = start_slow(temporary)
    parent.kill()
    parent.communicate(timeout=60)
    deadline = time.monotonic() + 60
    while not gone(worker):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert list(temporary.rglob("*.bin")) == []  # nothing large stays behind
