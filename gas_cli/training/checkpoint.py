"""Checkpoints: written whole or not at all, read without running code from them."""

from __future__ import annotations

import contextlib
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gas_cli.errors import UserError
from gas_cli.files import replaced
from gas_cli.training.structure import unexpected

FORMAT = 3
"""3: histories are part of the method's state. 2: with the run's identity and its place in metrics.jsonl. 1 was that of 0.1.0."""
BEST_IN_MEMORY_BYTES = 256 << 20
"""With tables up to this size the best state waits in memory for the next checkpoint; a larger one is written as soon as it is found."""


class Checkpoints:
    """The two of a run, last.pt and best.pt. The best state may wait in memory until last.pt is written."""

    def __init__(self, folder: Path) -> None:
        self.last, self.best = folder / "checkpoints" / "last.pt", folder / "checkpoints" / "best.pt"
        self._waiting: dict[str, Any] | None = None

    def keep_best(self, state: dict[str, Any], table_bytes: int) -> None:
        """`state` is the best so far, with tables of so many bytes in it."""
        if table_bytes <= BEST_IN_MEMORY_BYTES:
            self._waiting = _copy(state)
        else:
            save_checkpoint(self.best, state)

    def write_best(self) -> None:
        """Write the best state if it still waits. To be called before `write_last`: what last.pt says is best is then on the disk."""
        if self._waiting is not None:
            save_checkpoint(self.best, self._waiting)
            self._waiting = None

    def write_last(self, state: dict[str, Any]) -> None:
        save_checkpoint(self.last, state)


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write `state` under a temporary name, flush it to the disk, and rename: a crash leaves the previous file.

    Raises UserError where the disk is full or the folder not writable; the previous checkpoint stays.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced(path) as file:
            torch.save({"format": FORMAT, **state}, file)
    except OSError as error:
        kept = f" The previous checkpoint {path} is intact." if path.exists() else ""
        raise UserError(
            f"Cannot write the checkpoint {path}: {error.strerror or error}.{kept} "
            f"Free space (or make the folder writable), then continue with: gas-train resume={path.parent.parent}"
        ) from error


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint with `weights_only=True`. Raises UserError where it is missing, damaged (by a single bit) or of another format."""
    if not path.is_file():
        raise UserError(f"No checkpoint at {path}: expected a run's folder with checkpoints/{path.name} in it.")
    try:
        _check_archive(path)
        with warnings.catch_warnings(action="ignore"):  # torch's remarks about kinds of tensors that no checkpoint has
            state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler's bytes decide what is raised: any type of exception
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise _unreadable(path, reason) from error
    wrong = unexpected(state)
    if wrong is not None:
        raise _unreadable(path, wrong)
    found = state.get("format") if isinstance(state, dict) else type(state).__name__
    if type(found) is not int or found != FORMAT:
        raise UserError(
            f"The checkpoint {path} has format {str(found)[:80]}: expected {FORMAT}. It was written by another version of gas-train "
            "(format 1: 0.1.0). Use that version, or start the run again in a new folder."
        )
    checkpoint: dict[str, Any] = state
    return checkpoint


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the checkpoint's name before what is found wrong with its content."""
    try:
        yield
    except UserError as error:
        if type(error) is not UserError:  # the user's code has its own place to name
            raise
        raise UserError(f"{path}: {error}") from error


def _unreadable(path: Path, reason: str) -> UserError:
    return UserError(f"The checkpoint {path} cannot be read ({reason}): it is damaged or not a checkpoint of gas-train. {_remedy(path)}")


def _check_archive(path: Path) -> None:
    """Raise where a record differs from its CRC-32: torch writes the sums into the archive but does not look at them.

    Nor does it compress, so that records which are larger than their file are somebody else's.
    """
    with zipfile.ZipFile(path) as archive:
        records = archive.infolist()
        if any(record.compress_type != zipfile.ZIP_STORED for record in records) or sum(r.file_size for r in records) > path.stat().st_size:
            raise zipfile.BadZipFile("its records are compressed or overlap")
        damaged = archive.testzip()
    if damaged is not None:
        raise zipfile.BadZipFile(f"the checksum of {damaged} is wrong")


def _remedy(path: Path) -> str:
    best, last = path.with_name("best.pt"), path.with_name("last.pt")
    if path == last and best.is_file():
        return "best.pt in the same folder is from another epoch: to continue from it, copy it to last.pt."
    if path == best and last.is_file():
        return "last.pt in the same folder is from the last epoch: predict with checkpoint=last, or move best.pt away to continue the run."
    return "Restore an intact copy, or start the run again."


def _copy(value: Any) -> Any:
    """A deep copy of a state: the next step would change its tensors in place."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value
