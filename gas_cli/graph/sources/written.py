"""Arrays of a large dataset that a source writes to files while it parses, since they may be larger than memory.

The files lie in the folder that `scratch` names, whose owner may keep them (gas_cli/prepared). Without one they are temporary: mapped, and
removed from their folder at once, which on Linux frees the space when the last mapping ends.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gas_cli.errors import UserError
from gas_cli.graph.sources.npy_format import map_array

ON_DISK = ("x",)

Arrays = dict[str, NDArray[Any]]

_scratch: ContextVar[Path | None] = ContextVar("scratch", default=None)


class NotWritten(UserError):
    """A file could not be written: the disk is full, or the folder is not writable."""

    def __init__(self, folder: Path, reason: OSError) -> None:
        super().__init__(
            f"The parsed files of the dataset cannot be written below {folder} ({reason.strerror or reason}): free space on the disk, or "
            "name another folder with partitioner.cache=DIR, or with the environment variable TMPDIR."
        )
        self.reason = reason


@contextmanager
def scratch(folder: Path) -> Iterator[None]:
    """Sources write large arrays below `folder`, which exists, until the end of the context; they remain there."""
    token = _scratch.set(folder)
    try:
        yield
    finally:
        _scratch.reset(token)


def written(names: tuple[str, ...], write: Callable[[Path], None], mapped: tuple[str, ...] = ON_DISK) -> Arrays:
    """The arrays `names` that `write(empty folder)` makes as files NAME.npy there; those in `mapped` stay on disk.

    Pages of them that a caller changes are its own and never written back. Raises `NotWritten` where the files cannot be written.
    """
    home = _scratch.get()
    try:
        folder = Path(tempfile.mkdtemp(dir=home, prefix="gas-"))
    except OSError as error:
        raise NotWritten(home or Path(tempfile.gettempdir()), error) from error
    kept = False
    try:
        write(folder)
        arrays = {
            name: map_array(folder / f"{name}.npy") if name in mapped else np.load(folder / f"{name}.npy", allow_pickle=False)
            for name in names
        }
        kept = home is not None
    except OSError as error:
        raise NotWritten(folder.parent, error) from error
    finally:
        if not kept:
            with contextlib.suppress(OSError):
                shutil.rmtree(folder)
    return arrays
