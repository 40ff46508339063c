"""Files that are either the old content or the new one, whatever happens in between."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[IO[bytes]]:
    """Replace `path` by what is written to the file that this gives: `<path>.tmp`, flushed to the disk and renamed at the end.

    One process at a time: it overwrites what a killed one has left. Raises `OSError` (folder missing, not writable, disk full), whatever
    the code that writes makes of it, and then leaves the old file, and no temporary one.
    """
    temporary = path.with_name(path.name + ".tmp")
    raw = _Watched(temporary, "wb")
    file = io.BufferedWriter(raw)
    try:
        yield file
        file.flush()
        os.fsync(file.fileno())  # before the name: after a power cut it could otherwise stand for an empty file
        file.close()
        temporary.replace(path)
    except BaseException as error:  # Ctrl-C included: the temporary file must not stay
        with contextlib.suppress(OSError):  # closing writes the rest of the buffer, which fails once more on a full disk
            file.close()
        with contextlib.suppress(OSError):
            temporary.unlink()
        if raw.failure is not None and isinstance(error, Exception):
            raise OSError(raw.failure.errno, raw.failure.strerror, str(path)) from error
        raise


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replace `path` by `content` (text as UTF-8). Raises `OSError` like `replaced`."""
    with replaced(path) as file:
        file.write(content.encode("utf-8") if isinstance(content, str) else content)


def flush_to_disk(path: Path) -> None:
    """Return when the disk has the file's content. Raises `OSError`."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


class _Watched(io.FileIO):
    """Remembers the first write that failed.

    What reaches the caller depends on who writes: torch, for one, raises a RuntimeError of its archive writer instead.
    """

    failure: OSError | None = None

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.failure = self.failure or error
            raise
