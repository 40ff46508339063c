"""Splits that settings make of a graph in the cache."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from gas_cli.config.compose import compose_config
from gas_cli.config.dataset import DatasetConfig
from gas_cli.errors import UserError
from gas_cli.graph.graph import Graph, Split
from gas_cli.prepared.problem import Problem
from gas_cli.run import prepare, prepare_training
from tests.prepared.conftest import Mine

N = 40_000
"""Nodes of a graph that is large enough to be kept."""


def original(problem: Problem) -> list[list[int]]:
    """The nodes of the parts of the first split, as the dataset numbers them."""
    order, split = problem.partition.node_perm, problem.graph.splits[0]
    return [sorted(order[mask].tolist()) for mask in (split.train, split.val, split.test)]


def test_a_split_is_that_of_the_nodes_in_every_partition(mine: Mine) -> None:
    config = mine.config()
    config = replace(config, dataset=replace(config.dataset, make_split="random"))
    one, other = (mine.prepare(replace(config, partitioner=replace(config.partitioner, num_parts=parts))) for parts in (4, 7))
    assert original(one) == original(other) and one.fingerprints["masks"] == other.fingerprints["masks"]
    moved = mine.prepare(replace(config, dataset=replace(config.dataset, split_seed=1)))
    assert original(moved) != original(one) and moved.fingerprints["masks"] != one.fingerprints["masks"]
    assert original(mine.prepare()) != original(one)


@pytest.fixture
def tables(tmp_path: Path) -> list[str]:
    rng = np.random.default_rng(0)
    nodes = pd.DataFrame({"f": rng.standard_normal(N), "year": rng.integers(1990, 2020, N), "label": rng.integers(0, 3, N)})
    edges = pd.DataFrame(rng.integers(0, N, (4 * N, 2)), columns=["source", "target"])
    (tmp_path / "mine").mkdir()
    nodes.to_parquet(tmp_path / "mine" / "nodes.parquet")
    edges.to_parquet(tmp_path / "mine" / "edges.parquet")
    partitioner = ["partitioner=range", "partitioner.num_parts=2", f"partitioner.cache={tmp_path / 'cache'}"]
    return ["dataset=folder", f"dataset.path={tmp_path / 'mine'}", "dataset.undirected=true", "trainer.batch_parts=1", *partitioner]


def test_a_kept_graph_is_divided_as_one_that_was_read(tables: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def prepared(*settings: str) -> Problem:
        caplog.clear()
        return prepare(compose_config([*tables, *settings]))

    by_year = ("dataset.make_split=order", "dataset.split_by=year")
    with caplog.at_level("INFO"):
        first = prepared(*by_year)
        read = caplog.text
        again = prepared(*by_year)
    assert "the prepared graph is in" in caplog.text and "the prepared graph is in" not in read
    border = "in the order of 'year' (train up to 2007, val up to 2013, test up to 2019)"
    assert border in read and border in caplog.text
    assert original(first) == original(again) and first.fingerprints == again.fingerprints
    prepared("dataset.make_split=groups", "dataset.split_by=year", "dataset.split_seed=3")
    prepared("dataset.columns.ignore=[year]")  # a graph without a split is kept too
    assert prepared("dataset.columns.ignore=[year]").graph.splits == ()
    prepared("dataset.columns.ignore=[year]", "dataset.make_split=random")
    prepared("dataset.columns.ignore=[year]", "dataset.folds=3")
    assert len([*(tmp_path / "cache" / "graph").glob("folder-*[0-9a-f]")]) == 2  # by what was read, not by how it was divided


def test_training_without_a_split_is_refused_with_what_to_type(mine: Mine) -> None:
    mine.graph = replace(mine.graph, splits=())
    mine.prepare()
    with pytest.raises(UserError, match=r"has no split into train, val and test. Type dataset.make_split=random"):
        prepare_training(mine.config())
    config = mine.config()
    prepare_training(replace(config, dataset=DatasetConfig("mine", root=config.dataset.root, make_split="random")))


def without_validation(graph: Graph) -> Graph:
    split = graph.splits[0]
    return replace(graph, splits=(Split(split.train, torch.zeros_like(split.val), split.test),))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"trainer__patience": 3}, "trainer.patience=3 needs validation nodes, and .* has a split without any. Type trainer.patience=null"),
        ({"optimizer__schedule": "plateau"}, "optimizer.schedule=plateau needs validation nodes.*Type optimizer.schedule=null"),
    ],
)
def test_what_listens_to_the_validation_metric_needs_validation_nodes(mine: Mine, settings: dict[str, object], message: str) -> None:
    whole, without = mine.graph, without_validation(mine.graph)
    config = mine.config(**settings)
    prepare_training(config, graph=whole)
    prepare(config, graph=without)  # as a prediction does
    with pytest.raises(UserError, match=message):
        prepare_training(config, graph=without)
    prepare_training(mine.config(optimizer__schedule="cosine"), graph=without)


def test_only_the_splits_that_are_trained_on_count(mine: Mine) -> None:
    graph = replace(mine.graph, splits=(*mine.graph.splits, *without_validation(mine.graph).splits))
    config = mine.config(trainer__patience=3)
    prepare_training(replace(config, seed=0), graph=graph)
    prepare_training(replace(config, seed=1, dataset=replace(config.dataset, split=0)), graph=graph)
    for other in (replace(config, seed=1), replace(config, seed=0, runs=2)):
        with pytest.raises(UserError, match=r"trainer.patience=3 needs validation nodes"):
            prepare_training(other, graph=graph)
