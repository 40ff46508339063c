"""Settings of the `dataset` group: which graph, and where its files are."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from gas_cli.config.checks import MAX_SEED, require, require_between, require_name, require_non_negative, require_positive, require_whole
from gas_cli.config.metrics import METRICS, REGRESSION, fitting
from gas_cli.config.setting import setting

ENCODINGS = ("onehot",)
FOLDER_METRICS = ("auto", *METRICS)
TASKS = ("auto", REGRESSION)
ANSWERS = ("auto", "true", "false")
FOLDER = "folder"
"""`dataset.name` of a user's graph."""
GIVEN = "given"
"""`dataset.name` of a run whose graph a program has given: no file of it is known."""
GRAPH_SEED = "Seed of the graph, independent of `seed`."
SPLITS = ("random", "stratified", "order", "groups")
BY_COLUMN = ("order", "groups")
"""Those that read `dataset.split_by`."""
SHARES = (0.6, 0.2, 0.2)
MAX_FOLDS = 10_000
FEATURES = ("degree", "constant", "random")
NORMALIZE = ("row", "standard")
FEATURE_SETTINGS = ("features", "normalize")
"""What the features of any graph are made of; predictions on other data use those of the training."""
SPLIT_SETTINGS = ("split", "make_split", "shares", "split_by", "split_seed", "folds")
"""What a graph that a program gives is divided by; the other settings of a dataset are about files."""
ONE_FILE = (".pt", ".npz", ".mat")
"""Files that hold a whole graph."""
MAX_CLASSES = 1_000_000
"""Bound of `dataset.num_classes`: an output layer of more classes is a mistake, or ends without memory."""


@dataclass
class DatasetConfig:
    """A graph by name. Of a registered dataset `implementation` is the function that loads it: `my_package.graphs:load`."""

    implementation: ClassVar[Any] = ""
    name: str = setting("???", "Which graph; decided by the file chosen for the group.")
    root: str = setting("data", "Folder that holds or receives the raw files.")
    split: int = setting(-1, "Published split to use; -1: number `seed` modulo how many there are. With `folds`: train on this fold only.")
    make_split: str | None = setting(
        None,
        "[Divide the labelled nodes](graph-files.md#splits), whatever the dataset's split is. `random`; `stratified`: each class alike; "
        "`order`: the lowest values of the column `split_by` train, the highest test; `groups`: nodes with the same value stay together.",
        SPLITS,
    )
    shares: list[float] = setting([*SHARES], "Shares of train, val and test in a split that is made; what is left is in none.")
    split_by: str | None = setting(None, "Column of `nodes` for `order` (numbers, dates) and `groups`; it is no feature.")
    split_seed: int = setting(0, "Seed of the split that is made, independent of `seed`.")
    folds: int | None = setting(
        None,
        "K-fold cross-validation: K runs, in each of which another fold tests and the next one validates; the summary holds mean and std.",
    )
    features: str | None = setting(
        None,
        "[Make features](graph-files.md#no-features-other-scales) in place of the dataset's own: `degree` (logarithms of in-degree and "
        "out-degree), `constant` (one column of 1), `random` (64 random numbers per node).",
        FEATURES,
    )
    normalize: str | None = setting(
        None,
        "[Scale the features](graph-files.md#no-features-other-scales): `row` divides each row by its sum of absolute values; `standard` "
        "gives each column mean 0 and deviation 1 on the training nodes.",
        NORMALIZE,
    )
    download: bool = setting(True, "Fetch missing files where the network allows.")

    @property
    def title(self) -> str:
        """What the graph is called in tables, pictures and names of folders."""
        return self.name

    def __post_init__(self) -> None:
        require_name("dataset.name", self.name)
        require(self.features in (None, *FEATURES), "dataset.features", self.features, "null or one of " + ", ".join(FEATURES))
        require(self.normalize in (None, *NORMALIZE), "dataset.normalize", self.normalize, "null or one of " + ", ".join(NORMALIZE))
        require(self.split >= -1, "dataset.split", self.split, "-1 (follow the seed) or the number of a split")
        require_whole("dataset.split_seed", self.split_seed, 0, MAX_SEED)
        self._check_made_split()
        self._check_folds()

    def _check_made_split(self) -> None:
        made, key = self.make_split, "dataset.make_split"
        require(made in (None, *SPLITS), key, made, "null or one of " + ", ".join(SPLITS))
        fits = len(self.shares) == 3 and all(0 <= share <= 1 for share in self.shares)  # nan is not
        wanted = "three shares from 0 to 1, of train, val and test, that add up to at most 1, that of train above 0"
        require(fits and self.shares[0] > 0 and math.fsum(self.shares) <= 1 + 1e-9, "dataset.shares", self.shares, wanted)
        by = f"{' or '.join(f'{key}={name}' for name in BY_COLUMN)} with it"
        require(self.split_by is None or made in BY_COLUMN, "dataset.split_by", self.split_by, by)
        require(
            self.split_by is not None or made not in BY_COLUMN, key, made, "dataset.split_by=COLUMN with it, a column of the node table"
        )
        if made is None and self.folds is None:
            unread = "dataset.make_split=random with it, or another way to make a split"
            require(tuple(self.shares) == SHARES, "dataset.shares", self.shares, unread)
            require(self.split_seed == 0, "dataset.split_seed", self.split_seed, unread)

    def _check_folds(self) -> None:
        if self.folds is None:
            return
        require_whole("dataset.folds", self.folds, 2, MAX_FOLDS)
        require(self.split < self.folds, "dataset.split", self.split, f"-1 (all folds) or a fold from 0 to {self.folds - 1}")
        alike = "random, stratified or groups with dataset.folds: in folds, later nodes would train for earlier ones"
        require(self.make_split != "order", "dataset.make_split", self.make_split, alike)
        require(tuple(self.shares) == SHARES, "dataset.shares", self.shares, f"no shares with dataset.folds={self.folds}: folds are equal")


