"""Files that are either the old content or the new one, whatever happens in between."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replace `path` by `content`: written to a temporary name beside it, fsynced, renamed.

    Raises `OSError` (folder missing, not writable, disk full) and then leaves the old file, and no temporary one.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), 0o666 & ~_umask())
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:  # Ctrl-C included: the temporary file must not stay
        Path(name).unlink()
        raise


def _umask() -> int:
    """The process' umask, which can only be read by setting it."""
    current = os.umask(0o022)
    os.umask(current)
    return current
