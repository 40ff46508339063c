"""A small custom graph, as the arrays that `dataset=folder` reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from gas_cli.config.dataset import FolderConfig
from gas_cli.graph.graph import Graph, Split
from gas_cli.graph.load import load_graph
from gas_cli.graph.topology import build_adjacency

N, F, C, E = 12, 3, 4, 30
Write = Callable[..., Path]


def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    role = np.arange(N) % 3
    return {
        "edges": rng.integers(0, N, (2, E)),
        "features": rng.standard_normal((N, F)).astype(np.float32),
        "labels": rng.permutation(np.arange(N) % C),
        **{f"{part}_mask": role == number for number, part in enumerate(("train", "val", "test"))},
    }


def save(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = values.T if path.stem == "edges" and path.suffix != ".npy" else values
    values = values.astype(np.int64) if values.dtype == bool and path.suffix == ".csv" else values
    if path.suffix == ".npy":
        np.save(path, values)
    elif path.suffix == ".csv":
        pd.DataFrame(values).to_csv(path, header=False, index=False)
    else:
        pd.DataFrame(values).rename(columns=str).to_parquet(path)


def load(path: Path, **settings: Any) -> Graph:
    return load_graph(FolderConfig(path=str(path), **settings))


def expected() -> Graph:
    given = arrays()
    adj = build_adjacency(given["edges"], N, symmetrise=False)
    masks = [torch.from_numpy(given[f"{part}_mask"]) for part in ("train", "val", "test")]
    x, y = torch.from_numpy(given["features"]), torch.from_numpy(given["labels"])
    return Graph("mine", x, adj, y, (Split(*masks),), C, "accuracy", adj.symmetric)


def assert_equal(graph: Graph, other: Graph) -> None:
    assert graph.fingerprint() == other.fingerprint() and len(graph.splits) == len(other.splits)
    for split, wanted in zip(graph.splits, other.splits, strict=True):
        assert all(torch.equal(getattr(split, part), getattr(wanted, part)) for part in ("train", "val", "test"))
    assert (graph.num_classes, graph.metric, graph.symmetric) == (other.num_classes, other.metric, other.symmetric)
