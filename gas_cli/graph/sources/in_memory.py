"""Graphs that a program holds: arrays, a PyG `Data`, a SciPy matrix, a NetworkX graph; with the checks of graphs from files.

`Graph.from_edges` and the others document what goes in. Errors name the argument (`x, row 3: ...`) where those of files name the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from torch import Tensor

from gas_cli.config.dataset import FolderConfig, UnlabelledConfig
from gas_cli.config.metrics import REGRESSION
from gas_cli.errors import UserError
from gas_cli.graph.graph import Graph
from gas_cli.graph.made_features import none_of
from gas_cli.graph.sources.folder_splits import PARTS, node_mask
from gas_cli.graph.sources.labels import named_classes
from gas_cli.graph.sources.saved_data import graph_of_types, graph_of_values
from gas_cli.graph.sources.table import Table
from gas_cli.graph.sources.typed import Types, check_asked

SPLIT_NAMES = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
"""What the `split` of a node of a NetworkX graph may be, and the part that it means."""


@dataclass(frozen=True)
class Options:
    """What every constructor takes besides the graph: see `Graph.from_edges`."""

    name: str = "graph"
    undirected: bool = False
    metric: str = "auto"
    num_classes: int | None = None
    task: str = "auto"
    types: str | None = None

    def config(self, labelled: bool) -> FolderConfig:
        kind = FolderConfig if labelled else UnlabelledConfig
        return kind(undirected=self.undirected, metric=self.metric, num_classes=self.num_classes or 0, task=self.task, types=self.types)


def of_values(values: Mapping[str, Any], options: Options) -> Graph:
    """The validated graph of tensors under the names that PyG's `Data` gives them; labels that are texts are names of classes."""
    labelled = values.get("y") is not None
    y, names = named_classes(values["y"]) if labelled else (None, ())
    if names and options.task == REGRESSION:
        raise UserError(f"y holds texts such as {names[0]!r}: expected numbers with task=regression.")
    x = values["x"]
    x = none_of(_num_nodes(values)) if x is None else x
    x = sp.csr_array(x, copy=True) if sp.issparse(x) else x  # its entries are sorted and added up in place
    graph = graph_of_values(Path(options.name), dict(values) | {"x": x, "y": y}, options.config(labelled))
    return replace(graph, class_names=names or graph.class_names).validate()


def _num_nodes(values: Mapping[str, Any]) -> int:
    """Of a graph without features: as many as there are labels, or as PyG's `Data` says. Raises `UserError`."""
    if values.get("y") is not None:
        return len(values["y"])
    if values.get("num_nodes") is not None:
        return int(values["num_nodes"])
    raise UserError("There is neither x nor y, so the number of nodes is not known: give x, such as numpy.zeros((N, 0)) for N nodes.")


def of_edges(edge_index: Any, x: Any, y: Any, parts: Mapping[str, Any], edge_weight: Any, edge_attr: Any, options: Options) -> Graph:
    """See `Graph.from_edges`; `parts` are masks or ids, or None, by `train`, `val`, `test`."""
    rows = x if y is None else y
    num_nodes = 0 if rows is None else rows.shape[0] if hasattr(rows, "shape") else len(rows)
    given = {part: value for part, value in parts.items() if value is not None and y is not None}
    if given and "train" not in given:
        raise UserError(
            f"There are {' and '.join(given)} nodes and no train nodes: give them, or none of the three for a graph without split."
        )
    masks = {f"{part}_mask": _mask(given.get(part, np.zeros(num_nodes, bool)), part, num_nodes) for part in PARTS if given}
    values = {"edge_index": edge_index, "x": x, "y": y, "edge_weight": edge_weight, "edge_attr": edge_attr, **masks}
    return of_values(values, options)


def of_data(data: Any, options: Options) -> Graph:
    """See `Graph.from_pyg`."""
    typed = hasattr(data, "edge_types") and hasattr(data, "node_types")
    if not (hasattr(data, "to_dict") and (typed or hasattr(data, "edge_index"))):
        raise UserError(f"Expected a torch_geometric.data.Data with edge_index, got a {type(data).__name__}.")
    check_asked(Path(options.name), options.types, typed, 'types="onehot"')
    if typed:
        return _of_types(data, options)
    values = _on_cpu(data.to_dict())
    if values.get("edge_index") is None and values.get("adj_t") is not None:
        raise UserError("The Data has adj_t and no edge_index: leave out the transform ToSparseTensor.")
    return of_values(_complete(values, options.name), options)


def _of_types(data: Any, options: Options) -> Graph:
    nodes = {name: _on_cpu(data[name].to_dict()) for name in data.node_types}
    edges = {kind: _on_cpu(data[kind].to_dict()) for kind in data.edge_types}
    labelled = any(values.get("y") is not None for values in nodes.values())
    return graph_of_types(Path(options.name), Types(nodes, edges), options.config(labelled)).validate()


def _on_cpu(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value.cpu() if isinstance(value, Tensor) else value for key, value in values.items()}


