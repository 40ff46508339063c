"""Locks on folders. They end with the process that holds them, `kill -9` included; without effect where there is no `flock` (Windows)."""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TextIO

from gas_cli.errors import NotStarted, UserError

RUN_LOCK = "run.lock"
WITHOUT_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
"""What a file system that knows no locks answers."""


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Wait for the folder's lock and hold it: one process at a time downloads or parses there (the jobs of a multirun start together)."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    with (folder / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def exclusive_file(path: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of the file `path`, which is made for that and removed afterwards; `on_wait` is called where another process holds it.

    Raises `OSError` where the file cannot be made.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    while True:
        handle = path.open("a")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in WITHOUT_LOCKS:
                handle.close()
                raise
            break
        if _is_at(handle, path):  # its owner may have removed it between our opening and our locking it
            break
        handle.close()
    with handle:
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                path.unlink()


def is_held(path: Path) -> bool:
    """Whether somebody holds the lock of the file `path`; never where there is no `flock`."""
    if sys.platform == "win32":
        return False
    import fcntl

    try:
        with path.open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # there is none, or a file system without locks
        return False
    return False


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Make the run's folder and hold it: two processes that train in it would overwrite each other's checkpoints.

    Raises `NotStarted` where another process holds it, naming that one, and `UserError` where nothing can be written.
    """
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(_held(folder / RUN_LOCK))
        except OSError as error:
            raise UserError(f"Cannot write into {folder}: {error.strerror}. Choose another folder with hydra.run.dir=DIR.") from error
        yield


@contextmanager
def _held(path: Path) -> Iterator[None]:
    if sys.platform == "win32":
        yield
        return
    handle = _lock(path)
    while not _is_at(handle, path):  # its owner has removed it between our opening and our locking it
        handle.close()
        handle = _lock(path)
    with handle:
        with contextlib.suppress(OSError):  # a full disk: only the message to others would be poorer
            handle.truncate(0)
            os.write(handle.fileno(), f"process {os.getpid()} on {platform.node()} since {datetime.now():%Y-%m-%d %H:%M:%S}".encode())
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # a file that stays behind locks nothing
                path.unlink()


def _lock(path: Path) -> TextIO:
    import fcntl

    handle = path.open("a+", encoding="utf-8")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        handle.seek(0)
        owner = handle.read() or "another process"
        handle.close()
        raise NotStarted(
            f"{path.parent} is in use: {owner} trains in it. Wait until it ends, stop it, or choose another folder."
        ) from error
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            handle.close()
            raise
    return handle


def _is_at(handle: TextIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle.fileno()), path.stat())
    except FileNotFoundError:
        return False