@dataclass
class GeneratedConfig(DatasetConfig):
    """A degree-corrected stochastic block model with noisy class features (see `graph/sources/generated.py`)."""

    name: str = "generated"
    num_nodes: int = setting(10_000, "Nodes N.")
    average_degree: float = setting(12.0, "Mean of the expected degrees.")
    num_communities: int = setting(40, "Communities of equal size; they are the classes C.")
    num_features: int = setting(64, "Features F.")
    mixing: float = setting(0.3, "Expected share of a node's edges that leave its community.")
    feature_noise: float = setting(1.0, "Standard deviation of the noise around unit-length class centres.")
    power_law: float = setting(2.5, "Exponent of the degree distribution; larger means more equal degrees.")
    train_fraction: float = setting(0.1, "Share of the nodes that train.")
    val_fraction: float = setting(0.2, "Share that validates; the rest tests.")
    graph_seed: int = setting(0, GRAPH_SEED)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive("dataset.num_nodes", self.num_nodes)
        require_positive("dataset.average_degree", self.average_degree)
        require_positive("dataset.num_communities", self.num_communities)
        fewer = min(self.num_communities, max(1, self.num_nodes // 2))
        require(
            self.average_degree < self.num_nodes and self.num_communities <= self.num_nodes,
            "dataset.num_nodes",
            self.num_nodes,
            f"more nodes than dataset.average_degree={self.average_degree:g}, and at least dataset.num_communities={self.num_communities}. "
            f"For a graph of this size type as well: dataset.average_degree={min(self.average_degree, self.num_nodes / 2):g} "
            f"dataset.num_communities={fewer}",
        )
        require_positive("dataset.num_features", self.num_features)
        require_between("dataset.mixing", self.mixing, 0.0, 1.0)
        require_non_negative("dataset.feature_noise", self.feature_noise)
        require(self.power_law > 1, "dataset.power_law", self.power_law, "an exponent above 1, such as 2.5")
        require(0 < self.train_fraction < 1, "dataset.train_fraction", self.train_fraction, "between 0 and 1, both excluded")
        require_between("dataset.val_fraction", self.val_fraction, 0.0, 1.0)
        require(
            self.train_fraction + self.val_fraction <= 1,
            "dataset.train_fraction + dataset.val_fraction",
            self.train_fraction + self.val_fraction,
            "at most 1",
        )
        require_non_negative("dataset.graph_seed", self.graph_seed)


@dataclass
class ClusterConfig(DatasetConfig):
    """CLUSTER (see `graph/sources/cluster.py`): how many graphs are drawn, where its file is not there."""

    name: str = "cluster"
    num_train_graphs: int = setting(10_000, "Graphs that train, where they are drawn.")
    num_val_graphs: int = setting(1_000, "Graphs that validate.")
    num_test_graphs: int = setting(1_000, "Graphs that test.")
    graph_seed: int = setting(0, GRAPH_SEED)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive("dataset.num_train_graphs", self.num_train_graphs)
        require_non_negative("dataset.num_val_graphs", self.num_val_graphs)
        require_non_negative("dataset.num_test_graphs", self.num_test_graphs)
        require_non_negative("dataset.graph_seed", self.graph_seed)


@dataclass
class ColumnsConfig:
    """Which column of a node or edge table means what, where its name does not say so; null: found by the name (docs/graph-files.md)."""

    source: str | None = setting(None, "Column of `edges` with the node that sends the message.")
    target: str | None = setting(None, "Column of `edges` with the node that receives it.")
    weight: str | None = setting(None, "Column of `edges` with the weight.")
    id: str | None = setting(None, "Column of `nodes` with the id that `edges` uses.")
    label: str | None = setting(None, "Column of `nodes` with the class.")
    split: str | None = setting(None, "Column of `nodes` that says train, val or test.")
    type: str | None = setting(None, "Column of `nodes` with the type, for `dataset.types=onehot`.")
    relation: str | None = setting(None, "Column of `edges` with the type, for `dataset.types=onehot`.")
    ignore: list[str] = setting([], "Columns of either table that are left out.")


@dataclass
class FolderConfig(DatasetConfig):
    """The user's graph (docs/graph-files.md): a folder of tables, or one file (.pt, .npz, .mat).

    labelled  whether labels and splits are read
    words     columns that are encoded as words, whatever their cells look like
    """

    labelled: ClassVar[bool] = True
    words: ClassVar[Sequence[str]] = ()
    name: str = FOLDER
    path: str = setting("", "Folder of [tables](own-graph.md), or one file that holds all.")
    columns: ColumnsConfig = field(default_factory=ColumnsConfig)
    encode: str | None = setting(None, "`onehot`: columns of words become a column of 0 and 1 per word; null: they are refused.", ENCODINGS)
    types: str | None = setting(
        None,
        "`onehot`: [several types](graph-files.md#several-types) of nodes and edges (a `HeteroData`, tables with a column `type`) "
        "become one graph; "
        "null: they are refused.",
        ENCODINGS,
    )
    undirected: bool = setting(False, "Add the reverse of every edge.")
    task: str = setting("auto", "`regression`: labels are [numbers](graph-files.md#regression); `auto`: they are classes.", TASKS)
    num_classes: int = setting(0, "Classes C, labels 0 to C-1; 0 takes the distinct labels as classes.")
    metric: str = setting("auto", "`auto`: accuracy for one label per node, micro-F1 for several, MAE for regression.", FOLDER_METRICS)
    header: str = setting(
        "auto",
        "A first row 0, 1, 2… of a .csv numbers its columns; `auto` decides by all files together.",
        ANSWERS,
    )
    index: str = setting(
        "auto",
        "A first column 0, 1, 2… of a .csv numbers its rows; `auto` decides by all files together.",
        ANSWERS,
    )

    @property
    def title(self) -> str:
        """The name of the path; that of the dataset where a package reads files in another way."""
        return name_of_path(self.path) if self.name == FOLDER else self.name

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            0 <= self.num_classes <= MAX_CLASSES,
            "dataset.num_classes",
            self.num_classes,
            f"at most {MAX_CLASSES:,}, or 0 (the distinct labels)",
        )
        self.header, self.index = self.header.lower(), self.index.lower()  # a boolean of yaml or of the command line arrives as "True"
        require(self.encode in (None, *ENCODINGS), "dataset.encode", self.encode, "onehot or null")
        require(self.types in (None, *ENCODINGS), "dataset.types", self.types, "onehot or null")
        for role in ("type", "relation"):
            name = getattr(self.columns, role)
            require(name is None or self.types is not None, f"dataset.columns.{role}", name, "dataset.types=onehot with it")
        require(self.header in ANSWERS, "dataset.header", self.header, "one of " + ", ".join(ANSWERS))
        require(self.index in ANSWERS, "dataset.index", self.index, "one of " + ", ".join(ANSWERS))
        require(self.metric in FOLDER_METRICS, "dataset.metric", self.metric, "one of " + ", ".join(FOLDER_METRICS))
        require(self.task in TASKS, "dataset.task", self.task, "one of " + ", ".join(TASKS))
        self._check_task()

    def _check_task(self) -> None:
        of_numbers = self.metric in METRICS and REGRESSION in METRICS[self.metric].tasks
        if self.task == REGRESSION:
            fits = self.metric == "auto" or of_numbers
            require(fits, "dataset.metric", self.metric, f"one of {fitting(REGRESSION)} with dataset.task=regression")
            require(self.num_classes == 0, "dataset.num_classes", self.num_classes, "0 with dataset.task=regression, which has no classes")
        else:
            require(not of_numbers, "dataset.metric", self.metric, "a metric of classes, or dataset.task=regression with it")


def name_of_path(path: str) -> str:
    """What a user's graph is called: as its folder, or its one file without suffix; `folder` where the path has no name."""
    place = Path(os.path.abspath(os.path.expanduser(path))) if path else Path()
    if place.suffix in ONE_FILE and not os.path.isdir(place):
        return place.stem
    return (place.parent if os.path.isfile(place) else place).name or FOLDER  # a file is one of the folder's two tables


@dataclass
class UnlabelledConfig(FolderConfig):
    """A user's graph to predict on: labels and splits are not read, if there are any; `words` were words in the training."""

    labelled: ClassVar[bool] = False
    words: list[str] = field(default_factory=list)  # type: ignore[misc]
