"""The parsed form of a large dataset: .npy files and a manifest beside the raw files, so that only the first run parses.

    <dataset>/parsed/  rowptr.npy  col.npy  x.npy  y.npy  train.npy  ...  manifest.json

Nothing here is a pickle. The folder is written under a temporary name and renamed, and is valid only while the raw files have the sizes
and times that the manifest records.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gas_cli.errors import UserError
from gas_cli.lock import exclusive

FORMAT = 1
"""Raise it when the arrays change in meaning: older caches are then parsed again."""

MANIFEST = "manifest.json"
ON_DISK = ("x",)

Arrays = dict[str, NDArray[Any]]


def cached(
    folder: Path, raw_names: list[str], names: tuple[str, ...], write: Callable[[Path], None], mapped: tuple[str, ...] = ON_DISK
) -> Arrays:
    """The arrays `names` of the dataset in `folder`; `write(empty folder)` makes their files where there is no valid cache.

    Those in `mapped` stay on disk, mapped into memory; pages changed by a caller are its own and never written back.

    The cache lies in the user's cache folder where `folder` itself is read-only. Raises `UserError` where neither can be written.
    """
    sources = {name: [(stat := (folder / name).stat()).st_size, stat.st_mtime_ns] for name in raw_names}
    home = _cache_home(folder)
    cache = home / "parsed"
    arrays = _load(cache, sources, names, mapped)
    if arrays is not None:
        return arrays
    try:
        home.mkdir(parents=True, exist_ok=True)
        with exclusive(home):  # another process may parse the same files
            arrays = _load(cache, sources, names, mapped)
            if arrays is None:
                _build(cache, sources, names, write)
                arrays = _load(cache, sources, names, mapped)
    except OSError as error:
        raise UserError(
            f"The parsed copy of {folder} cannot be written to {cache} ({error.strerror or error}): "
            f"free space on the disk or make the folder writable."
        ) from error
    assert arrays is not None
    return arrays


def _cache_home(folder: Path) -> Path:
    if os.access(folder, os.W_OK):
        return folder
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "gas_cli" / f"{folder.name}-{hashlib.blake2b(str(folder.resolve()).encode(), digest_size=6).hexdigest()}"


def _load(cache: Path, sources: dict[str, list[int]], names: tuple[str, ...], mapped: tuple[str, ...]) -> Arrays | None:
    """The arrays, or None where the cache is absent, of another format, older than the raw files, or damaged."""
    try:
        manifest = json.loads((cache / MANIFEST).read_text())
        if not isinstance(manifest, dict) or manifest.get("format") != FORMAT or manifest.get("sources") != sources:
            return None
        arrays: Arrays = {
            name: np.load(cache / f"{name}.npy", mmap_mode="c" if name in mapped else None, allow_pickle=False) for name in names
        }
    except (OSError, ValueError, EOFError):
        return None
    shapes = {name: [str(array.dtype), *array.shape] for name, array in arrays.items()}
    return arrays if manifest.get("arrays") == shapes else None


def _build(cache: Path, sources: dict[str, list[int]], names: tuple[str, ...], write: Callable[[Path], None]) -> None:
    temporary = Path(tempfile.mkdtemp(dir=cache.parent, prefix=".parsed-"))
    try:
        write(temporary)
        shapes = {}
        for name in names:
            array = np.load(temporary / f"{name}.npy", mmap_mode="r", allow_pickle=False)
            shapes[name] = [str(array.dtype), *array.shape]
        (temporary / MANIFEST).write_text(json.dumps({"format": FORMAT, "sources": sources, "arrays": shapes}, indent=1))
        shutil.rmtree(cache, ignore_errors=True)
        os.replace(temporary, cache)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)  # after a failure; the rename has taken it otherwise
