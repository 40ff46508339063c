"""What a graph looks like, in lines for people: size, degrees, components, labels, homophily, splits, and what is unusual."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csgraph
from torch import Tensor

from gas_cli.graph.graph import Graph, Split
from gas_cli.graph.scaling import moments
from gas_cli.graph.topology import is_symmetric
from gas_cli.ops.csr import CSR

SHOWN_CLASSES = 20
SHOWN_SPLITS = 3
ROWS_AT_A_TIME = 1 << 17
UNEVEN = 100
"""The ratio of the deviations of two columns from which on it is said."""


def describe(graph: Graph, more: Sequence[tuple[str, str]] = ()) -> str:
    """One `name: value` per line, `more` at the end; `notes` are what is likely to be a mistake."""
    rows = [
        ("graph", graph.name),
        ("nodes", f"{graph.num_nodes:,}"),
        ("edges", _edges(graph)),
        *_structure(graph),
        ("features", _features(graph)),
        ("metric", graph.metric),
        *_labels(graph),
        *_splits(graph),
        *more,
    ]
    width = max(len(name) for name, _ in rows) + 1
    return "\n".join(f"{name + ':':<{width}} {value}" for name, value in rows)


def edge_homophily(graph: Graph) -> float:
    """Share of the edges that join two nodes of one class, among those whose ends both have a label; nan where there are none."""
    return homophily(graph)[0]


def homophily(graph: Graph) -> tuple[float, float]:
    """`edge_homophily`, and the same adjusted for the classes' degrees (Platonov et al. 2023), nan where it has no value:

        (h − Σ_c p_c²) / (1 − Σ_c p_c²),   p_c = the share of the edges' ends that have class c

    1: all edges join equal classes; 0: as many as by chance, whatever the sizes of the classes; below 0: fewer.
    """
    y, rowptr, col = graph.y.numpy(), graph.adj.rowptr.numpy(), graph.adj.col.numpy()
    same = known = 0
    ends = np.zeros(graph.num_classes, np.int64)
    for start in range(0, graph.num_nodes, ROWS_AT_A_TIME):
        stop = min(start + ROWS_AT_A_TIME, graph.num_nodes)
        target = np.repeat(y[start:stop], np.diff(rowptr[start : stop + 1]))
        source = y[col[rowptr[start] : rowptr[stop]]]
        both = (target >= 0) & (source >= 0)
        known += int(both.sum())
        same += int((both & (target == source)).sum())
        for end in (source[both], target[both]):
            ends += np.bincount(end, minlength=graph.num_classes)
    if not known:
        return float("nan"), float("nan")
    share, chance = same / known, float(np.square(ends / (2 * known)).sum())
    return share, (share - chance) / (1 - chance) if ends.max() < 2 * known else float("nan")


def notes(graph: Graph) -> list[str]:
    """What is allowed, but seldom meant, in one line each."""
    found = [*_direction_notes(graph), *_weight_notes(graph)]
    if alone := _isolated(graph):
        found.append(f"{alone:,} node(s) have no edge.")
    for number, split in enumerate(() if graph.regression else graph.splits):
        untrained = np.flatnonzero((_class_counts(graph, split.train.numpy()) == 0) & (_class_counts(graph) > 0))
        if untrained.size:
            names = (graph.class_names[c] if graph.class_names else str(c) for c in untrained[:10].tolist())
            found.append(f"split {number} has no training node of class {', '.join(names)}.")
            break  # one example tells
    return found


def _direction_notes(graph: Graph) -> list[str]:
    if graph.symmetric:
        return []
    if is_symmetric(replace(graph.adj, value=torch.ones_like(graph.adj.value))):
        return ["the two directions of some edges have different weights; dataset.undirected=true gives both the larger weight."]
    return ["messages pass in one direction along some edges; dataset.undirected=true adds the reverse of every edge."]


def _weight_notes(graph: Graph) -> list[str]:
    counts = [(int((graph.adj.value < 0).sum()), "a negative weight"), (int((graph.adj.value == 0).sum()), "weight 0")]
    return [f"{count:,} of the messages have {what}." for count, what in counts if count]


def _edges(graph: Graph) -> str:
    kind = "every edge in both directions" if graph.symmetric else "directed"
    weight = graph.adj.value
    weights = f"weights from {float(weight.min()):g} to {float(weight.max()):g}" if graph.adj.weighted else "no weights"
    return f"{graph.num_edges:,} messages, {kind}, {weights}, {_edge_attributes(graph)}"


def _edge_attributes(graph: Graph) -> str:
    if graph.edge_attr is None:
        return "no attributes"
    return f"{graph.edge_dim:,} attribute(s) in {graph.edge_attr.shape[0]:,} rows, {graph.edge_attr.numel() * 4 / 2**20:,.1f} MiB"


def _structure(graph: Graph) -> list[tuple[str, str]]:
    count, component = csgraph.connected_components(graph.adj.to_scipy(), directed=True, connection="weak")
    largest = int(np.bincount(component).max())
    out = [] if graph.symmetric else [("out-degree", _spread(_out_degrees(graph.adj)))]
    return [
        ("in-degree", _spread(_degrees(graph.adj))),
        *out,
        ("isolated", f"{_isolated(graph):,} nodes without an edge"),
        ("components", f"{count:,}; the largest has {largest:,} nodes ({100 * largest / graph.num_nodes:.1f} %)"),
    ]


def _spread(degree: NDArray[np.int64]) -> str:
    low, middle, high = (int(value) for value in np.percentile(degree, (0, 50, 99), method="nearest"))
    return f"mean {degree.mean():.1f}, least {low}, median {middle}, 99 % {high}, most {int(degree.max())}"


def _isolated(graph: Graph) -> int:
    return int((_degrees(graph.adj) + _out_degrees(graph.adj) == 0).sum())


def _out_degrees(adj: CSR) -> NDArray[np.int64]:
    return np.bincount(adj.col.numpy(), minlength=adj.num_rows)


def _degrees(adj: CSR) -> NDArray[np.int64]:
    degrees: NDArray[np.int64] = np.diff(adj.rowptr.numpy())
    return degrees


def _features(graph: Graph) -> str:
    if isinstance(graph.x, CSR):
        return f"{graph.num_features:,} columns, sparse, {100 * graph.x.nnz / (graph.num_nodes * graph.num_features):.2g} % filled"
    size = f"{graph.num_features:,} columns, dense, {graph.x.numel() * 4 / 2**20:,.1f} MiB"
    return f"{size}, from {float(graph.x.min()):.6g} to {float(graph.x.max()):.6g}"


def scale_notes(graph: Graph) -> list[str]:
    """One line where the columns of dense features differ much in deviation, and nothing was done about it."""
    if isinstance(graph.x, CSR) or graph.schema.scaling is not None:
        return []
    _, std = moments(graph.x)
    spread = std[std > 0]
    if not spread.size or spread.max() <= UNEVEN * spread.min():
        return []
    low, high = f"{spread.min():.3g}", f"{spread.max():.3g}"
    return [f"the columns of the features have deviations from {low} to {high}; dataset.normalize=standard brings them to one scale."]


def _class_counts(graph: Graph, mask: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
    """Nodes of each class [C], of those in `mask`."""
    y = graph.y.numpy() if mask is None else graph.y.numpy()[mask]
    if y.ndim == 2:
        return np.asarray(y.sum(axis=0), np.int64)
    return np.bincount(y[y >= 0], minlength=graph.num_classes)


def _labels(graph: Graph) -> list[tuple[str, str]]:
    if graph.regression:
        columns = graph.y.reshape(graph.num_nodes, -1).unbind(1)
        return [(f"target {t}" if len(columns) > 1 else "target", _numbers(column)) for t, column in enumerate(columns)]
    counts = _class_counts(graph)
    order = np.argsort(-counts, kind="stable")[:SHOWN_CLASSES]
    rest = f", … ({graph.num_classes - SHOWN_CLASSES} more)" if graph.num_classes > SHOWN_CLASSES else ""
    if graph.y.dim() == 2:
        balance = ", ".join(f"{c}: {100 * counts[c] / graph.num_nodes:.1f} %" for c in order)
        return [("labels", f"{graph.num_classes}, {counts.sum() / graph.num_nodes:.2f} per node"), ("balance", balance + rest)]
    known = int(counts.sum())
    name = graph.class_names or tuple(map(str, range(graph.num_classes)))
    balance = ", ".join(f"{name[c]}: {counts[c]:,} ({100 * counts[c] / max(known, 1):.1f} %)" for c in order)
    share, adjusted = homophily(graph)
    level = "" if np.isnan(adjusted) else f"; adjusted {adjusted:.3f} (1: all of them, 0: as many as by chance)"
    return [
        ("classes", f"{graph.num_classes}; {graph.num_nodes - known:,} nodes without label{_imbalance(counts)}"),
        ("balance", balance + rest),
        ("homophily", f"{share:.3f} of the edges join equal classes{level}"),
    ]


def _imbalance(counts: NDArray[np.int64]) -> str:
    """Among the classes that have a node."""
    there = counts[counts > 0]
    return f"; the largest has {there.max() / there.min():.1f} times the nodes of the smallest" if there.size > 1 else ""


def _numbers(values: Tensor) -> str:
    """Range, mean and standard deviation of the known ones."""
    known = values[~values.isnan()].double()
    if not known.numel():
        return "all unknown"
    spread = f"{known.min():.6g} to {known.max():.6g}, mean {known.mean():.6g}, standard deviation {known.std(correction=0):.6g}"
    return f"{spread}; {values.numel() - known.numel():,} nodes without one"


def _splits(graph: Graph) -> list[tuple[str, str]]:
    if not graph.splits:
        return [("splits", "none: dataset.make_split=random makes one")]
    rows = [("splits" if number == 0 else "", _sizes(split)) for number, split in enumerate(graph.splits[:SHOWN_SPLITS])]
    if len(graph.splits) > 1:
        rows[0] = ("splits", f"{len(graph.splits)}: {rows[0][1]}")
    return [(name or f"split {number}", value) for number, (name, value) in enumerate(rows)]


def _sizes(split: Split) -> str:
    train, val, test = (int(mask.sum()) for mask in (split.train, split.val, split.test))
    return f"train {train:,}, val {val:,}, test {test:,}, in none {split.train.numel() - train - val - test:,}"
