"""A graph that torch saved: a PyG `Data`, or a dictionary of tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from gas_cli.config.dataset import FolderConfig
from gas_cli.errors import UserError
from gas_cli.graph.graph import Features, Graph
from gas_cli.graph.sources.folder import assemble, sparse_features
from gas_cli.graph.sources.folder_edges import Edges, attribute_rows
from gas_cli.graph.sources.folder_splits import PARTS, read_mask, to_splits
from gas_cli.graph.sources.saved_file import load_values
from gas_cli.graph.sources.table import Table
from gas_cli.graph.sources.targets import read_y

MASKS = tuple(f"{part}_mask" for part in PARTS)
NEEDED = ("edge_index", "x", "y", *MASKS)


def load_saved(path: Path, config: FolderConfig) -> Graph:
    """The graph in `path`: the tensors `NEEDED`, `edge_weight` and `edge_attr` where there are any. Nothing in the file is executed.

    Raises `UserError` for a file with more than tensors, arrays and plain values, missing tensors, and contents that do not fit.
    """
    return graph_of_values(path, load_values(path), config)


def graph_of_values(path: Path, values: Mapping[str, Any], config: FolderConfig) -> Graph:
    """The graph of these tensors, arrays and matrices; `path` is where they are from, for names and messages."""
    saved = _Saved(path, values)
    if missing := [key for key in NEEDED if saved.values.get(key) is None]:
        split = " torch_geometric.transforms.RandomNodeSplit()(data) makes masks." if set(missing) & set(MASKS) else ""
        raise UserError(f"{path}: it has no tensor {', '.join(missing)}. Expected {', '.join(NEEDED)}: set them first.{split}")
    labels = read_y(saved.table("y"), config)
    num_nodes = len(labels.values)
    edges, edge_attr = _edges(saved)
    adj = edges.adjacency(num_nodes, config.undirected)
    splits = to_splits([_mask(saved, key, num_nodes) for key in MASKS])
    return assemble(path.stem, path, config, _features(saved, num_nodes), adj, labels, splits, edge_attr)


@dataclass(frozen=True)
class _Saved:
    path: Path
    values: Mapping[str, Any]

    def table(self, key: str, rows: str = "row") -> Table:
        """The numbers under `key`. Raises `UserError` for anything but a dense tensor, or an array, of real numbers."""
        value = self.values[key]
        if not isinstance(value, (Tensor, np.ndarray)):
            raise UserError(f"{self.path}: {key} is a {type(value).__name__}. Expected a tensor: data.{key} = torch.as_tensor(data.{key}).")
        array = _array(value) if isinstance(value, Tensor) else value
        if array is None or array.dtype.kind not in "biuf" or array.ndim == 0:
            layout = f"layout {value.layout}, " if isinstance(value, Tensor) and value.layout != torch.strided else ""
            dense = f": data.{key} = data.{key}.to_dense()" if layout else ""
            found = f"{key} is of {layout}type {value.dtype} and shape {tuple(value.shape)}"
            raise UserError(f"{self.path}: {found}. Expected a dense tensor of numbers{dense}.")
        if isinstance(value, Tensor) and value.numel() > value.untyped_storage().nbytes() // value.element_size():
            raise UserError(f"{self.path}: {key} repeats its numbers without storing them (expand). Save data.{key}.contiguous() instead.")
        return Table(self.path, array, f"{key}, {rows}")

    def has(self, key: str) -> bool:
        return self.values.get(key) is not None


def _array(tensor: Tensor) -> NDArray[Any] | None:
    """Of types that numpy does not know, such as bfloat16, as float32; None where the tensor holds no dense numbers."""
    if tensor.layout != torch.strided or tensor.is_complex() or tensor.is_meta or tensor.is_quantized:
        return None
    tensor = tensor.detach()
    try:
        array: NDArray[Any] = tensor.numpy()
    except (TypeError, RuntimeError):
        try:
            array = tensor.float().numpy()
        except (TypeError, RuntimeError, NotImplementedError):  # torch converts no type of fewer than 8 bits, such as uint4
            return None
    return array


def _edges(saved: _Saved) -> tuple[Edges, Tensor | None]:
    """With their weights and attributes, if any."""
    index = saved.table("edge_index").values
    if index.ndim != 2 or index.shape[0] != 2:
        raise UserError(f"{saved.path}: edge_index has shape {index.shape}. Expected [2, E]: row 0 holds sources, row 1 holds targets.")
    table = Table(saved.path, index.T, "edge_index, edge")
    weight = _weight(saved, index.shape[1]) if saved.has("edge_weight") else None
    attributes = attribute_rows(saved.table("edge_attr"), index.shape[1]) if saved.has("edge_attr") else None
    ends = table.whole_numbers("node id").values
    return Edges(table, (ends[:, 0], ends[:, 1]), weight, numbered=attributes is not None), attributes


def _weight(saved: _Saved, num_edges: int) -> Table:
    table = saved.table("edge_weight")
    values = table.values[:, 0] if table.values.ndim == 2 and table.values.shape[1] == 1 else table.values
    if values.shape != (num_edges,):
        raise table.unfit(f"edge_weight has shape {values.shape} for {num_edges} edges", "Expected one weight per edge")
    return Table(table.path, values, table.rows)


def _mask(saved: _Saved, key: str, num_nodes: int) -> Table:
    table = saved.table(key)
    if table.values.shape[0] != num_nodes:
        remedy = f"mask = torch.zeros({num_nodes}, dtype=torch.bool); mask[data.{key}] = True; data.{key} = mask"
        found = f"{key} has shape {table.values.shape} for {num_nodes} nodes"
        raise table.unfit(found, f"Expected true or false per node. For a list of node ids type: {remedy}")
    return read_mask(table, num_nodes)


def _features(saved: _Saved, num_nodes: int) -> Features:
    if sp.issparse(saved.values["x"]):
        return sparse_features(saved.path, saved.values["x"], num_nodes, "labels")
    table = saved.table("x")
    values = table.values[:, None] if table.values.ndim == 1 else table.values
    if values.ndim != 2 or values.shape[0] != num_nodes:
        raise table.unfit(f"x has shape {table.values.shape} for {num_nodes} labels", "Expected [N, F]: one row per node")
    return torch.from_numpy(np.require(Table(table.path, values, table.rows).finite("feature").values, np.float32, ["C", "W"]))
