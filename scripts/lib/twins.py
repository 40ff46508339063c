"""The large graphs of the paper: the real one where its files are below a folder, else a generated twin of the same size.

A twin is a degree-corrected block model (gas_cli/graph/sources/generated.py) with the published numbers of nodes, edges, features and
classes. Its accuracy says nothing about the real graph, its sizes do; where a graph has several labels per node, its twin has one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gas_cli.graph.graph import Graph


@dataclass(frozen=True)
class Size:
    """Of a published graph: `edges` are undirected, `train` and `val` are shares of the nodes.

    `mixing` is the share of a node's edges that leave its community. No file tells it; see `scripts/memory.py` for what sets it.
    """

    nodes: int
    edges: int
    features: int
    classes: int
    train: float
    val: float
    mixing: float = 0.3


SIZES = {
    "reddit2": Size(232_965, 11_606_919, 602, 41, 0.66, 0.10),
    "ppi": Size(56_944, 793_632, 50, 121, 0.79, 0.11),
    "flickr": Size(89_250, 449_878, 500, 7, 0.50, 0.25),
    "yelp": Size(716_847, 6_977_409, 300, 100, 0.75, 0.10, mixing=0.43),
    "ogbn-arxiv": Size(169_343, 1_157_799, 128, 40, 0.54, 0.18, mixing=0.15),
    "ogbn-products": Size(2_449_029, 61_859_012, 100, 47, 0.08, 0.02, mixing=0.06),
}


def twin_settings(name: str, scale: float = 1.0) -> tuple[str, ...]:
    """The settings of `gas-train` that generate the twin of `name` with `scale` times its nodes and edges."""
    size = SIZES[name]
    nodes = max(round(scale * size.nodes), size.classes)
    values = {
        "num_nodes": nodes,
        "average_degree": round(min(2 * size.edges / size.nodes, nodes / 4), 4),
        "num_communities": size.classes,
        "num_features": size.features,
        "mixing": size.mixing,
        "train_fraction": size.train,
        "val_fraction": size.val,
    }
    return ("dataset=generated", *(f"dataset.{key}={value}" for key, value in values.items()))


def real(name: str, root: str | Path) -> Graph | None:
    """The graph `name` from its files below `root`; None where they are not there. Nothing is downloaded."""
    from gas_cli.config.compose import compose_config
    from gas_cli.graph.download import MissingFiles
    from gas_cli.graph.load import load_graph

    config = compose_config([f"dataset={name}", f"dataset.root={root}", "dataset.download=false"]).dataset
    try:
        return load_graph(config, progress=True)
    except MissingFiles:
        return None


def twin(name: str, scale: float = 1.0) -> Graph:
    """The generated twin of `name`."""
    from gas_cli.config.compose import compose_config
    from gas_cli.graph.load import load_graph

    return load_graph(compose_config(twin_settings(name, scale)).dataset)
