"""Checkpoints: written whole or not at all, read without running code from them."""

from __future__ import annotations

import contextlib
import os
import pickle
import zipfile
import zlib
from pathlib import Path
from typing import Any

import torch

from gas_cli.errors import UserError

FORMAT = 1

_DAMAGED = (zipfile.BadZipFile, zlib.error, NotImplementedError)
"""What zipfile raises for bytes that are no archive, or no longer one. NotImplementedError is among them because a flipped bit in the
directory's compression method, version or flags of a record reads as a format that zipfile does not know."""


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write `state` under a temporary name, flush it to the disk, and rename: a crash leaves the previous file.

    Raises UserError where the disk is full or the folder not writable; the previous checkpoint stays.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            torch.save({"format": FORMAT, **state}, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except (OSError, RuntimeError) as error:  # torch wraps a failed write in a RuntimeError of its archive writer
        cause = error if isinstance(error, OSError) else error.__context__
        if not isinstance(cause, OSError):
            raise
        with contextlib.suppress(OSError):  # where it could not even be made
            temporary.unlink()
        kept = f" The previous checkpoint {path} is intact." if path.exists() else ""
        raise UserError(
            f"Cannot write the checkpoint {path}: {os.strerror(cause.errno or 0)}.{kept} "
            f"Make room (or the folder writable), then continue with: gas-train resume={path.parent.parent}"
        ) from error


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint with `weights_only=True`. Raises UserError where it is missing, damaged (by a single bit) or of another format."""
    if not path.is_file():
        raise UserError(f"No checkpoint at {path}: expected a run's folder with checkpoints/{path.name} in it.")
    try:
        _check_sums(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (*_DAMAGED, RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError, OSError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(
            f"The checkpoint {path} cannot be read ({reason}): it is damaged or not a checkpoint of gas-train. {_remedy(path)}"
        ) from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        found = state.get("format") if isinstance(state, dict) else type(state).__name__
        raise UserError(f"The checkpoint {path} has format {found}: expected {FORMAT}. It was written by another version of gas-train.")
    return state


def _check_sums(path: Path) -> None:
    """Raise where a record differs from its CRC-32: torch writes the sums into the archive but does not look at them."""
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise zipfile.BadZipFile(f"the checksum of {damaged} is wrong")


def _remedy(path: Path) -> str:
    other = path.with_name("last.pt" if path.name == "best.pt" else "best.pt")
    if other.is_file():
        return f"{other.name} beside it is a whole checkpoint of another epoch: put a copy of it in the place of {path.name}."
    return "Bring an intact copy back, or start the run again."
