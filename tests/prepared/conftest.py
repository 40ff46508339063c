"""A dataset of one file, whose graph the test chooses, and a cache of its own that keeps small graphs too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from gas_cli.config.dataset import DatasetConfig
from gas_cli.config.model import GCNConfig, ModelConfig
from gas_cli.config.partitioner import PartitionerConfig
from gas_cli.config.root import Config
from gas_cli.graph import files, load
from gas_cli.graph.graph import Graph
from gas_cli.prepared import graph_layer
from gas_cli.prepared.prepare import prepare_files
from gas_cli.prepared.problem import Problem
from tests.builders import make_config, make_graph, random_adjacency


@dataclass
class Mine:
    """The dataset `mine`: `loaded` counts how often its source was called."""

    file: Path
    cache: Path
    graph: Graph
    loaded: int = 0

    def config(self, model: ModelConfig | None = None, **settings: Any) -> Config:
        partitioner = PartitionerConfig(name="random", num_parts=4, cache=str(self.cache))
        config = make_config(model or GCNConfig(), **settings)
        return replace(config, dataset=DatasetConfig("mine", root=str(self.file.parents[1])), partitioner=partitioner)

    def prepare(self, config: Config | None = None, attributes: bool = False) -> Problem:
        config = config or self.config()
        return prepare_files(config, attributes, lambda graph: config)

    def entries(self, layer: str) -> list[Path]:
        return sorted(path for path in (self.cache / layer).glob("[!.]*") if path.is_dir())

    def left(self) -> list[Path]:
        """What should not be there once everything is done: locks and half-written entries."""
        return [path for path in self.cache.rglob("*") if path.name.startswith(".") or path.suffix == ".lock"]


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mine:
    file = tmp_path / "data" / "mine" / "raw.bin"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"one")
    found = Mine(file, tmp_path / "cache", make_graph(random_adjacency(40, 4, 0)))

    def source(config: DatasetConfig, progress: bool) -> Graph:
        found.loaded += 1
        return found.graph

    monkeypatch.setitem(load.SOURCES, "mine", source)
    monkeypatch.setitem(files.CANDIDATES, "mine", lambda _: ["mine"])
    monkeypatch.setattr(graph_layer, "SMALL", 0)
    return found


@pytest.fixture
def forbid(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`forbid("module.function")`: from now on a call is a failure."""

    def forbidden(*names: str) -> None:
        for name in names:
            monkeypatch.setattr(name, lambda *_, name=name, **__: pytest.fail(f"{name} was called"))

    return forbidden
