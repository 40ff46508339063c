"""Downloads that resume, are checked, and say in one sentence what to do where there is no network."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tqdm import tqdm

from gas_cli.errors import UserError
from gas_cli.lock import exclusive

CHUNK = 1 << 20


@dataclass(frozen=True)
class RemoteFile:
    """A file to fetch: `size` in bytes and `sha256` (hexadecimal) are checked where they are known."""

    name: str
    url: str
    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Patience:
    """How long to try: `attempts` in all, `pause` seconds before the second (doubling), `timeout` seconds of silence."""

    attempts: int = 4
    pause: float = 1.0
    timeout: float = 30.0


class DownloadError(Exception):
    """The file could not be had; the message is the reason."""


class MissingFiles(UserError):
    """A dataset's files are not there, and could not be fetched."""


class _TransientError(DownloadError):
    """A failure that another attempt may mend."""


def ensure_files(dataset: str, folder: Path, names: Sequence[str], allow_download: bool, fetch: Callable[[list[str]], None]) -> None:
    """Return when every file of `names` is in `folder`, after calling `fetch(missing names)` where some are not.

    Raises `UserError` naming the files and the absolute folder where they are missing and cannot be fetched.
    """
    if not _missing(folder, names):
        return
    if not allow_download:
        raise _missing_files(dataset, folder, _missing(folder, names), "dataset.download=false")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with exclusive(folder):
            missing = _missing(folder, names)  # another process may have fetched them meanwhile
            if missing:
                fetch(missing)
    except DownloadError as error:
        raise _missing_files(dataset, folder, _missing(folder, names), str(error)) from error
    except OSError as error:
        raise UserError(
            f"Dataset {dataset!r} cannot be stored in {folder.absolute()} ({error.strerror or error}): "
            f"make the folder writable and free space on the disk, or set dataset.root=DIR."
        ) from error
    if still_missing := _missing(folder, names):
        raise _missing_files(dataset, folder, still_missing, "they were not in the download")


def download(remote: RemoteFile, folder: Path, progress: bool, patience: Patience | None = None) -> Path:
    """Fetch `remote` into `folder` and return its path; an interrupted transfer goes on from its `.part` file.

    Raises `DownloadError` where the server has no such file, answers with a web page, or the content fails its check.
    """
    patience = patience or Patience()
    part = folder / f"{remote.name}.part"
    for attempt in range(patience.attempts):
        try:
            _fetch(remote, part, progress, patience.timeout)
            break
        except _TransientError as error:
            if attempt + 1 == patience.attempts:
                raise DownloadError(f"{error}, after {patience.attempts} attempts") from error
            time.sleep(patience.pause * 2**attempt)
    _verify(remote, part)
    target = folder / remote.name
    os.replace(part, target)
    return target


def download_all(names: Sequence[str], address: str, folder: Path, progress: bool) -> None:
    """Fetch the files `<address>/<name>` into `folder`. Raises `DownloadError`."""
    for name in names:
        download(RemoteFile(name, f"{address}/{name}"), folder, progress)


def _missing(folder: Path, names: Sequence[str]) -> list[str]:
    return [name for name in names if not (folder / name).is_file()]


def _missing_files(dataset: str, folder: Path, missing: Sequence[str], reason: str) -> MissingFiles:
    return MissingFiles(
        f"Dataset {dataset!r} needs {', '.join(missing)} in {folder.absolute()} ({reason}): put the files there, "
        f"set dataset.root=DIR to where they are, or use dataset=generated, which needs none."
    )


def _fetch(remote: RemoteFile, part: Path, progress: bool, timeout: float) -> None:
    """One attempt: append what is missing to `part`."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "gas-train"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(urllib.request.Request(remote.url, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416:
                _range_refused(part, have, error.headers.get("Content-Range", ""))
                return
            kind = _TransientError if error.code in (408, 429) or error.code >= 500 else DownloadError
            raise kind(f"{remote.url} answered {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        raise _TransientError(f"{remote.url} cannot be reached: {getattr(error, 'reason', error)}") from error
    with response:
        if "text/html" in response.headers.get("Content-Type", ""):
            raise DownloadError(f"{remote.url} sent a web page instead of the file")
        resumes = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        with part.open("ab" if resumes else "wb") as out:
            _copy(response, out, remote, have if resumes else 0, progress)


def _range_refused(part: Path, have: int, content_range: str) -> None:
    """Status 416: the part is already the whole file, or belongs to another one and is dropped."""
    if content_range == f"bytes */{have}":
        return
    part.unlink()
    raise _TransientError("the server could not continue the partial download")


def _copy(response: http.client.HTTPResponse, out: IO[bytes], remote: RemoteFile, have: int, progress: bool) -> None:
    length = response.headers.get("Content-Length")
    total = have + int(length) if length is not None and length.isdigit() else None
    with tqdm(total=total, initial=have, unit="B", unit_scale=True, desc=remote.name, disable=None if progress else True) as bar:
        while chunk := _read(response, remote):
            if have == 0 and re.match(rb"\s*<(!doctype\s+html|html)", chunk[:256], re.IGNORECASE):
                out.truncate(0)
                raise DownloadError(f"{remote.url} sent a web page instead of the file")
            out.write(chunk)
            have += len(chunk)
            bar.update(len(chunk))
    if total is not None and have < total:  # the connection closed early, which reads as an end of file
        raise _TransientError(f"{remote.url} stopped after {have} of {total} bytes")


def _read(response: http.client.HTTPResponse, remote: RemoteFile) -> bytes:
    try:
        return response.read(CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise _TransientError(f"The download of {remote.url} stopped: {error}") from error


def _verify(remote: RemoteFile, part: Path) -> None:
    size = part.stat().st_size
    if remote.size is not None and size != remote.size:
        part.unlink()
        raise DownloadError(f"{remote.url} gave {size} bytes where {remote.size} were expected")
    if remote.sha256 is not None:
        with part.open("rb") as handle:
            found = hashlib.file_digest(handle, "sha256").hexdigest()
        if found != remote.sha256:
            part.unlink()
            raise DownloadError(f"{remote.url} gave a file with sha256 {found} where {remote.sha256} was expected")
