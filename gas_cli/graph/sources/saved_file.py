"""What torch saved, as a dictionary of tensors and arrays; nothing in the file is executed."""

from __future__ import annotations

import io
import pickle
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gas_cli.errors import UserError
from gas_cli.graph.sources.npy_format import first_line
from gas_cli.graph.sources.restricted_pickle import encode_latin1
from gas_cli.graph.sources.typed import EdgeType, Types, spelled

CONSTRUCTORS: dict[str, Any] = {"_reconstruct": np.empty(0).__reduce__()[0], "scalar": np.float64(0).__reduce__()[0]}
ARRAYS: list[Any] = [
    np.ndarray,
    np.dtype,
    *{type(np.dtype(code)) for code in np.typecodes["All"]},
    *((made, f"numpy.{module}.multiarray.{name}") for name, made in CONSTRUCTORS.items() for module in ("core", "_core")),
    (encode_latin1, "_codecs.encode"),
]
"""What pickled arrays and numbers of numpy ask for, beside tensors; numpy checks the sizes itself, and its version decides the module."""

SAVE_AGAIN = "Save a torch_geometric Data, or a dictionary, of tensors: torch.save(data, path)"


def load_values(path: Path) -> dict[str, Any] | Types:
    """The attributes of the PyG `Data` (of any version), the entries of the dictionary, or the types of the `HeteroData`, in `path`.

    Raises `UserError` for a damaged file, and for one with other objects: the message says under which key.
    """
    from torch_geometric.data.data import Data, DataEdgeAttr, DataTensorAttr
    from torch_geometric.data.feature_store import TensorAttr
    from torch_geometric.data.graph_store import EdgeAttr
    from torch_geometric.data.hetero_data import HeteroData
    from torch_geometric.data.storage import BaseStorage, EdgeStorage, GlobalStorage, NodeStorage

    stores = (BaseStorage, GlobalStorage, NodeStorage, EdgeStorage)
    of_pyg = (Data, HeteroData, DataEdgeAttr, DataTensorAttr, EdgeAttr, TensorAttr, *stores)
    sizes = _checked_records(path)
    try:
        admitted = torch.serialization.safe_globals([*of_pyg, *ARRAYS])
        with admitted, warnings.catch_warnings(action="ignore"):  # torch's words about damaged protocol numbers
            content = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # damaged bytes make the unpickler raise nearly anything
        if isinstance(error, pickle.UnpicklingError) and sizes:
            raise _other_objects(path, _foreign_objects(path)) from error
        raise UserError(f"{path}: it is not an intact file of torch.save ({first_line(error)}). Write it again.") from error
    if isinstance(content, HeteroData):
        return _types(path, content, sizes)
    values = _attributes(content) if isinstance(content, Data) else content
    if not isinstance(values, dict):
        hint = "To save one graph of a dataset: torch.save(dataset[0], path)" if isinstance(content, (tuple, list)) else SAVE_AGAIN
        raise UserError(
            f"{path}: it holds a {type(content).__name__}. Expected a torch_geometric Data, or a dictionary of tensors. {hint}."
        )
    _check_sizes(path, values, sizes)
    return values


def _check_sizes(path: Path, values: dict[Any, Any], sizes: set[int], of: str = "") -> None:
    for key, value in values.items():
        if sizes and isinstance(value, torch.Tensor) and value.layout == torch.strided and value.untyped_storage().nbytes() not in sizes:
            raise UserError(f"{path}: {of}{key} claims more or fewer numbers than the file holds. Write it again with torch.save.")


