"""Part ids that the user brings along: from gpmetis, another partitioner, or domain knowledge."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gas_cli.errors import UserError

MAX_PART = int(np.iinfo(np.int32).max)
RENUMBERED = "np.unique(parts, return_inverse=True)[1].ravel()"
REMEDY_NPY = f"save one integer per node with np.save(path, {RENUMBERED})"
REMEDY_TEXT = f"write one integer per line and nothing else, for instance with np.savetxt(path, {RENUMBERED}, fmt='%d')"


def read_parts(file: str, num_nodes: int) -> NDArray[np.int64]:
    """Read part ids [N] from an .npy file, or from a text file of one id per line (as gpmetis writes).

    Ids are 0 or more; gaps are allowed. Raises `UserError` naming the file, the row (the node's id) and the remedy.
    """
    path, content = Path(file), _content(file)
    parts = _parse_npy(path, content) if path.suffix == ".npy" else _parse_text(path, content)
    if len(parts) != num_nodes:
        raise UserError(
            f"{path} holds {len(parts)} part ids for a graph of {num_nodes} nodes: expected one id per node, in the order of the node ids."
        )
    return parts


def file_digest(file: str) -> str:
    """A hash of the file's bytes, for the cache: an edited file is another partition."""
    return hashlib.blake2b(_content(file), digest_size=16).hexdigest()


def _content(file: str) -> bytes:
    try:
        return Path(file).expanduser().read_bytes()
    except FileNotFoundError as error:
        raise UserError(f"partitioner.file={file}: not found; expected an .npy or .txt file with one part id per node.") from error
    except OSError as error:
        raise UserError(
            f"partitioner.file={file} cannot be read ({error.strerror or error}): expected an .npy or .txt file with one part id per node."
        ) from error


def _parse_npy(path: Path, content: bytes) -> NDArray[np.int64]:
    try:
        array = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError) as error:  # truncated, no .npy at all, or a pickle
        raise UserError(f"{path} is not a complete .npy file of numbers ({error}): {REMEDY_NPY}.") from error
    if not isinstance(array, np.ndarray) or array.ndim != 1:
        raise UserError(f"{path} holds an array of shape {getattr(array, 'shape', '?')}: expected one dimension; {REMEDY_NPY}.")
    if not np.issubdtype(array.dtype, np.integer):
        raise UserError(f"{path}, row 0, holds {array.dtype} values: expected integers; {REMEDY_NPY}.")
    bad = (array < 0) | (array > MAX_PART)
    if bad.any():
        row = int(bad.argmax())
        raise UserError(f"{path}, row {row}, holds part id {array[row]}: expected 0 to {MAX_PART}; {REMEDY_NPY}.")
    return array.astype(np.int64)


def _parse_text(path: Path, content: bytes) -> NDArray[np.int64]:
    lines = content.decode("utf-8", errors="replace").rstrip().split("\n")
    return np.fromiter((_parse_line(line, row, path) for row, line in enumerate(lines)), np.int64, len(lines))


def _parse_line(line: str, row: int, path: Path) -> int:
    text = line.strip()
    if not (text.isascii() and text.isdigit() and int(text) <= MAX_PART):
        shown = text if len(text) <= 40 else text[:40] + "..."
        raise UserError(f"{path}, row {row} (line {row + 1}), holds {shown!r}: expected an integer from 0 to {MAX_PART}; {REMEDY_TEXT}.")
    return int(text)
