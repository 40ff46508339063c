"""Small tables of a training and of other data, runs on them, and what predictions on a copy of the data have to be."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from gas_cli.graph.graph import Graph
from gas_cli.prediction import predict
from tests.end_to_end.runs import train

NODES, CLASSES, COLOURS = 60, ("ant", "bee", "cat"), ("blue", "green", "red")
SMALL = (
    "dataset=folder", "dataset.encode=onehot", "model=gcn", "model.hidden_channels=8", "trainer.epochs=3", "trainer.batch_parts=1",
    "partitioner.num_parts=4", "partitioner.name=range", "device=cpu",
)  # fmt: skip


def tables(nodes: int = NODES, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A node table with ids, a label, two numbers, a column of words and a split; and edges by these ids."""
    rng = np.random.default_rng(seed)
    ids = np.array([f"id {k}" for k in rng.permutation(nodes)])
    table = pd.DataFrame({"id": ids, "label": np.array(CLASSES)[np.arange(nodes) % 3], "height": rng.random(nodes)})
    table["colour"] = np.array(COLOURS)[rng.permutation(np.arange(nodes) % 3)]
    table["width"] = rng.random(nodes)
    table["split"] = np.array(["train", "val", "test"])[np.arange(nodes) % 3]
    ends = rng.integers(0, nodes, (2, 4 * nodes))
    return table, pd.DataFrame({"source": ids[ends[0]], "target": ids[ends[1]]})


def write(folder: Path, nodes: pd.DataFrame, edges: pd.DataFrame) -> Path:
    folder.mkdir()
    nodes.to_csv(folder / "nodes.csv", index=False)
    edges.to_csv(folder / "edges.csv", index=False)
    return folder


def by_hand(nodes: pd.DataFrame, edges: pd.DataFrame) -> Graph:
    """The graph with the columns of the training: height, the three colours, width."""
    x = np.column_stack([nodes["height"], *(nodes["colour"] == colour for colour in COLOURS), nodes["width"]]).astype(np.float32)
    row = {name: at for at, name in enumerate(nodes["id"])}
    ends = np.array([edges["source"].map(row), edges["target"].map(row)])
    return Graph.from_edges(ends, x)


def run_each(folder: Path, graph: Path, setting: str, kinds: Iterable[str]) -> Path:
    """`folder` with a run on `graph` for each value of the setting, by its name."""
    for kind in kinds:
        train(folder / kind, base=(*SMALL, f"dataset.path={graph}", f"{setting}={kind}"))
    return folder


def same_bits_elsewhere(run: Path, graph: Path, elsewhere: Path) -> None:
    """Predictions on a copy of the training's data are the same, also from histories."""
    shutil.copytree(graph, elsewhere)
    for mode in ("exact", "history"):
        here, there = predict(run, mode=mode), predict(run, mode=mode, settings=[f"dataset.path={elsewhere}"])
        np.testing.assert_array_equal(here.probabilities, there.probabilities)
        assert here.nodes.tolist() == there.nodes.tolist() and here.classes == there.classes
