"""Files that hold a whole graph: `.npz` of numpy.savez and `.mat` of MATLAB, and which of their arrays is what, by its name."""

from __future__ import annotations

import logging
import re
import warnings
import zipfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from gas_cli.config.dataset import ColumnsConfig
from gas_cli.errors import UserError
from gas_cli.graph.sources.names import EDGE_LISTS, KEYS, PIECES, plain
from gas_cli.graph.sources.npy_format import first_line, intact, read_member
from gas_cli.graph.sources.scipy_matrix import matrix_of

log = logging.getLogger(__name__)

ENDS = (("src", "dst"), ("u", "v"), ("row", "col"))
PIECE = re.compile(rf"(.+[_.])({'|'.join(PIECES)})")
MATRICES = (*(name for name in KEYS["edge_index"] if name not in EDGE_LISTS), *KEYS["x"], *KEYS["y"])
SHOWN = 12


@dataclass(frozen=True)
class Stored:
    """The names of what a file holds, and how to read one of them. `pyg`: PyG's names win over others for the same thing."""

    path: Path
    names: Sequence[str]
    read: Callable[[str], Any]
    pyg: bool = False


def recognise(stored: Stored, columns: ColumnsConfig) -> tuple[dict[str, Any], dict[str, str]]:
    """What the file holds by PyG's names, and its own names by PyG's. Names that are not recognised are logged and not read.

    Raises `UserError` where two names may mean the same, and for an array that cannot be read.
    """
    pieces = {key: found for key, found in _pieces(stored.names).items() if key not in columns.ignore}
    asked = {"y": columns.label, "edge_weight": columns.weight}
    keys = {role: key for role in KEYS if (key := _key(stored, role, list(pieces), asked)) is not None}
    ends = None if "edge_index" in keys else _ends(pieces)
    used = {*(ends or ())} | {name for key in keys.values() for name in (pieces[key].values() or [key])}
    if left := [name for name in stored.names if name not in used]:
        log.info("%s: left out: %s.", stored.path, listed(left))
    values = {role: _read(stored, key, pieces[key]) for role, key in keys.items() if role != "class_names"}
    if ends is not None:
        values["edge_index"], keys["edge_index"] = _stacked(stored, ends), "edge_index"
    if "class_names" in keys:
        try:
            values["class_names"] = stored.read(keys["class_names"])
        except UserError as error:  # they only make reports easier to read
            log.info("Without names of classes: %s", error)
    return values, keys


def _ends(names: Collection[str]) -> tuple[str, str] | None:
    """Two arrays that hold the sources and the targets, as programs that use DGL save them."""
    return next((pair for pair in ENDS if set(pair) <= set(names)), None)


def _stacked(stored: Stored, ends: tuple[str, str]) -> Any:
    """[2, E]. Raises `UserError` for arrays that are no such pair."""
    source, target = (np.ravel(stored.read(name)) for name in ends)
    if source.shape != target.shape or {source.dtype.kind, target.dtype.kind} - set("iu"):
        found = f"{ends[0]} and {ends[1]} have shapes {source.shape} and {target.shape}, types {source.dtype} and {target.dtype}"
        raise UserError(f"{stored.path}: {found}. Expected the sources and targets of the edges, whole numbers [E] each.")
    return np.stack([source, target])


