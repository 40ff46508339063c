"""Peaks by stage: of this process, and of gauges made up."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gas_cli.measure import memory
from gas_cli.measure.memory import RESIDENT, Gauge, StagePeaks, can_restart, release_free_memory, resident_bytes, resident_peak

MIB = 1 << 20
restarts = pytest.mark.skipif(not can_restart(), reason="this system does not restart a process's peak")


def touch(mebibytes: int) -> None:
    """Have so much memory for a moment."""
    np.ones(mebibytes * MIB // 8)


class Levels:
    """A gauge that is told what to read; `restart` makes the present level the peak, as a real one does."""

    def __init__(self) -> None:
        self.level = self.peak = 0
        self.gauge = Gauge(lambda: self.peak, self._restart)

    def rise(self, to: int, back: int) -> None:
        self.level, self.peak = back, max(self.peak, to)

    def _restart(self) -> None:
        self.peak = self.level


@restarts
def test_a_stage_does_not_inherit_the_peak_of_an_earlier_one() -> None:
    peaks = StagePeaks(resident=RESIDENT)
    before = resident_bytes()
    with peaks.stage("large"):
        touch(400)
    with peaks.stage("small"):
        touch(20)
    found = peaks.peaks["resident"]
    assert 380 * MIB < found["large"] - before < 500 * MIB
    assert found["small"] - before < 200 * MIB


@restarts
def test_the_peak_of_the_next_run_in_this_process_is_its_own() -> None:
    with StagePeaks(resident=RESIDENT).stage("train"):
        touch(400)
    second = StagePeaks(resident=RESIDENT)
    with second.stage("train"):
        touch(20)
    assert second.peaks["resident"]["train"] - resident_bytes() < 200 * MIB


def test_freed_memory_between_pieces_in_use_is_given_back() -> None:
    pieces = [np.ones(10_000) for _ in range(2000)]  # 80 kB each: from the heap, which only shrinks from its end
    del pieces[::2], pieces[:-1:2]
    before = resident_bytes()
    release_free_memory()
    assert resident_bytes() <= before


def test_an_inner_stage_is_charged_alone_and_the_outer_one_for_the_rest() -> None:
    levels = Levels()
    peaks = StagePeaks(made_up=levels.gauge)
    with peaks.stage("train"):
        levels.rise(5, back=2)
        with peaks.stage("evaluate"):
            levels.rise(9, back=3)
        levels.rise(4, back=1)
    with peaks.stage("train"):
        levels.rise(3, back=0)
    assert peaks.peaks == {"made_up": {"train": 5, "evaluate": 9}}


def test_an_epochs_peak_is_that_since_the_last_one_whatever_the_stage() -> None:
    levels = Levels()
    peaks = StagePeaks(made_up=levels.gauge)
    with peaks.stage("train"):
        levels.rise(7, back=1)
    levels.rise(8, back=1)
    assert peaks.take() == {"made_up": 8}
    with peaks.stage("train"):
        levels.rise(3, back=1)
    assert peaks.take() == {"made_up": 3}
    assert peaks.peaks["made_up"]["train"] == 7


def test_a_stage_that_raises_is_charged_and_left() -> None:
    levels = Levels()
    peaks = StagePeaks(made_up=levels.gauge)
    with contextlib.suppress(ValueError), peaks.stage("load"):
        levels.rise(6, back=0)
        raise ValueError
    with peaks.stage("train"):
        levels.rise(2, back=0)
    assert peaks.peaks["made_up"] == {"load": 6, "train": 2}


def test_where_peaks_cannot_be_restarted_they_are_the_processes_so_far(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory, "CLEAR", tmp_path / "none" / "clear_refs")
    can_restart.cache_clear()
    try:
        assert not can_restart()
        peaks = StagePeaks(resident=RESIDENT)
        with peaks.stage("large"):
            touch(100)
        with peaks.stage("small"):
            touch(1)
        assert peaks.peaks["resident"]["small"] >= peaks.peaks["resident"]["large"]
    finally:
        can_restart.cache_clear()


def test_without_proc_the_peak_is_that_of_the_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory, "STATUS", tmp_path / "status")
    assert resident_peak() == resident_bytes() > MIB


def test_without_the_resource_module_the_peak_is_not_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory, "STATUS", tmp_path / "none")
    assert resident_peak() > 0
    monkeypatch.setitem(sys.modules, "resource", None)  # importing it then fails
    assert resident_peak() == 0


def test_every_module_is_imported_without_what_only_posix_has() -> None:
    program = """if True:
        import importlib, pkgutil, sys
        sys.modules.update(dict.fromkeys(("resource", "fcntl", "pwd", "grp", "termios")))
        import gas_cli
        for module in pkgutil.walk_packages(gas_cli.__path__, "gas_cli."):
            importlib.import_module(module.name)
            print(module.name)
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "gas_cli.run" in done.stdout.splitlines()
