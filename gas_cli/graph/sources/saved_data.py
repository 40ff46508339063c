"""A graph that torch saved: a PyG `Data`, or a dictionary of tensors."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gas_cli.config.dataset import FolderConfig
from gas_cli.errors import UserError
from gas_cli.graph.graph import Features, Graph
from gas_cli.graph.sources.folder import assemble
from gas_cli.graph.sources.folder_edges import Edges, attribute_rows
from gas_cli.graph.sources.folder_splits import PARTS, read_mask, to_splits
from gas_cli.graph.sources.labels import read_labels
from gas_cli.graph.sources.table import Table

NEEDED = ("edge_index", "x", "y", *(f"{part}_mask" for part in PARTS))


def load_saved(path: Path, config: FolderConfig) -> Graph:
    """The graph in `path`: the tensors `NEEDED`, `edge_weight` and `edge_attr` where there are any. Nothing in the file is executed.

    Raises `UserError` for a file with more than tensors and plain values, missing tensors, and contents that do not fit.
    """
    tensors = _load(path)
    if missing := [key for key in NEEDED if not isinstance(tensors.get(key), torch.Tensor)]:
        raise UserError(f"{path}: it has no tensor {', '.join(missing)}. Expected {', '.join(NEEDED)}: set them before torch.save.")
    labels = read_labels(_table(path, tensors, "y"))
    num_nodes = len(labels.values)
    index = _table(path, tensors, "edge_index")
    if index.values.ndim != 2 or index.values.shape[0] != 2:
        raise index.unfit(f"edge_index has shape {index.values.shape}", "Expected [2, E]")
    edges = Table(path, index.values.T, "edge_index, edge")
    weight = _table(path, tensors, "edge_weight") if isinstance(tensors.get("edge_weight"), torch.Tensor) else None
    if weight is not None and weight.values.shape != (index.values.shape[1],):
        raise weight.unfit(f"edge_weight has shape {weight.values.shape} for {index.values.shape[1]} edges", "Expected one weight per edge")
    edge_attr = None
    if isinstance(tensors.get("edge_attr"), torch.Tensor):
        edge_attr = attribute_rows(_table(path, tensors, "edge_attr"), index.values.shape[1])
    whole = edges.whole_numbers("node id").values.T
    adj = Edges(edges, whole, weight, numbered=edge_attr is not None).adjacency(num_nodes, config.undirected)
    splits = to_splits([read_mask(_table(path, tensors, f"{part}_mask"), num_nodes) for part in PARTS])
    return assemble(path.stem, config, _features(path, tensors, num_nodes), adj, labels, splits, edge_attr)


def _load(path: Path) -> dict[str, Any]:
    from torch_geometric.data.data import Data, DataEdgeAttr, DataTensorAttr
    from torch_geometric.data.storage import GlobalStorage

    try:
        with torch.serialization.safe_globals([Data, DataEdgeAttr, DataTensorAttr, GlobalStorage]):
            content = torch.load(path, weights_only=True, map_location="cpu")
    except pickle.UnpicklingError as error:
        remedy = "Save a torch_geometric Data, or a dictionary, that holds tensors and plain values only"
        raise UserError(f"{path}: it holds more than tensors, and nothing in it is executed. {remedy}.") from error
    except (OSError, EOFError, RuntimeError, ValueError, KeyError) as error:
        raise UserError(f"{path}: it is no intact file of torch.save ({str(error).splitlines()[0]}). Write it again.") from error
    tensors = content.to_dict() if isinstance(content, Data) else content
    if not isinstance(tensors, dict):
        raise UserError(f"{path}: it holds a {type(content).__name__}. Expected a torch_geometric Data, or a dictionary of tensors.")
    return tensors


def _table(path: Path, tensors: dict[str, Any], key: str) -> Table:
    tensor = tensors[key]
    if tensor.is_sparse or tensor.layout != torch.strided or tensor.dtype.is_complex:
        raise UserError(f"{path}: {key} is a tensor of layout {tensor.layout} and type {tensor.dtype}. Expected a dense one of numbers.")
    values: NDArray[Any] = tensor.float().numpy() if tensor.dtype == torch.bfloat16 else tensor.numpy()
    return Table(path, values, f"{key}, row")


def _features(path: Path, tensors: dict[str, Any], num_nodes: int) -> Features:
    table = _table(path, tensors, "x")
    if table.values.ndim != 2 or table.values.shape[0] != num_nodes:
        raise table.unfit(f"x has shape {table.values.shape} for {num_nodes} labels", "Expected [N, F]: one row per node")
    return torch.from_numpy(table.finite("feature").values.astype(np.float32, copy=False))
