"""One array of an .npz file in pieces, for arrays that are larger than memory."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from gas_cli.graph.sources.npy_format import read_header
from gas_cli.graph.sources.raw import damaged, reading


@dataclass(frozen=True)
class ZippedArray:
    """The array `name` in the .npz file `path`: its header, and its entries in the order in which they are stored.

    Raises `UserError` where the file is damaged or the array is none of plain numbers.
    """

    path: Path
    name: str
    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype[Any]

    @classmethod
    def find(cls, path: Path, name: str) -> ZippedArray:
        with reading(path), _member(path, name) as stream:
            header = read_header(stream)
        if header.dtype.kind not in "biuf":
            raise damaged(path, f"{name} holds {header.dtype} where numbers were expected")
        return cls(path, name, header.shape, header.fortran_order, header.dtype)

    def pieces(self, start: int, stop: int, length: int) -> Iterator[NDArray[Any]]:
        """The stored entries [start, stop), `length` at a time (fewer in the last piece)."""
        with reading(self.path), _member(self.path, self.name) as stream:
            read_header(stream)
            stream.seek(start * self.dtype.itemsize, 1)
            for first in range(start, stop, length):
                yield np.frombuffer(self._exactly(stream, min(length, stop - first)), self.dtype)

    def _exactly(self, stream: IO[bytes], count: int) -> bytes:
        content = stream.read(count * self.dtype.itemsize)
        if len(content) != count * self.dtype.itemsize:
            raise damaged(self.path, f"{self.name} ends too early")
        return content


@contextlib.contextmanager
def _member(path: Path, name: str) -> Iterator[IO[bytes]]:
    with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as stream:
        yield stream