def listed(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _pieces(names: Sequence[str]) -> dict[str, dict[str, str]]:
    """By key the arrays of a sparse matrix, `adj_*` for adj_data, adj_indices, …; no arrays for a name that stands for itself."""
    found: dict[str, dict[str, str]] = {}
    for name in names:
        match = PIECE.fullmatch(name)
        if match and plain(match[1][:-1]) in MATRICES:
            found.setdefault(f"{match[1]}*", {})[match[2]] = name
        else:
            found[name] = {}
    return found


def _key(stored: Stored, role: str, keys: list[str], asked: Mapping[str, str | None]) -> str | None:
    setting = {"y": "label", "edge_weight": "weight"}.get(role, "")
    if (name := asked.get(role)) is not None:
        if name not in keys:
            raise UserError(f"{stored.path}: it has no {name!r} (dataset.columns.{setting}). Expected one of {listed(keys)}.")
        return name
    found = [key for key in keys if plain(key.removesuffix("_*").removesuffix(".*")) in KEYS[role] and key not in asked.values()]
    if stored.pyg and role in found:
        return role
    if len(found) > 1:
        choices = f"Type dataset.columns.{setting}={found[0]}, or leave" if setting else "Leave"
        raise UserError(
            f"{stored.path}: {' and '.join(found)} may each be {role}. {choices} one out: dataset.columns.ignore=[{','.join(found[1:])}]."
        )
    return found[0] if found else None


def _read(stored: Stored, key: str, pieces: Mapping[str, str]) -> Any:
    if not pieces:
        return stored.read(key)
    remedy = f"Write {', '.join(key[:-1] + piece for piece in ('data', 'indices', 'indptr', 'shape', 'format'))} of a csr_array again"
    with intact(f"{stored.path}: {key} is not an intact scipy matrix", remedy):
        return matrix_of(stored.path, list(pieces), lambda piece: stored.read(pieces[piece]))


# -- .npz ------------------------------------------------------------------------------------------------------------------------------


def stored_npz(path: Path) -> Stored:
    """The arrays of numpy.savez; arrays of Python objects are never unpickled."""
    with intact(f"{path}: it is not an intact .npz file", "Write it again with numpy.savez"), zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]

    def read(name: str) -> Any:
        again = (
            "Write it again with numpy.savez: numbers as array.astype(float), texts as array.astype(str), "
            f"a scipy matrix m as {name}_data=m.data, {name}_indices=m.indices, {name}_indptr=m.indptr, {name}_shape=m.shape, "
            f"{name}_format=m.format"
        )
        with intact(f"{path}: {name} is not an intact array", again), zipfile.ZipFile(path) as archive:
            return read_member(archive, name)

    return Stored(path, names, read)


# -- .mat ------------------------------------------------------------------------------------------------------------------------------

HDF5 = (b"\x89HDF", b"MATLAB 7.3")


def stored_mat(path: Path) -> Stored:
    """The variables of a MATLAB file up to version 7. Raises `UserError` for one of version 7.3, which is HDF5."""
    import scipy.io

    with path.open("rb") as file:
        if file.read(16).startswith(HDF5):
            remedy = "Save it as version 7: save('graph.mat', '-v7') in MATLAB, or scipy.io.savemat(path, {name: array}) in Python"
            raise UserError(f"{path}: it is a MATLAB file of version 7.3 (HDF5), which is not read. {remedy}.")
    names = [name for name, _, _ in _from_matlab(path, lambda: scipy.io.whosmat(path, appendmat=False))]

    def read(name: str) -> Any:
        found = _from_matlab(path, lambda: scipy.io.loadmat(path, appendmat=False, variable_names=[name])[name])
        return _of_matlab(path, name, found)

    return Stored(path, names, read)


def _from_matlab(path: Path, work: Callable[[], Any]) -> Any:
    try:
        with warnings.catch_warnings(action="ignore"):
            return work()
    except Exception as error:  # damaged bytes make scipy's reader raise nearly anything
        raise UserError(f"{path}: it is not an intact .mat file ({first_line(error)}). Write it again with scipy.io.savemat.") from error


def _of_matlab(path: Path, name: str, value: Any) -> Any:
    """Sparse matrices checked, a cell array of texts as an array of texts, others as they are."""
    if sp.issparse(value):
        with intact(f"{path}: {name} is not an intact sparse matrix", "Write it again with scipy.io.savemat"):
            csc = value.tocsc()
            arrays = {"format": np.array("csc"), "data": csc.data, "indices": csc.indices, "indptr": csc.indptr}
            return matrix_of(path, list(arrays), (arrays | {"shape": np.array(csc.shape)}).__getitem__)
    if value.dtype == object:
        cells = [cell.item() if isinstance(cell, np.ndarray) and cell.size == 1 else "" for cell in value.ravel()]
        if all(isinstance(cell, str) for cell in cells):
            return np.array(cells, str)
    return value
