"""Arrays in numpy's file format, checked before anything is allocated: plain .npy files, and the members of an .npz archive."""

from __future__ import annotations

import io
import math
import warnings
import weakref
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from gas_cli.errors import UserError

MAGIC = b"\x93NUMPY"

LARGEST_RATIO = 1100
"""More than deflate can compress anything: what claims to be larger is no intact archive, and nothing is allocated for it."""

_mapped: weakref.WeakValueDictionary[int, np.memmap[Any, Any]] = weakref.WeakValueDictionary()
"""The arrays that are mapped now, by their address: a tensor of one has the address, but does not say of which file it is."""


@dataclass(frozen=True)
class Header:
    """What an array's header promises: `shape`, `dtype`, the order of its entries, and the byte at which they begin."""

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype[Any]
    offset: int

    @property
    def nbytes(self) -> int:
        """Bytes of the entries, exact however large."""
        return math.prod(self.shape) * self.dtype.itemsize

    def check(self, size: int) -> None:
        """Raise `ValueError` where an array with this header does not have exactly `size` bytes in all, or holds anything but numbers."""
        if self.dtype.hasobject:
            raise ValueError("it holds Python objects; pickled files are not read")
        if self.dtype.names is not None:
            raise ValueError(f"it is a structured array with the fields {', '.join(self.dtype.names[:8])}")
        if self.dtype.kind not in "biufSUcMmV":
            raise ValueError(f"it holds {self.dtype}")
        if self.dtype.itemsize and self.offset + self.nbytes != size:
            beyond = size - self.offset - self.nbytes
            more = f"{beyond} bytes follow its end" if beyond > 0 else f"{-beyond} of its {self.nbytes} bytes are missing"
            raise ValueError(f"its header says {self.dtype} of shape {self.shape}, but {more}")


def read_header(stream: IO[bytes]) -> Header:
    """The header at the beginning of `stream`, which is left at the first entry. Raises `ValueError` where it is damaged."""
    start = stream.read(len(MAGIC))
    if start != MAGIC:
        raise ValueError(_what_begins_with(start))
    try:
        version = tuple(stream.read(2))
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        with warnings.catch_warnings(action="ignore"):  # Python's words for odd literals; what is wrong is said below
            shape, fortran_order, dtype = read(stream)
    except Exception as error:  # a damaged header makes numpy's parser raise nearly anything: SyntaxError, TokenError, TypeError, …
        raise ValueError(f"its header is damaged: {first_line(error)}") from error
    if any(isinstance(length, bool) or not 0 <= length <= np.iinfo(np.int64).max for length in shape):
        raise ValueError(f"its header is damaged: shape {shape}")
    return Header(shape, fortran_order, dtype, stream.tell())


def map_array(path: Path) -> NDArray[Any]:
    """The array in the .npy file `path`, mapped copy-on-write. Raises `ValueError` and `OSError`."""
    with path.open("rb") as stream:
        header = read_header(stream)
    header.check(path.stat().st_size)
    if header.nbytes == 0:  # nothing to map
        return np.empty(header.shape, header.dtype)
    array = np.memmap(path, header.dtype, "c", header.offset, header.shape, "F" if header.fortran_order else "C")
    _mapped[array.ctypes.data] = array
    return array


def file_of(array: NDArray[Any]) -> Path | None:
    """The .npy file of which `array`, or the tensor behind it, is the whole, as `map_array` gave it; None for all others."""
    mapped = _mapped.get(array.ctypes.data)
    whole = mapped is not None and (mapped.shape, mapped.strides, mapped.dtype) == (array.shape, array.strides, array.dtype)
    return Path(mapped.filename) if mapped is not None and whole and mapped.filename is not None else None


def read_member(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """The array `name` of an .npz archive. Raises `KeyError` where there is none, `ValueError` and zipfile's errors where it is damaged."""
    info = archive.getinfo(f"{name}.npy")
    with archive.open(info) as member, io.BufferedReader(member) as stream:  # type: ignore[type-var]  # typed as IO, it is a raw stream
        header = read_header(stream)
        header.check(info.file_size)
        if header.nbytes > LARGEST_RATIO * info.compress_size:
            raise ValueError(f"{name} claims {header.nbytes} bytes, compressed to {info.compress_size}")
        content = bytearray(header.nbytes)
        if stream.readinto(content) != header.nbytes or stream.read(1):  # the second read is what makes zipfile compare checksums
            raise ValueError(f"{name} ends too early")
    array = np.frombuffer(content, header.dtype) if content else np.empty(0, header.dtype)
    return array.reshape(header.shape, order="F" if header.fortran_order else "C")


@contextmanager
def intact(what: str, remedy: str) -> Iterator[None]:
    """Turn what a damaged archive of arrays raises while it is read into a `UserError`; `what` names the file and what it should be."""
    try:
        yield
    except KeyError as error:
        raise UserError(f"{what} (an array is missing: {error.args[0]}). {remedy}.") from error
    except MemoryError as error:
        raise UserError(f"{what.partition(': ')[0]}: it does not fit into memory. Store a smaller matrix, or split it.") from error
    except (OSError, EOFError, ValueError, TypeError, OverflowError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        # RuntimeError: zipfile's word for a damaged header that seems to ask for a password or another compression
        raise UserError(f"{what} ({first_line(error)}). {remedy}.") from error


def first_line(error: Exception) -> str:
    """What an exception says, in one line without a full stop; its type where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(". ")


def _what_begins_with(start: bytes) -> str:
    if not start:
        return "it is empty"
    if start[:1] == b"\x80":
        return "it is a pickle; pickled files are not read"
    if start[:2] == b"PK":
        return "it is a zip archive, as of numpy.savez"
    if start[:2] == b"\x1f\x8b":
        return "it is compressed with gzip"
    return "it does not begin as an .npy file does"
