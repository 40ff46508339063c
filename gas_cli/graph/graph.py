"""The graph as every later stage sees it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from gas_cli.config.metrics import BINARY, MULTI_CLASS, MULTI_LABEL, REGRESSION
from gas_cli.graph.fingerprints import fingerprints_of, masks_digest
from gas_cli.graph.grouping import Grouping
from gas_cli.graph.node_ids import NodeIds
from gas_cli.graph.schema import Schema
from gas_cli.graph.validate import validate
from gas_cli.ops.csr import CSR

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
        """What a checkpoint knows the graph by, the most telling first (`fingerprints_of`)."""
        return fingerprints_of(self)

    def masks_digest(self) -> str:
        return masks_digest(self.splits)

    def validate(self) -> Graph:
        """Check every contract above; return self. Raises `UserError` naming the first offending entry."""
        validate(self)
        return self
