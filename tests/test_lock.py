"""Locks: one process per folder, and nothing that stays behind when it is over."""

from __future__ import annotations

import errno
import multiprocessing
import os
import sys
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from gas_cli.errors import NotStarted, UserError
from gas_cli.lock import RUN_LOCK, claimed, exclusive, exclusive_file, is_held

FRESH = multiprocessing.get_context("spawn")


def hold(folder: Path, held: Event) -> None:
    with claimed(folder):
        held.set()
        time.sleep(60)


def test_a_claimed_folder_is_made_refused_to_others_and_given_back(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    with claimed(folder):
        owner = (folder / RUN_LOCK).read_text()
        assert owner.startswith(f"process {os.getpid()} on ")
        with pytest.raises(NotStarted, match=f"{folder} is in use: {owner} trains in it"), claimed(folder):
            pytest.fail("two at once")
        assert (folder / RUN_LOCK).read_text() == owner
    assert list(folder.iterdir()) == []
    with claimed(folder):
        pass


def test_a_failure_gives_the_folder_back(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="boom"), claimed(tmp_path):
        raise RuntimeError("boom")
    with claimed(tmp_path):
        pass


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    held = FRESH.Event()
    process = FRESH.Process(target=hold, args=(tmp_path, held), daemon=True)
    process.start()
    assert held.wait(60)
    with pytest.raises(NotStarted, match=f"process {process.pid} on "), claimed(tmp_path):
        pytest.fail("two at once")
    process.kill()
    process.join()
    assert (tmp_path / RUN_LOCK).exists()
    with claimed(tmp_path):
        assert (tmp_path / RUN_LOCK).read_text().startswith(f"process {os.getpid()} ")


def test_a_file_that_its_owner_removes_meanwhile_is_not_taken_for_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between opening and locking: the lock would be on a file that nobody else can find."""
    import gas_cli.lock

    lock, calls = gas_cli.lock._lock, []

    def removed_once(path: Path) -> object:
        handle = lock(path)
        calls.append(path)
        if len(calls) == 1:
            path.unlink()
        return handle

    monkeypatch.setattr(gas_cli.lock, "_lock", removed_once)
    with claimed(tmp_path):
        assert len(calls) == 2
        monkeypatch.undo()
        with pytest.raises(NotStarted), claimed(tmp_path):
            pytest.fail("two at once")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"Cannot write into .*file.*hydra.run.dir=DIR"), claimed(tmp_path / "file"):
        pytest.fail("claimed a file")


def test_waiting_for_a_folder_is_possible_again_and_again(tmp_path: Path) -> None:
    for _ in range(2):
        with exclusive(tmp_path):
            pass


def test_who_waits_is_told_and_gets_the_lock_when_its_owner_is_killed(tmp_path: Path) -> None:
    held, told = FRESH.Event(), []
    process = FRESH.Process(target=hold, args=(tmp_path, held), daemon=True)
    process.start()
    assert held.wait(60) and is_held(tmp_path / RUN_LOCK)

    def on_wait() -> None:
        told.append(process.pid)
        process.kill()

    with exclusive_file(tmp_path / RUN_LOCK, on_wait):
        assert told == [process.pid] and is_held(tmp_path / RUN_LOCK)
    assert list(tmp_path.iterdir()) == [] and not is_held(tmp_path / RUN_LOCK)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no flock")
@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_is_used_without_them(tmp_path: Path, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("fcntl.flock", flock)
    with claimed(tmp_path / "run"), exclusive_file(tmp_path / "entry.lock", lambda: pytest.fail("waited")):
        assert (tmp_path / "run" / RUN_LOCK).read_text().startswith(f"process {os.getpid()} on ")
        assert not is_held(tmp_path / "entry.lock")
    assert [path.name for path in tmp_path.rglob("*")] == ["run"]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no flock")
def test_a_file_that_goes_before_it_is_locked_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    flock, calls = fcntl.flock, []

    def removed_once(handle: object, operation: int) -> None:
        calls.append(operation)
        if len(calls) == 1:
            (tmp_path / RUN_LOCK).unlink()
        flock(handle, operation)  # type: ignore[arg-type]

    monkeypatch.setattr(fcntl, "flock", removed_once)
    with claimed(tmp_path):
        assert len(calls) > 1
        with pytest.raises(NotStarted), claimed(tmp_path):
            pytest.fail("two at once")
