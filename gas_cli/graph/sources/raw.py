"""What the readers of raw files share: where the files may lie, and one message for a damaged one."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gas_cli.errors import UserError


def choose_folder(root: str, candidates: Sequence[str], names: Sequence[str]) -> Path:
    """The folder below `root` that holds most of the files `names`; the first candidate where none holds any."""
    folders = [Path(root).expanduser().absolute() / candidate for candidate in candidates]
    return max(folders, key=lambda folder: sum((folder / name).is_file() for name in names))  # max keeps the first of equals


def damaged(path: Path, reason: object) -> UserError:
    """The error for a file that is there but is not what it should be."""
    return UserError(
        f"{path} cannot be used ({reason}): delete it and download it again (dataset.download=true), or replace it with an intact copy."
    )


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what a truncated or corrupt file raises while it is read into a `UserError` with its path and the reason."""
    try:
        yield
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
        # RuntimeError: zipfile's word for a damaged header that seems to ask for a password or an unknown compression
        raise damaged(path, f"{type(error).__name__}: {error}") from error


def read_json(path: Path, keys: Sequence[str] = ()) -> dict[str, Any]:
    """The JSON object in `path`, which must have `keys`. Raises `UserError` for anything else."""
    with reading(path):
        content = json.loads(path.read_bytes())
    if not isinstance(content, dict) or any(key not in content for key in keys):
        raise damaged(path, f"expected a JSON object{' with ' + ', '.join(keys) if keys else ''}")
    return content


def as_array(path: Path, what: str, values: Any, dtype: type[np.generic], ndim: int) -> NDArray[Any]:
    """Lists or an array from `path` as an array of `dtype`; integers may not come from fractions.

    Raises `UserError` naming `what` where rows differ in length, an entry is no number, or there are not `ndim` dimensions.
    """
    try:
        found = np.asarray(values)
        array = found.astype(dtype, copy=False)
    except (ValueError, TypeError, OverflowError) as error:
        raise damaged(path, f"its {what} are not numbers in equal rows: {error}") from error
    if found.dtype.kind not in "biuf" or array.ndim != ndim:
        raise damaged(path, f"its {what} have shape {found.shape} and type {found.dtype}: expected numbers in {ndim} dimension(s)")
    if found.dtype.kind == "f" and array.dtype.kind in "iu" and not np.array_equal(found, array):
        raise damaged(path, f"its {what} hold a fraction where whole numbers were expected")
    return array


def read_csr(arrays: Mapping[str, Any], prefix: str = "", *, pattern: bool = False) -> sp.csr_array:
    """The CSR matrix stored as `<prefix>data`, `indices`, `indptr` and `shape`, checked before scipy's C code reads it.

    `pattern` ignores the values: every stored entry is 1 (int8). Raises `ValueError` and `KeyError` for arrays that are no matrix.
    """
    indices, indptr, shape = (arrays[f"{prefix}{part}"] for part in ("indices", "indptr", "shape"))
    data = np.ones(np.shape(indices), np.int8) if pattern else arrays[f"{prefix}data"].astype(np.float32)
    matrix = sp.csr_array((data, indices, indptr), shape=tuple(np.ravel(shape).tolist()))
    matrix.check_format(full_check=True)
    return matrix
