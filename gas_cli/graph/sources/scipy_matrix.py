"""Matrices that scipy.sparse.save_npz wrote, in every format that it writes."""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gas_cli.graph.sources.float32 import say_rounded
from gas_cli.graph.sources.npy_format import intact, read_member

log = logging.getLogger(__name__)

Read = Callable[[str], NDArray[Any]]
Shape = tuple[int, int]


def read_matrix(path: Path) -> sp.sparray:
    """The matrix in `path`, in the format in which it was stored: float32, or bool where it was.

    Every array is checked before scipy's C code reads it; nothing is as large as the shape says before the caller has checked the shape.
    Raises `UserError` for a file that is damaged, holds no matrix or anything but numbers.
    """
    with intact(f"{path}: it is not an intact scipy matrix", "Write it again with scipy.sparse.save_npz"), zipfile.ZipFile(path) as archive:
        stored = [name.removesuffix(".npy") for name in archive.namelist()]
        if "format" not in stored:
            raise ValueError(f"it holds the arrays {', '.join(stored[:8]) or '(none)'} and does not name its scipy format")
        return matrix_of(path, stored, lambda name: read_member(archive, name))


def merged(matrix: sp.sparray, path: Path) -> sp.csr_array:
    """`matrix` as float32 CSR with sorted rows; entries that repeat others are added up, as scipy does, and their number is said.

    Call it once the shape has been checked: the result has as many row pointers as the shape says.
    """
    listed = matrix.tocoo() if matrix.format in ("bsr", "dia") else matrix
    stored = listed.nnz
    csr = listed.tocsr()
    csr.sum_duplicates()  # and sorts
    if repeated := stored - csr.nnz:
        log.info("%s: %s entries repeat others; their values were added, as scipy does.", path, f"{repeated:,}")
    return csr if csr.dtype == np.float32 else csr.astype(np.float32)


def matrix_of(path: Path, stored: Sequence[str], read: Read) -> sp.sparray:
    """The matrix whose arrays are called `stored`; without `format`, coordinates mean COO, and pointers CSR, or CSC where only that fits.

    Raises `ValueError` and `KeyError` for arrays that are no matrix.
    """
    shape = _shape(read("shape"))
    form = read("format").item() if "format" in stored else _by_pointers(path, read("indptr"), shape) if "indptr" in stored else "coo"
    form = form.decode("ascii", "replace") if isinstance(form, bytes) else str(form)
    data = _numbers(path, read("data"))
    if form in ("csr", "csc", "bsr"):
        return _compressed(form, data, _whole(read("indices"), "indices"), _whole(read("indptr"), "indptr"), shape)
    if form == "dia":
        return _diagonals(data, _whole(read("offsets"), "offsets"), shape)
    if form == "coo":
        ends = _whole(read("coords"), "coords", 2) if "coords" in stored else [_whole(read(name), name) for name in ("row", "col")]
        return _coordinates(data, tuple(ends), shape)
    raise ValueError(f"its format is {form[:20]!r}, expected csr, csc, coo, bsr or dia")


def _by_pointers(path: Path, indptr: NDArray[Any], shape: Shape) -> str:
    """csr or csc, by the number of the pointers; a square matrix may be either, and is taken as CSR."""
    rows, columns = shape
    if rows == columns:
        log.info(
            "%s: a square sparse matrix does not name its format, so it is read as CSR: indptr divides its entries into rows. "
            "If it is CSC, store its arrays with another one, *_format='csc'.", path,
        )  # fmt: skip
    return "csc" if rows != columns and np.shape(indptr) == (columns + 1,) else "csr"


def _compressed(form: str, data: NDArray[Any], indices: NDArray[Any], indptr: NDArray[Any], shape: Shape) -> sp.sparray:
    if data.ndim != (3 if form == "bsr" else 1):
        raise ValueError(f"its data have shape {data.shape}, which does not fit format {form}")
    build = {"csr": sp.csr_array, "csc": sp.csc_array, "bsr": sp.bsr_array}[form]
    matrix = build((data, indices, indptr), shape=shape)
    matrix.check_format(full_check=True)
    return matrix


def _diagonals(data: NDArray[Any], offsets: NDArray[Any], shape: Shape) -> sp.sparray:
    if data.ndim != 2 or data.shape[0] != offsets.shape[0]:
        raise ValueError(f"its {offsets.shape[0]} offsets do not fit its data of shape {data.shape}")
    if np.unique(offsets).shape != offsets.shape:
        raise ValueError("an offset is repeated")
    rows, columns = shape
    if offsets.size and not (-rows < int(offsets.min()) and int(offsets.max()) < columns):
        raise ValueError(f"an offset is outside of shape {shape}")
    if data.shape[1] > columns:
        raise ValueError(f"its diagonals of {data.shape[1]} entries are longer than the {columns} columns")
    return sp.dia_array((data, offsets), shape=shape)


def _coordinates(data: NDArray[Any], ends: tuple[NDArray[Any], ...], shape: Shape) -> sp.sparray:
    if len(ends) != 2 or any(end.shape != data.shape for end in ends) or data.ndim != 1:
        raise ValueError(f"its coordinates {[end.shape for end in ends]} do not fit its data {data.shape}")
    for name, end, length in zip(("row", "column"), ends, shape, strict=True):
        outside = np.flatnonzero((end < 0) | (end >= length))
        if outside.size:
            raise ValueError(f"entry {outside[0]} is in {name} {end[outside[0]]} of {length}")
    return sp.coo_array((data, ends), shape=shape)


def _shape(stored: NDArray[Any]) -> Shape:
    lengths = _whole(np.ravel(stored), "shape").tolist()
    if len(lengths) != 2 or not all(0 <= length <= np.iinfo(np.int32).max for length in lengths):
        raise ValueError(f"its shape is {tuple(lengths[:4])}")
    return lengths[0], lengths[1]


def _whole(array: NDArray[Any], name: str, ndim: int = 1) -> NDArray[Any]:
    if array.dtype.kind not in "iu" or array.ndim != ndim:
        raise ValueError(f"its {name} are {array.dtype} of shape {array.shape}")
    if array.size and int(array.max()) > np.iinfo(np.int64).max:
        raise ValueError(f"its {name} have {int(array.max())}, which is beyond 64 bits with a sign")
    narrow = not array.size or (np.iinfo(np.int32).min <= int(array.min()) and int(array.max()) <= np.iinfo(np.int32).max)
    return np.ascontiguousarray(array, np.int32 if narrow else np.int64)


def _numbers(path: Path, data: NDArray[Any]) -> NDArray[Any]:
    """bool as it is (two stored ones are one), float32 else; numbers beyond that become infinite, which callers refuse."""
    if data.dtype.kind not in "biuf":
        raise ValueError(f"its entries are {data.dtype}, expected numbers")
    if data.dtype.kind == "b":
        return np.ascontiguousarray(data)
    say_rounded(path, data, "number", "entry")
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(data, np.float32)
