"""Settings of the `dataset` group: which graph, and where its files are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from gas_cli.config.checks import require, require_between, require_name, require_non_negative, require_positive
from gas_cli.config.metrics import METRICS, REGRESSION, fitting
from gas_cli.config.setting import setting

ENCODINGS = ("onehot",)
FOLDER_METRICS = ("auto", *METRICS)
TASKS = ("auto", REGRESSION)
ANSWERS = ("auto", "true", "false")
GIVEN = "given"
"""`dataset.name` of a run whose graph a program has given: no file of it is known."""
GRAPH_SEED = "Seed of the graph, independent of `seed`."
MAX_CLASSES = 1_000_000
"""Bound of `dataset.num_classes`: an output layer of more classes is a mistake, or ends without memory."""


@dataclass
class DatasetConfig:
    """A graph by name. Of a registered dataset `implementation` is the function that loads it: `my_package.graphs:load`."""

    implementation: ClassVar[Any] = ""
    name: str = setting("???", "Which graph; decided by the file chosen for the group.")
    root: str = setting("data", "Folder that holds or receives the raw files.")
    split: int = setting(-1, "Published split to use; -1: number `seed` modulo how many there are.")
    download: bool = setting(True, "Fetch missing files where the network allows.")

    def __post_init__(self) -> None:
        require_name("dataset.name", self.name)
        require(self.split >= -1, "dataset.split", self.split, "-1 (follow the seed) or the number of a split")


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
    """Which column of a node or edge table means what, where its name does not say so; null: found by the name (docs/own-graph.md)."""

    source: str | None = setting(None, "Column of `edges` with the node that sends the message.")
    target: str | None = setting(None, "Column of `edges` with the node that receives it.")
    weight: str | None = setting(None, "Column of `edges` with the weight.")
    id: str | None = setting(None, "Column of `nodes` with the id that `edges` uses.")
    label: str | None = setting(None, "Column of `nodes` with the class.")
    split: str | None = setting(None, "Column of `nodes` that says train, val or test.")
    ignore: list[str] = setting([], "Columns of either table that are left out.")


@dataclass
class FolderConfig(DatasetConfig):
    """The user's graph (docs/own-graph.md): a folder of tables, or a .pt file with a PyG `Data`."""

    name: str = "folder"
    path: str = setting("", "Folder of [tables](own-graph.md), or one file that holds all.")
    columns: ColumnsConfig = field(default_factory=ColumnsConfig)
    encode: str | None = setting(None, "`onehot`: columns of words become a column of 0 and 1 per word; null: they are refused.", ENCODINGS)
    undirected: bool = setting(False, "Add the reverse of every edge.")
    task: str = setting("auto", "`regression`: labels are [numbers to predict](own-graph.md#regression); `auto`: they are classes.", TASKS)
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