def _types(path: Path, data: Any, sizes: set[int]) -> Types:
    """Of a `HeteroData` as it was pickled."""
    nodes: dict[str, dict[str, Any]] = {}
    edges: dict[EdgeType, dict[str, Any]] = {}
    try:
        for name, store in vars(data)["_node_store_dict"].items():
            nodes[str(name)] = dict(vars(store)["_mapping"])
        for (source, relation, target), store in vars(data)["_edge_store_dict"].items():
            edges[str(source), str(relation), str(target)] = dict(vars(store)["_mapping"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path}: it is not an intact HeteroData ({first_line(error)}). Write it again with torch.save.") from error
    for kind, values in (*nodes.items(), *((spelled(kind), values) for kind, values in edges.items())):
        _check_sizes(path, values, sizes, f"{kind}.")
    return Types(nodes, edges)


def _attributes(data: Any) -> Any:
    """Of a `Data` as it was pickled: before PyG 2.0 attributes stood in the object itself, None where there were none."""
    state = vars(data)
    values = vars(state["_store"]).get("_mapping") if "_store" in state else state
    return {key: value for key, value in values.items() if value is not None} if isinstance(values, dict) else values


def _checked_records(path: Path) -> set[int]:
    """The sizes of the records in the archive, none in a file of torch before 1.6; torch itself does not compare their checksums."""
    try:
        if path.stat().st_size == 0:
            raise ValueError("it is empty")
        if not zipfile.is_zipfile(path):
            return set()
        with zipfile.ZipFile(path) as archive:
            if (bad := archive.testzip()) is not None:
                raise ValueError(f"the checksum of {bad} is wrong")
            return {record.file_size for record in archive.infolist()}
    except Exception as error:  # a damaged archive decides what zipfile raises: BadZipFile, zlib.error, struct.error, …
        raise UserError(f"{path}: it is not an intact file of torch.save ({first_line(error)}). Write it again.") from error


def _other_objects(path: Path, foreign: dict[str, str]) -> UserError:
    if "" in foreign:
        return UserError(f"{path}: it holds a {foreign['']}, and nothing in it is executed. {SAVE_AGAIN}.")
    if not foreign:
        return UserError(f"{path}: it holds more than tensors, and nothing in it is executed. {SAVE_AGAIN}.")
    key, kind = next(iter(foreign.items()))
    return UserError(
        f"{path}: it holds more than tensors, and nothing in it is executed: {key} is of {kind}. "
        f"Delete it before torch.save (del data[{key!r}]), or make it a tensor."
    )


class _Foreign:
    """Stands in for any object of a pickle: takes whatever is done to it, and does nothing."""

    def __new__(cls, *_args: Any, **_kwargs: Any) -> _Foreign:
        return super().__new__(cls)

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        self.state: Any = None

    def __call__(self, *_args: Any, **_kwargs: Any) -> _Foreign:
        return self

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, value: Any) -> None:
        pass

    def extend(self, values: Any) -> None:
        pass

    def add(self, value: Any) -> None:
        pass


class _Inspector(pickle.Unpickler):
    """Builds containers and plain values; every class and function in the file becomes a `_Foreign` of its name."""

    def find_class(self, module: str, name: str) -> Any:
        return type(name, (_Foreign,), {"origin": f"{module}.{name}"})

    def persistent_load(self, pid: Any) -> Any:
        return None


HARMLESS = (
    *("torch._utils._rebuild_", "torch._tensor._rebuild", "torch.Size", "torch.device", "torch.serialization.", "collections.OrderedDict"),
    *("numpy.", "_codecs.encode", "torch_geometric.data.data.Data", "torch_geometric.data.hetero_data.", "torch_geometric.data.storage."),
)
"""How the names begin of what may be in the file; storages are told by how theirs end."""


def _foreign_objects(path: Path) -> dict[str, str]:
    """The class of the object that is no tensor or array, by its key; "" is the whole content. Empty where it cannot be told."""
    try:
        with zipfile.ZipFile(path) as archive:
            name = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
            content = _Inspector(io.BytesIO(archive.read(name))).load()
    except Exception:  # this only helps to word a message: a file that it cannot read is described without
        return {}
    origin = _origin(content)
    if origin and not _harmless(origin):
        return {"": origin}
    return dict(_of_entries(content))


def _of_entries(content: Any) -> Iterator[tuple[str, str]]:
    if isinstance(content, _Foreign) and isinstance(content.state, dict) and "_node_store_dict" in content.state:
        for kind, store in [*content.state["_node_store_dict"].items(), *content.state["_edge_store_dict"].items()]:
            for key, origin in _of_entries(store.state["_mapping"]):
                yield f"{kind if isinstance(kind, str) else spelled(kind)}.{key}", origin
        return
    if isinstance(content, _Foreign) and isinstance(content.state, dict):
        store = content.state.get("_store")
        state = store.state if isinstance(store, _Foreign) else content.state
        content = state.get("_mapping", state) if isinstance(state, dict) else None
    if isinstance(content, dict):
        for key, value in content.items():
            origin = next((found for found in _origins(value) if not _harmless(found)), "")
            if origin:
                yield str(key), origin


def _harmless(origin: str) -> bool:
    return origin.startswith(HARMLESS) or (origin.startswith("torch.") and origin.endswith("Storage"))


def _origins(value: Any, depth: int = 8) -> Iterator[str]:
    """The classes of `value` and of what is in it."""
    if origin := _origin(value):
        yield origin
    inside = value.state if isinstance(value, _Foreign) else value
    items = [*inside.keys(), *inside.values()] if isinstance(inside, dict) else inside if isinstance(inside, (list, tuple, set)) else []
    for item in items if depth else []:
        yield from _origins(item, depth - 1)


def _origin(value: Any) -> str:
    found = value if isinstance(value, type) else type(value)
    return str(getattr(found, "origin", ""))
