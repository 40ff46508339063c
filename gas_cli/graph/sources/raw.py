"""What the readers of raw files share: where the files may lie, and one message for a damaged one."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gas_cli.errors import UserError


def choose_folder(root: str, candidates: Sequence[str], names: Sequence[str]) -> Path:
    """The folder below `root` that holds most of the files `names`; the first candidate where none holds any."""
    folders = [Path(root).expanduser().absolute() / candidate for candidate in candidates]
    return max(folders, key=lambda folder: sum((folder / name).is_file() for name in names))  # max keeps the first of equals


def damaged(path: Path, reason: object) -> UserError:
    """The error for a file that is there but is not what it should be."""
    return UserError(
        f"{path} cannot be used ({reason}): delete it and download it again (dataset.download=true), or replace it by an intact copy."
    )


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what a truncated or corrupt file raises while it is read into a `UserError` with its path and the reason."""
    try:
        yield
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
        # RuntimeError: zipfile's word for a damaged header that seems to ask for a password or an unknown compression
        raise damaged(path, f"{type(error).__name__}: {error}") from error
