"""Unpacking a downloaded zip: only expected names, only so many bytes, and never half a file under its final name."""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path

from gas_cli.graph.download import DownloadError, RemoteFile, download

MAX_BYTES = 8 << 30
"""No dataset here unpacks to more: a larger sum is a zip bomb."""


def download_archive(remote: RemoteFile, folder: Path, target: Path, names: Collection[str], progress: bool) -> None:
    """Fetch a zip into `folder`, unpack `names` to `target` (`extract`) and delete it. Raises `DownloadError`."""
    archive = download(remote, folder, progress)
    extract(archive, target, names)
    archive.unlink()


def extract(archive: Path, folder: Path, names: Collection[str], max_bytes: int = MAX_BYTES) -> None:
    """Unpack `names`, paths relative to the archive's root or to its single top folder, to the same paths below `folder`.

    Everything else in the archive is left alone, so that no name from outside is ever used as a path. Files are unpacked
    into a temporary folder and renamed. Raises `DownloadError` (and deletes the archive) where it is damaged,
    lacks a name, or unpacks to more than `max_bytes`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with zipfile.ZipFile(archive) as opened, tempfile.TemporaryDirectory(dir=folder, prefix=".unpack-") as temporary:
            members = _members(opened, names, max_bytes)
            for name, member in members.items():
                target = Path(temporary) / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with opened.open(member) as source, target.open("wb") as out:
                    shutil.copyfileobj(source, out, 1 << 20)
            for name in members:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                os.replace(Path(temporary) / name, folder / name)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, DownloadError) as error:
        archive.unlink()
        raise DownloadError(f"the downloaded {archive.name} cannot be unpacked: {error}") from error


def _members(opened: zipfile.ZipFile, names: Collection[str], max_bytes: int) -> dict[str, zipfile.ZipInfo]:
    found: dict[str, zipfile.ZipInfo] = {}
    for member in opened.infolist():
        relative = member.filename if member.filename in names else member.filename.partition("/")[2]
        if relative in names and not member.is_dir():
            found[relative] = member
    if absent := [name for name in names if name not in found]:
        raise DownloadError(f"it lacks {', '.join(absent)}")
    total = sum(member.file_size for member in found.values())  # zipfile reads no further than the size it announces
    if total > max_bytes:
        raise DownloadError(f"it unpacks to {total} bytes, more than the {max_bytes} allowed")
    return found
