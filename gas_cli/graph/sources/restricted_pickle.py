"""Reading the pickles of the citation graphs without running what a pickle may ask for."""

from __future__ import annotations

import collections
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from gas_cli.graph.sources.raw import damaged, reading


class SparseState:
    """Stands in for scipy's CSR matrix: takes the pickled state, and is checked before it becomes a matrix."""

    data: Any
    indices: Any
    indptr: Any
    _shape: tuple[int, int]

    def to_csr(self) -> sp.csr_array:
        """Raises `ValueError` where the arrays are no matrix, such as with columns out of range."""
        matrix = sp.csr_array((self.data, self.indices, self.indptr), shape=self._shape)
        matrix.check_format(full_check=True)
        return matrix


def encode_latin1(text: str, encoding: str) -> bytes:
    """What Python 3 writes for bytes in protocol 2; the general form would load any codec."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it asks for the encoding {encoding!r}, which no graph needs")
    return text.encode("latin1")


_ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("collections", "defaultdict"): collections.defaultdict,
    ("__builtin__", "list"): list,
    ("builtins", "list"): list,
    ("_codecs", "encode"): encode_latin1,
    ("scipy.sparse.csr", "csr_matrix"): SparseState,
    ("scipy.sparse._csr", "csr_matrix"): SparseState,
    # numpy's own constructor of unpickled arrays, whose module differs between versions
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numpy._core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
}


_RAISED_BY_DAMAGE = (
    pickle.UnpicklingError,
    EOFError,
    AttributeError,
    ImportError,
    IndexError,
    KeyError,
    TypeError,
    ValueError,
    OverflowError,
    MemoryError,
)
"""The pickle module names the first five "and others"; the rest come from damaged opcodes and sizes."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no graph needs")
        return _ADMITTED[module, name]


def read_array(path: Path) -> Any:
    """The numpy array in the pickle at `path`. Raises `UserError` for anything else."""
    content = _read(path)
    if not isinstance(content, np.ndarray) or content.dtype.kind not in "biuf":
        raise damaged(path, "it does not hold an array of numbers")
    return content


def read_sparse(path: Path) -> sp.csr_array:
    """The CSR matrix in the pickle at `path`. Raises `UserError` for anything else."""
    content = _read(path)
    if not isinstance(content, SparseState):
        raise damaged(path, "it does not hold a sparse matrix")
    try:
        return content.to_csr()
    except (ValueError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise damaged(path, error) from error


def read_adjacency(path: Path) -> dict[int, list[int]]:
    """The dictionary node -> list of neighbours in the pickle at `path`. Raises `UserError` for anything else."""
    content = _read(path)
    if not isinstance(content, dict) or not all(_is_entry(node, neighbours) for node, neighbours in content.items()):
        raise damaged(path, "it does not hold lists of neighbours")
    return content


def _is_entry(node: object, neighbours: object) -> bool:
    return isinstance(node, int) and isinstance(neighbours, list) and all(isinstance(other, int) for other in neighbours)


def _read(path: Path) -> Any:
    with reading(path):
        content = path.read_bytes()
    try:
        return _Unpickler(io.BytesIO(content), encoding="latin1").load()  # written by Python 2
    except _RAISED_BY_DAMAGE as error:
        raise damaged(path, f"{type(error).__name__}: {error}") from error
