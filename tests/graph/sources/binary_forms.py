"""One small graph in every binary form and number type that the tool reads."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch import nn
from torch_geometric.data import Data

from gas_cli.errors import UserError
from gas_cli.graph.graph import Graph, Split
from gas_cli.graph.topology import build_adjacency
from tests.graph.sources.own_folder import load

PARTS = ("train", "val", "test")
IDS = ("<i8", ">i8", "<i4", ">i4", "<i2", "i1", "u1", "<u2", ">u4", "<u8", ">u8", "<f4", ">f8", "<f2", "longdouble")
NUMBERS = ("<f4", ">f4", "<f8", ">f8", "<f2", ">f2", "longdouble", "i1", "<i8", ">u8")
MASKS = ("?", "u1", ">i8", "<f2", ">f8")
MATRICES = ("csr", "csc", "coo", "bsr", "dia")
TENSOR_IDS = (torch.int64, torch.int32, torch.int16, torch.uint8, torch.float64, torch.float16, torch.bfloat16)
TENSOR_NUMBERS = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int8)
TENSOR_MASKS = (torch.bool, torch.uint8, torch.int64, torch.float16, torch.float64)


@dataclass(frozen=True)
class Plain:
    """edges [2, E], weight [E] or None, features [N, F], labels [N], masks by part [N]; whole numbers, which every type holds exactly."""

    edges: np.ndarray
    weight: np.ndarray | None
    features: np.ndarray
    labels: np.ndarray
    masks: dict[str, np.ndarray]

    @property
    def num_nodes(self) -> int:
        return len(self.labels)

    def graph(self) -> Graph:
        """What each of its forms is to be read as."""
        weight = None if self.weight is None else self.weight.astype(np.float32)
        adj = build_adjacency(self.edges, self.num_nodes, weight, symmetrise=False)
        split = Split(*(torch.from_numpy(self.masks[part]) for part in PARTS))
        x, y = torch.from_numpy(self.features.astype(np.float32)), torch.from_numpy(self.labels)
        return Graph("mine", x, adj, y, (split,), int(self.labels.max()) + 1, "accuracy", adj.symmetric)


def plain_graph(seed: int, weighted: bool, parallel: bool = True) -> Plain:
    """6 to 20 nodes of three classes, with self-loops and, if `parallel`, edges listed twice."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(6, 21))
    edges = rng.integers(0, n, (2, int(rng.integers(1, 4 * n))))
    edges = edges if parallel else np.unique(edges, axis=1)
    weight = rng.integers(1, 9, edges.shape[1]) if weighted else None
    features = rng.integers(0, 9, (n, int(rng.integers(1, 5))))
    role = np.arange(n) % 3
    return Plain(edges, weight, features, rng.permutation(np.arange(n) % 3), {part: role == i for i, part in enumerate(PARTS)})


def write_arrays(folder: Path, plain: Plain, ids: str, numbers: str, masks: str, fortran: bool) -> Path:
    """As .npy files of the given types."""
    order: Any = "F" if fortran else "C"
    folder.mkdir(exist_ok=True)
    np.save(folder / "edges.npy", plain.edges.astype(ids, order=order))
    np.save(folder / "features.npy", plain.features.astype(numbers, order=order))
    np.save(folder / "labels.npy", plain.labels.astype(ids))
    if plain.weight is not None:
        np.save(folder / "edge_weight.npy", plain.weight.astype(numbers))
    for part, mask in plain.masks.items():
        np.save(folder / f"{part}_mask.npy", mask.astype(masks))
    return folder


def write_matrices(folder: Path, plain: Plain, form: str, numbers: str, compressed: bool) -> Path:
    """Edges and features as matrices of scipy, which has no float16 and only the machine's byte order; the rest as .npy files."""
    write_arrays(folder, plain, "<i8", "<f4", "?", False)
    for stem in ("edges", "features", "edge_weight"):
        (folder / f"{stem}.npy").unlink(missing_ok=True)
    kind = np.dtype(numbers).newbyteorder("=")
    kind = np.dtype(np.float32) if kind == np.float16 else kind
    weight = np.ones(plain.edges.shape[1]) if plain.weight is None else plain.weight
    links = sp.coo_array((weight.astype(kind), tuple(plain.edges)), shape=(plain.num_nodes, plain.num_nodes))
    sp.save_npz(folder / "edges.npz", links.asformat(form), compressed=compressed)
    sp.save_npz(folder / "features.npz", sp.coo_array(plain.features.astype(kind)).asformat(form), compressed=compressed)
    return folder


def tensors(plain: Plain, ids: torch.dtype, numbers: torch.dtype, masks: torch.dtype) -> dict[str, torch.Tensor]:
    """By the names of PyG."""
    found = {"edge_index": torch.from_numpy(plain.edges).to(ids), "x": torch.from_numpy(plain.features).to(numbers)}
    found |= {"y": torch.from_numpy(plain.labels).to(ids)}
    found |= {} if plain.weight is None else {"edge_weight": torch.from_numpy(plain.weight).to(numbers)}
    return found | {f"{part}_mask": torch.from_numpy(mask).to(masks) for part, mask in plain.masks.items()}


def write_saved(path: Path, values: dict[str, torch.Tensor], form: str) -> Path:
    """By torch.save in one of `SAVED`."""
    torch.save(SAVED[form](values), path, _use_new_zipfile_serialization=form != "legacy")
    return path


def _old_data(values: dict[str, torch.Tensor]) -> Data:
    """As PyG 1 pickled it: attributes in the object itself."""
    data = Data.__new__(Data)
    data.__dict__.update({"edge_attr": None, "pos": None, **values})
    return data


def _with_parameter(values: dict[str, torch.Tensor]) -> Data:
    return Data.from_dict({**values, "x": nn.Parameter(values["x"].float())})


def _with_arrays(values: dict[str, torch.Tensor]) -> Data:
    return Data.from_dict({**values, "y": values["y"].double().numpy(), "names": np.array(["a", None], object), "ids": np.arange(3)})


SAVED: dict[str, Any] = {
    "data": Data.from_dict,
    "dictionary": dict,
    "legacy": dict,
    "old data": _old_data,
    "parameter": _with_parameter,
    "arrays": _with_arrays,
}


def small_folder(folder: Path) -> Path:
    return write_arrays(folder, two_edges(), "<i8", "<f4", "?", False)


def two_edges() -> Any:
    plain = plain_graph(3, weighted=True)
    n, masks = 6, {part: np.arange(6) % 3 == i for i, part in enumerate(("train", "val", "test"))}
    return replace(plain, edges=np.array([[0, 1], [1, 2]]), weight=np.ones(2), features=np.eye(n), labels=np.arange(n) % 3, masks=masks)


def one_message(path: Path) -> str:
    """The message of the one error that loading ends with, free of line breaks and of words for developers."""
    with warnings.catch_warnings(action="error"), pytest.raises(UserError) as caught:
        load(path)
    message = str(caught.value)
    assert "\n" not in message and "Traceback" not in message and message.endswith(".")
    return message
