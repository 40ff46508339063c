"""The graph as every later stage sees it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gas_cli.config.metrics import BINARY, MULTI_CLASS, MULTI_LABEL, OGB, REGRESSION, fitting, metric_kind
from gas_cli.errors import UserError
from gas_cli.graph.grouping import Grouping
from gas_cli.graph.node_ids import NodeIds
from gas_cli.graph.schema import Schema
from gas_cli.ops.csr import CSR

SHOWN_CLASSES = 10
VALUES_AT_A_TIME = 1 << 24

Features = Tensor | CSR
"""Node features: dense float32 [N, F], or `CSR` of the same shape where that is cheaper (bag of words)."""


@dataclass(frozen=True, repr=False)
class Split:
    """Which nodes train, validate and test: three boolean masks [N], disjoint."""

    train: Tensor
    val: Tensor
    test: Tensor

    def __repr__(self) -> str:
        return f"Split(train={int(self.train.sum())}, val={int(self.val.sum())}, test={int(self.test.sum())})"


@dataclass(frozen=True, repr=False)
class Graph:
    """A node-classification problem, or a regression, on one graph.

    `from_edges`, `from_pyg`, `from_scipy` and `from_networkx` make one of what a program holds; the fields are:

    x            float32 [N, F] or CSR [N, F]; F = 0 without features: `dataset.features` makes some
    adj          CSR [N, N] by target, without self-loops and duplicates; values are edge weights (1 where the source has none)
    y            int64 [N] (one class per node) or float32 [N, C] (multi-label)
    splits       one or several `Split`s, or none: `dataset.make_split` makes one for training
    num_classes  C; 0 for a graph without labels, which can only be predicted on
    metric       a name of `config/metrics.py` that fits `task`, or `ogb:<dataset name>`
    symmetric    whether adj equals its transpose, values included
    inductive    whether training sees its own nodes alone: the others are graphs apart, met for the first time in evaluation
    edge_attr    float32 [R, D] or None: attributes of the edges, possibly memory-mapped. Entry e of adj has row `adj.attr_row[e]`, so that
                 both directions of an edge may share one; row e where adj has no `attr_row` (R = E then)
    x_row        int64 [N] or None: the row of x of each node. None means row i for node i; the permutation by parts sets it where x is
                 too large to be moved
    class_names  what the source calls the C classes, in their order; () where class c is label c (or its column)
    node_ids     what the source calls node i; None where it is i. Partitions do not change this order
    schema       what the columns of features and edge attributes are
    groups       the column `dataset.split_by`, until a split was made by it
    regression   whether y are numbers to predict: float32 [N] or [N, T], nan where unknown; `num_classes` is T then, 1 for [N]
    """

    name: str
    x: Features
    adj: CSR
    y: Tensor
    splits: tuple[Split, ...]
    num_classes: int
    metric: str
    symmetric: bool
    inductive: bool = False
    edge_attr: Tensor | None = None
    x_row: Tensor | None = None
    class_names: tuple[str, ...] = ()
    node_ids: NodeIds | None = None
    schema: Schema = field(default_factory=Schema)
    groups: Grouping | None = None
    regression: bool = False

    @classmethod
    def from_edges(
        cls,
        edge_index: Any,
        x: Any,
        y: Any = None,
        *,
        train: Any = None,
        val: Any = None,
        test: Any = None,
        edge_weight: Any = None,
        edge_attr: Any = None,
        name: str = "graph",
        undirected: bool = False,
        metric: str = "auto",
        num_classes: int | None = None,
        task: str = "auto",
    ) -> Graph:
        """A graph of arrays or tensors.

        edge_index        integers [2, E]: row 0 the source, row 1 the target of each message
        x                 numbers [N, F], or a sparse matrix of scipy; None for a graph without features, of which `dataset.features` makes
                          some
        y                 [N] whole numbers (-1 or NaN unknown) or texts (empty unknown), one class per node; or [N, C] of 0 and 1;
                          None for a graph to predict on
        train, val, test  masks bool [N], or ids of nodes; no node in two of them. val and test are empty where they are left out; without
                          any of the three the graph has no split, and `dataset.make_split` makes one for training
        edge_weight       numbers [E], 1 where None
        edge_attr         numbers [E, D], or None
        undirected        whether to add the reverse of every edge
        metric            auto (accuracy, or micro-F1 for several labels), accuracy, balanced_accuracy, macro_f1, micro_f1; for two classes
                          or several labels also average_precision, roc_auc
        num_classes       C, where y does not show all of them
        task              auto (y are classes), or regression: y are numbers [N] or [N, T], NaN unknown; metric mae, rmse or r2

        Self-loops and repeated edges are dropped, which the log reports. Raises UserError naming the first entry that does not fit.
        """
        from gas_cli.graph.sources.in_memory import Options, of_edges

        parts = {"train": train, "val": val, "test": test}
        return of_edges(edge_index, x, y, parts, edge_weight, edge_attr, Options(name, undirected, metric, num_classes, task))

    @classmethod
    def from_pyg(
        cls,
        data: Any,
        *,
        name: str = "graph",
        undirected: bool = False,
        metric: str = "auto",
        num_classes: int | None = None,
        task: str = "auto",
        types: str | None = None,
    ) -> Graph:
        """A graph of a `torch_geometric.data.Data` with edge_index, x, y; train_mask, val_mask and test_mask ([N], or [N, S] for S
        splits), edge_weight and edge_attr, if there are any. The options are those of `from_edges`. Raises UserError.

        types  "onehot": of a `HeteroData`, whose types of nodes and edges become columns (docs/graph-files.md, Several types)
        """
        from gas_cli.graph.sources.in_memory import Options, of_data

        return of_data(data, Options(name, undirected, metric, num_classes, task, types))

    @classmethod
    def from_scipy(
        cls,
        adjacency: Any,
        x: Any,
        y: Any,
        *,
        train: Any = None,
        val: Any = None,
        test: Any = None,
        name: str = "graph",
        undirected: bool = False,
        metric: str = "auto",
        num_classes: int | None = None,
        task: str = "auto",
    ) -> Graph:
        """A graph of a sparse matrix [N, N] of scipy: entry (w, v) is the weight of the edge from w to v, a stored zero is no edge.
        The other arguments are those of `from_edges`. Raises UserError."""
        from gas_cli.graph.sources.in_memory import Options, of_matrix

        parts = {"train": train, "val": val, "test": test}
        return of_matrix(adjacency, x, y, parts, Options(name, undirected, metric, num_classes, task))

    @classmethod
    def from_networkx(
        cls,
        graph: Any,
        *,
        x: str = "x",
        y: str = "y",
        split: str = "split",
        weight: str = "weight",
        name: str = "graph",
        metric: str = "auto",
        num_classes: int | None = None,
        task: str = "auto",
    ) -> Graph:
        """A graph of a NetworkX graph, its nodes numbered in the order of `list(graph)`; an undirected one has every edge in both
        directions.

        `x`, `y` and `split` name attributes of its nodes: numbers, which no node needs to have; the class; train, val or test (or none).
        `weight` names an attribute of its edges, which all of them have or none. The other options are those of `from_edges`. Raises
        UserError.
        """
        from gas_cli.graph.sources.in_memory import Options, of_networkx

        options = Options(name, False, metric, num_classes, task)
        return of_networkx(graph, {"x": x, "y": y, "split": split, "weight": weight}, options)

    def __repr__(self) -> str:
        shown = [f"num_nodes={self.num_nodes}", f"num_edges={self.num_edges}", f"num_features={self.num_features}"]
        shown += [f"edge_dim={self.edge_dim}"] * bool(self.edge_dim) + [f"num_classes={self.num_classes}", f"metric={self.metric!r}"]
        shown += [f"splits={len(self.splits)}"] * (len(self.splits) != 1) + ["inductive"] * self.inductive
        return f"Graph({self.name!r}, {', '.join(shown)})"

    @property
    def task(self) -> str:
        """`binary` (two classes), `multi-class`, `multi-label` or `regression`."""
        if self.regression:
            return REGRESSION
        if self.y.dim() == 2:
            return MULTI_LABEL
        return BINARY if self.num_classes == 2 else MULTI_CLASS

    @property
    def num_nodes(self) -> int:
        """N."""
        return self.adj.num_rows

    @property
    def num_edges(self) -> int:
        """Directed edges: an undirected edge counts twice."""
        return self.adj.nnz

    @property
    def num_features(self) -> int:
        """F, columns of the features."""
        return int(self.x.shape[1])

    @property
    def edge_dim(self) -> int:
        """D, columns of the edge attributes; 0 without."""
        return 0 if self.edge_attr is None else int(self.edge_attr.shape[1])

    def adjacency(self) -> CSR:
        """`adj`, each edge with the row of its attributes where the graph has any: what later stages normalise and permute."""
        if self.edge_attr is None or self.adj.attr_row is not None:
            return self.adj
        return replace(self.adj, attr_row=torch.arange(self.adj.nnz))

    def described(self) -> dict[str, Any]:
        """What a model that is trained on this graph needs to know of other data, in values that a checkpoint can hold."""
        y = {"columns_of_y": int(self.y.shape[1]) if self.y.dim() == 2 else 0, "regression": self.regression}
        return {**self.schema.as_json(), "num_classes": self.num_classes, "class_names": list(self.class_names), **y}

    def fingerprint(self) -> str:
        """A hash of everything in `fingerprints`."""
        return hashlib.blake2b(repr(self.fingerprints()).encode(), digest_size=16).hexdigest()

    def fingerprints(self) -> dict[str, str]:
        """Sizes as numbers, and a hash each of edges, features, edge attributes, labels and masks: a checkpoint belongs to one graph, and a
        message can say in what another one differs. What explains the most comes first.
        """
        features = (self.x.rowptr, self.x.col, self.x.value) if isinstance(self.x, CSR) else (self.x,)
        attributes = () if self.edge_attr is None else (self.edge_attr, self.adjacency().attr_row)
        return {
            "nodes": str(self.num_nodes),
            "feature columns": str(self.num_features),
            **({"task": self.task} if self.regression else {}),
            "classes": str(self.num_classes),
            "class names": self._named_classes(),
            "edges": _digest(self.adj.rowptr, self.adj.col, self.adj.value),
            "features": _digest(*features),
            "edge attributes": _digest(*attributes),
            "labels": _digest(self.y),
            "masks": self.masks_digest(),
            **({"ids": self.node_ids.digest()} if self.node_ids is not None else {}),
            **({"columns": self.schema.as_text()} if self.schema.as_text() else {}),
        }

    def masks_digest(self) -> str:
        return _digest(*(mask for split in self.splits for mask in (split.train, split.val, split.test)))

    def _named_classes(self) -> str:
        """The names of the classes, for people where they are few: another file of labels may bring as many others."""
        if not self.class_names:
            return "labels from 0 on"
        shown = ", ".join(self.class_names[:SHOWN_CLASSES])
        rest = hashlib.blake2b("\0".join(self.class_names).encode(), digest_size=8).hexdigest()
        return f"labels {shown}" if len(self.class_names) <= SHOWN_CLASSES else f"labels {shown} and others ({rest})"

    def validate(self) -> Graph:
        """Check every contract above; return self. Raises `UserError` naming the first offending entry."""
        n = self.num_nodes
        self._check(n > 0, "has no nodes", "at least one node")
        self._check(int(self.x.shape[0]) == n, f"has {int(self.x.shape[0])} feature rows for {n} nodes", "one row per node")
        self._check(int(self.y.shape[0]) == n, f"has {int(self.y.shape[0])} labels for {n} nodes", "one label per node")
        if self.adj.nnz:
            low, high = int(self.adj.col.min()), int(self.adj.col.max())
            self._check(low >= 0 and high < n, f"has edges with node ids from {low} to {high}", f"ids from 0 to {n - 1}")
        self._check_features()
        self._check_edge_attributes()
        self._check_labels()
        for i, split in enumerate(self.splits):
            for kind, mask in (("train", split.train), ("val", split.val), ("test", split.test)):
                fits = mask.dtype == torch.bool and mask.shape == (n,)
                self._check(
                    fits, f"has a {kind} mask of shape {tuple(mask.shape)} and type {mask.dtype}", f"a boolean mask of shape ({n},)"
                )
            self._check(bool(split.train.any()), f"has an empty training mask in split {i}", "at least one training node")
            overlap = (split.train & split.val) | (split.train & split.test) | (split.val & split.test)
            self._check(not bool(overlap.any()), f"has node {_first(overlap)} in two masks of split {i}", "disjoint masks")
        if self.inductive:
            self._check(bool(self.splits), "is inductive and has no split", "at least one train/val/test split")
            self._check_inductive()
        return self

    def _check_inductive(self) -> None:
        train = self.splits[0].train
        same = all(torch.equal(split.train, train) for split in self.splits)
        self._check(same, "is inductive and has splits that train on different nodes", "the same training mask in every split")
        of_target = torch.from_numpy(np.repeat(train.numpy(), np.diff(self.adj.rowptr.numpy())))
        crosses = of_target != train.index_select(0, self.adj.col)
        if bool(crosses.any()):
            edge = _first(crosses)
            ends = int(self.adj.col[edge]), int(np.searchsorted(self.adj.rowptr.numpy(), edge, side="right")) - 1
            self._check(False, f"is inductive and has the edge {ends[0]} -> {ends[1]} between a training node and another", "no such edge")

    def _check_features(self) -> None:
        entry = _first_not_finite(self.x.value if isinstance(self.x, CSR) else self.x)
        if entry is not None:
            row = int(np.searchsorted(self.x.rowptr.numpy(), entry, side="right")) - 1 if isinstance(self.x, CSR) else entry
            self._check(False, f"has a NaN or infinite feature at node {row}", "finite features (clean or impute them first)")

    def _check_edge_attributes(self) -> None:
        table, rows = self.edge_attr, self.adj.attr_row
        if table is None:
            return
        shape = tuple(table.shape)
        fits = table.dim() == 2 and table.shape[1] > 0 and table.dtype == torch.float32
        self._check(fits, f"has edge attributes of shape {shape} and type {table.dtype}", "float32 [E, D]: one row per edge")
        if rows is None:
            self._check(
                shape[0] == self.num_edges, f"has {shape[0]} rows of edge attributes for {self.num_edges} edges", "one row per edge"
            )
        elif rows.numel():
            low, high = int(rows.min()), int(rows.max())
            inside = rows.shape == (self.num_edges,) and low >= 0 and high < shape[0]
            self._check(inside, f"has edges with the rows {low} to {high} of {shape[0]} rows of edge attributes", "a row for every edge")
        entry = _first_not_finite(table)
        self._check(entry is None, f"has a NaN or infinite edge attribute in row {entry}", "finite attributes (clean or impute them first)")

    def _check_labels(self) -> None:
        fits = self.metric.startswith(OGB) or self.task in metric_kind(self.metric).tasks
        self._check(fits, f"has a {self.task} task and metric {self.metric}", f"one of {fitting(self.task)}")
        named = len(self.class_names)
        self._check(named in (0, self.num_classes), f"has {named} class names", f"{self.num_classes} names, or none")
        if self.regression:
            self._check_targets()
            return
        if self.y.dim() == 2:
            columns = int(self.y.shape[1])
            self._check(columns == self.num_classes, f"has {columns} label columns", f"{self.num_classes} columns")
            return
        bad = self._in_a_split() & ((self.y < 0) | (self.y >= self.num_classes))
        if bool(bad.any()):
            node = _first(bad)
            self._check(False, f"has label {int(self.y[node])} at node {node}", f"labels from 0 to {self.num_classes - 1}")

    def _check_targets(self) -> None:
        width = 1 if self.y.dim() == 1 else int(self.y.shape[-1])
        fits = self.y.dtype == torch.float32 and self.y.dim() in (1, 2) and width == self.num_classes
        found = f"has targets of shape {tuple(self.y.shape)} and type {self.y.dtype}"
        self._check(fits, found, f"float32 [N], or [N, T] with T = num_classes = {self.num_classes}")
        bad = self._in_a_split() & ~torch.isfinite(self.y.reshape(self.num_nodes, -1)).all(1)
        self._check(not bool(bad.any()), f"has a NaN or infinite target at node {_first(bad)}, which is in a split", "finite targets")

    def _in_a_split(self) -> Tensor:
        """bool [N]: the nodes that train, validate or test."""
        used = torch.zeros(self.num_nodes, dtype=torch.bool)
        for split in self.splits:
            used |= split.train | split.val | split.test
        return used

    def _check(self, holds: bool, found: str, expected: str) -> None:
        if not holds:
            raise UserError(f"Graph {self.name!r} {found}: expected {expected}.")


def _digest(*tensors: Tensor | None) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for tensor in tensors:
        assert tensor is not None
        array = tensor.contiguous().numpy()
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _first_not_finite(values: Tensor) -> int | None:
    """The first row with a NaN or infinite entry, read in blocks: the table may be larger than memory."""
    rows = max(1, VALUES_AT_A_TIME // max(1, values[:1].numel()))
    for start in range(0, values.shape[0], rows):
        bad = ~torch.isfinite(values[start : start + rows])
        if bool(bad.any()):
            return start + int(bad.reshape(bad.shape[0], -1).any(1).nonzero()[0])
    return None


def _first(mask: Tensor) -> int:
    return int(mask.nonzero()[0]) if bool(mask.any()) else -1