def _complete(values: dict[str, Any], name: str) -> dict[str, Any]:
    if values.get("edge_index") is None:
        raise UserError(f"{name}: the Data has no edge_index: expected edge_index, x and, to train, y.")
    return {"x": None, **values}


def of_matrix(adjacency: Any, x: Any, y: Any, parts: Mapping[str, Any], options: Options) -> Graph:
    """See `Graph.from_scipy`."""
    if not sp.issparse(adjacency):
        raise UserError(f"Expected a sparse matrix of scipy, got a {type(adjacency).__name__}: type scipy.sparse.csr_array(adjacency).")
    if adjacency.shape != (len(y), len(y)):
        raise UserError(f"The adjacency has shape {adjacency.shape} for {len(y)} labels: expected [N, N].")
    links = sp.coo_array(sp.csr_array(adjacency))  # once as CSR: entries that repeat others are added up, as scipy does
    there = links.data != 0
    weight = links.data[there]
    weighted = not bool((weight == 1).all())
    return of_edges(np.stack(links.coords)[:, there], x, y, parts, weight if weighted else None, None, options)


def of_networkx(graph: Any, attributes: Mapping[str, str], options: Options) -> Graph:
    """See `Graph.from_networkx`; `attributes` are the names of `x`, `y`, `split` and `weight`."""
    nodes = list(graph)
    position = {node: row for row, node in enumerate(nodes)}
    x = _features(graph, nodes, attributes["x"])
    y = [_attribute(graph, node, attributes["y"]) for node in nodes]
    ends = np.array([(position[u], position[v]) for u, v in graph.edges()], dtype=np.int64).reshape(-1, 2).T
    weight = _weights(graph, attributes["weight"])
    undirected = not graph.is_directed()
    return of_edges(ends, x, np.array(y), _parts(graph, nodes, attributes["split"]), weight, None, replace(options, undirected=undirected))


def _attribute(graph: Any, node: Any, key: str) -> Any:
    try:
        return graph.nodes[node][key]
    except KeyError:
        there = ", ".join(map(str, graph.nodes[node])) or "none"
        raise UserError(f"Node {node!r} has no attribute {key!r} (it has: {there}): set it for every node, or name another one.") from None


def _features(graph: Any, nodes: list[Any], key: str) -> NDArray[np.float64] | None:
    """[N, F] of one number or a sequence of numbers per node; None where no node has any and nobody has named them."""
    if key == "x" and not any(key in graph.nodes[node] for node in nodes):
        return None
    rows = [_attribute(graph, node, key) for node in nodes]
    table = [np.asarray(row, dtype=object).ravel() for row in rows]
    uneven = next((at for at, row in enumerate(table) if len(row) != len(table[0])), None)
    if uneven is not None:
        raise UserError(f"Node {nodes[uneven]!r} has {len(table[uneven])} numbers in {key!r}, node {nodes[0]!r} {len(table[0])}.")
    try:
        return np.array(table, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UserError(f"The attribute {key!r} of the nodes does not hold numbers only ({error}): encode it, one number each.") from error


def _parts(graph: Any, nodes: list[Any], key: str) -> dict[str, NDArray[np.bool_] | None]:
    """Masks of the attribute `key`, which says train, val or test; nodes with another value, or without, are in no part."""
    said = [graph.nodes[node].get(key) for node in nodes]
    wrong = next((row for row, value in enumerate(said) if value is not None and value not in SPLIT_NAMES), None)
    if wrong is not None:
        raise UserError(f"Node {nodes[wrong]!r} has {key}={said[wrong]!r}: expected train, val, test, or no such attribute.")
    if all(value is None for value in said):
        if nodes and key == "split":
            return dict.fromkeys(PARTS)  # nobody has named it: a graph without a split
        raise UserError(f"No node has the attribute {key!r}: set it to train, val or test, for the nodes of each part.")
    return {part: np.array([SPLIT_NAMES.get(value or "") == part for value in said]) for part in PARTS}


def _weights(graph: Any, key: str) -> NDArray[np.float64] | None:
    """Of all edges, None where no edge has one."""
    found = [weight for _, _, weight in graph.edges(data=key)]
    missing = sum(weight is None for weight in found)
    if missing == len(found):
        return None
    if missing:
        raise UserError(f"{missing} of {len(found)} edges have no attribute {key!r}: set it for every edge, or for none.")
    return np.array(found, dtype=np.float64)


def _mask(value: Any, part: str, num_nodes: int) -> NDArray[np.bool_]:
    """bool [N] from a mask, or from the ids of nodes. Raises `UserError` for integers that may be either."""
    array = np.asarray(value.cpu() if isinstance(value, Tensor) else value)
    if array.dtype.kind == "b":
        return array
    if array.size == 0:
        return np.zeros(num_nodes, bool)
    if array.dtype.kind not in "iu":
        raise UserError(f"{part} has type {array.dtype}: expected a mask of true and false, [N], or the integer ids of nodes.")
    if array.shape == (num_nodes,) and array.max() <= 1:
        raise UserError(f"{part} holds zeros and ones for {num_nodes} nodes and may be a mask or ids: make it a mask with astype(bool).")
    return node_mask(Table(Path(part), array), num_nodes)
