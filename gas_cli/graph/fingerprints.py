"""Fingerprints of a graph: which one a checkpoint belongs to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from gas_cli.ops.csr import CSR

if TYPE_CHECKING:
    from gas_cli.graph.graph import Graph, Split

SHOWN_CLASSES = 10


def fingerprints_of(graph: Graph) -> dict[str, str]:
    """Sizes as numbers, and a hash each of edges, features, edge attributes, labels and masks: a checkpoint belongs to one graph, and a
    message can say in what another one differs. What explains the most comes first.
    """
    features = (graph.x.rowptr, graph.x.col, graph.x.value) if isinstance(graph.x, CSR) else (graph.x,)
    attributes = () if graph.edge_attr is None else (graph.edge_attr, graph.adjacency().attr_row)
    return {
        "nodes": str(graph.num_nodes),
        "feature columns": str(graph.num_features),
        **({"task": graph.task} if graph.regression else {}),
        "classes": str(graph.num_classes),
        "class names": _named_classes(graph),
        "edges": _digest(graph.adj.rowptr, graph.adj.col, graph.adj.value),
        "features": _digest(*features),
        "edge attributes": _digest(*attributes),
        "labels": _digest(graph.y),
        "masks": masks_digest(graph.splits),
        **({"ids": graph.node_ids.digest()} if graph.node_ids is not None else {}),
        **({"columns": graph.schema.as_text()} if graph.schema.as_text() else {}),
    }


def masks_digest(splits: Iterable[Split]) -> str:
    """Of all masks in their order."""
    return _digest(*(mask for split in splits for mask in (split.train, split.val, split.test)))


def _named_classes(graph: Graph) -> str:
    """The names of the classes, for people where they are few: another file of labels may bring as many others."""
    if not graph.class_names:
        return "labels from 0 on"
    shown = ", ".join(graph.class_names[:SHOWN_CLASSES])
    rest = hashlib.blake2b("\0".join(graph.class_names).encode(), digest_size=8).hexdigest()
    return f"labels {shown}" if len(graph.class_names) <= SHOWN_CLASSES else f"labels {shown} and others ({rest})"


def _digest(*tensors: Tensor | None) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for tensor in tensors:
        assert tensor is not None
        array = tensor.contiguous().numpy()
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
