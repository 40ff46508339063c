"""A second start maps what the first one has made: the same problem to the last bit, and nothing is made again."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from gas_cli.config.model import GATConfig, GCNConfig, SAGEConfig
from gas_cli.errors import UserError
from gas_cli.graph.graph import Graph, Split
from gas_cli.graph.normalize import normalize
from gas_cli.ops.csr import CSR
from gas_cli.partition.permute import permute_graph
from gas_cli.prepared import graph_layer
from gas_cli.prepared.prepare import prepare_loaded
from gas_cli.prepared.problem import Problem
from tests.builders import make_graph, random_adjacency

if TYPE_CHECKING:
    from tests.prepared.conftest import Mine

MAKING = (
    "gas_cli.prepared.graph_layer.load_graph",
    "gas_cli.prepared.graph_layer.topology_digest",
    "gas_cli.graph.graph.Graph.fingerprints",
    "gas_cli.partition.make.assign_parts",
    "gas_cli.partition.permute.permute_adjacency",
    "gas_cli.prepared.partition_layer.permute_adjacency",
    "gas_cli.prepared.partition_layer.normalize",
)


def several_splits(graph: Graph) -> Graph:
    first = graph.splits[0]
    return replace(graph, splits=(first, Split(first.val, first.test, first.train)))


def several_labels(graph: Graph) -> Graph:
    y = torch.from_numpy(np.random.default_rng(0).integers(0, 2, (graph.num_nodes, 3))).float()
    return replace(graph, y=y, metric="micro_f1")


def numbers(graph: Graph) -> Graph:
    return replace(graph, y=torch.randn(graph.num_nodes, 2), num_classes=2, metric="r2", regression=True)


def inductive(graph: Graph) -> Graph:
    """No edge joins a training node and another."""
    train = graph.splits[0].train.numpy()
    links = graph.adj.to_scipy().tocoo()
    apart = train[links.coords[0]] == train[links.coords[1]]
    kept = tuple(ends[apart] for ends in links.coords)
    return replace(graph, adj=replace(CSR.from_scipy(sp.csr_array((links.data[apart], kept), links.shape)), symmetric=True), inductive=True)


def weighted(graph: Graph) -> Graph:
    return replace(graph, adj=replace(graph.adj, value=torch.rand(graph.num_edges) + 0.5, symmetric=False), symmetric=False)


def named(graph: Graph) -> Graph:
    return replace(graph, class_names=("a", "β", "c"))


def table_of_attributes(graph: Graph) -> Graph:
    """Both directions of an edge share rows of a table."""
    rows = torch.arange(graph.num_edges) % 7
    return replace(graph, edge_attr=torch.rand(7, 3), adj=replace(graph.adj, attr_row=rows))


MATRIX = random_adjacency(40, 4, 0)
GRAPHS = {
    "dense": make_graph(MATRIX),
    "directed": make_graph(random_adjacency(40, 4, 1, directed=True), directed=True),
    "sparse features": make_graph(MATRIX, sparse_features=True),
    "weighted": weighted(make_graph(MATRIX)),
    "several splits": several_splits(make_graph(MATRIX)),
    "several labels": several_labels(make_graph(MATRIX)),
    "numbers": numbers(make_graph(MATRIX)),
    "inductive": inductive(make_graph(MATRIX)),
    "attributes": make_graph(MATRIX, edge_dim=2),
    "table of attributes": table_of_attributes(make_graph(MATRIX)),
    "named classes": named(make_graph(MATRIX)),
    "no edges": make_graph(MATRIX * 0),
}
MODELS = {"gcn": GCNConfig(), "gat": GATConfig(), "sage": SAGEConfig()}


def assert_same(found: Problem, wanted: Problem) -> None:
    assert found.fingerprints == wanted.fingerprints
    one, two = found.graph, wanted.graph
    for name in ("name", "num_classes", "metric", "symmetric", "inductive", "class_names", "regression"):
        assert getattr(one, name) == getattr(two, name), name
    assert_same_matrix(found.adj, wanted.adj)
    assert_same_matrix(one.adj, two.adj)
    if isinstance(two.x, CSR):
        assert_same_matrix(one.x, two.x)
    else:
        assert torch.equal(one.x, two.x) and one.x.dtype == two.x.dtype
    assert torch.equal(one.y, two.y) and one.y.dtype == two.y.dtype
    assert len(one.splits) == len(two.splits)
    for split, other in zip(one.splits, two.splits, strict=True):
        assert all(torch.equal(getattr(split, part), getattr(other, part)) for part in ("train", "val", "test"))
    for name in ("edge_attr", "x_row"):
        assert_equal_or_none(getattr(one, name), getattr(two, name))
    assert torch.equal(found.partition.node_perm, wanted.partition.node_perm)
    assert torch.equal(found.partition.part_ptr, wanted.partition.part_ptr)
    assert found.partition.quality == wanted.partition.quality


def assert_same_matrix(one: object, two: CSR) -> None:
    assert isinstance(one, CSR) and (one.num_cols, one.symmetric) == (two.num_cols, two.symmetric)
    for name in ("rowptr", "col", "value", "attr_row"):
        assert_equal_or_none(getattr(one, name), getattr(two, name))


def assert_equal_or_none(one: torch.Tensor | None, two: torch.Tensor | None) -> None:
    assert (one is None) == (two is None)
    assert one is None or two is None or (one.dtype == two.dtype and torch.equal(one, two))


def by_hand(graph: Graph, problem: Problem, attributes: bool, model: GCNConfig) -> tuple[Graph, CSR]:
    """The permuted graph and its weights, made without a cache in the order in which the pieces are documented."""
    if not attributes:
        graph = replace(graph, edge_attr=None, adj=replace(graph.adj, attr_row=None))
    permuted = permute_graph(graph, problem.partition)
    return permuted, normalize(permuted.adjacency(), model.normalization, model.self_loops)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", GRAPHS)
def test_a_second_start_gives_the_same_problem_and_makes_nothing(mine: Mine, forbid: Callable[..., None], kind: str, model: str) -> None:
    mine.graph, attributes = GRAPHS[kind], "attributes" in kind
    config = mine.config(MODELS[model])
    without = mine.prepare(replace(config, partitioner=replace(config.partitioner, cache=None)), attributes)
    graph, adj = by_hand(mine.graph, without, attributes, MODELS[model])
    first = mine.prepare(config, attributes)
    forbid(*MAKING)
    second = mine.prepare(config, attributes)
    assert_same(first, without)
    assert_same(second, without)
    assert_same_matrix(second.adj, adj)
    assert_same_matrix(second.graph.adj, graph.adj)
    assert mine.left() == []


@pytest.mark.parametrize("method", ["full_batch", "cluster_gcn"])
def test_other_methods_have_the_same_problem_too(mine: Mine, method: str) -> None:
    config = mine.config()
    config = replace(config, method=replace(config.method, name=method))
    without = mine.prepare(replace(config, partitioner=replace(config.partitioner, cache=None)))
    assert_same(mine.prepare(config), without)
    assert_same(mine.prepare(config), without)


def test_a_graph_at_hand_is_divided_once(mine: Mine, forbid: Callable[..., None]) -> None:
    config = mine.config()
    first = prepare_loaded(mine.graph, config, False, lambda graph: config)
    forbid("gas_cli.partition.make.assign_parts")
    assert_same(prepare_loaded(mine.graph, config, False, lambda graph: config), first)
    assert_same(mine.prepare(config), first)  # the same graph as files
    assert mine.entries("graph") and len(mine.entries("partition")) == 1


def test_an_edit_that_keeps_the_size_is_noticed(mine: Mine) -> None:
    mine.prepare()
    before = mine.file.stat()
    mine.file.write_bytes(b"two")
    os.utime(mine.file, ns=(before.st_atime_ns, before.st_mtime_ns))
    mine.graph = make_graph(random_adjacency(40, 4, 5))
    assert mine.prepare().fingerprints["edges"] == mine.graph.fingerprints()["edges"]
    assert mine.loaded == 2


def test_an_added_and_a_removed_file_are_noticed(mine: Mine) -> None:
    mine.prepare()
    (mine.file.parent / "labels.bin").write_bytes(b"")
    mine.prepare()
    assert mine.loaded == 2
    (mine.file.parent / "labels.bin").unlink()
    mine.prepare()
    assert mine.loaded == 2  # the first entry is still there


def test_what_others_make_of_the_files_is_not_noticed(mine: Mine) -> None:
    mine.prepare()
    for name in ("processed/data.pt", "parsed/x.npy", ".cache/x", ".lock"):
        (mine.file.parent / name).parent.mkdir(exist_ok=True)
        (mine.file.parent / name).write_bytes(b"x")
    mine.prepare()
    assert mine.loaded == 1


def test_files_that_change_while_they_are_read_are_not_kept(mine: Mine, monkeypatch: pytest.MonkeyPatch) -> None:
    load = graph_layer.load_graph

    def edited(*arguments: object) -> Graph:
        graph = load(*arguments)  # type: ignore[arg-type]
        mine.file.write_bytes(b"edited")
        return graph

    monkeypatch.setattr(graph_layer, "load_graph", edited)
    mine.prepare()
    assert mine.entries("graph") == []


def test_files_that_loading_brings_belong_to_the_entry(mine: Mine, monkeypatch: pytest.MonkeyPatch) -> None:
    load = graph_layer.load_graph

    def downloaded(*arguments: object) -> Graph:
        mine.file.write_bytes(b"one")
        return load(*arguments)  # type: ignore[arg-type]

    mine.file.unlink()
    monkeypatch.setattr(graph_layer, "load_graph", downloaded)
    mine.prepare()
    mine.prepare()
    assert mine.loaded == 1


def test_a_sweep_copies_nothing_that_it_shares(mine: Mine) -> None:
    """Models, normalisations and partitions of one graph have one entry of its features."""
    for model in MODELS.values():
        for parts in (2, 4):
            config = mine.config(model)
            mine.prepare(replace(config, partitioner=replace(config.partitioner, num_parts=parts)))
    assert mine.loaded == 1
    counts = {layer: len(mine.entries(layer)) for layer in ("graph", "partition", "edges")}
    assert counts == {"graph": 1, "partition": 2, "edges": 2}
    assert len(list(mine.cache.rglob("x.npy"))) == 1
    for entry in mine.entries("weights"):  # an adjacency without added self-loops shares its pattern
        assert (entry / "value.npy").exists() != (entry / "adj_col.npy").exists()


def test_other_weights_are_other_edges_in_the_same_parts(mine: Mine) -> None:
    mine.prepare()
    mine.graph = weighted(mine.graph)
    mine.file.write_bytes(b"weighted")
    assert torch.equal(mine.prepare().graph.adj.value.sort().values, mine.graph.adj.value.sort().values)
    assert len(mine.entries("partition")) == 1 and len(mine.entries("edges")) == 2


def test_a_small_graph_keeps_its_partition_alone(mine: Mine, monkeypatch: pytest.MonkeyPatch, forbid: Callable[..., None]) -> None:
    monkeypatch.setattr("gas_cli.prepared.graph_layer.SMALL", 1 << 20)
    first = mine.prepare()
    forbid("gas_cli.partition.make.assign_parts")
    assert_same(mine.prepare(), first)
    assert mine.loaded == 2 and len(mine.entries("partition")) == 1
    assert [mine.entries(layer) for layer in ("graph", "edges", "weights")] == [[], [], []]


def test_a_split_that_does_not_exist_is_said_of_a_prepared_graph_too(mine: Mine) -> None:
    mine.prepare()
    config = mine.config()
    with pytest.raises(UserError, match=r"dataset\.split=3: test has 1 split"):
        mine.prepare(replace(config, dataset=replace(config.dataset, split=3)))


def test_what_a_run_changes_in_mapped_arrays_does_not_reach_the_cache(mine: Mine) -> None:
    wanted = mine.prepare()
    expected = [wanted.adj.value.clone(), wanted.adj.col.clone(), wanted.partition.node_perm.clone()]
    spoiled = mine.prepare()
    for tensor in (spoiled.adj.value, spoiled.adj.col, spoiled.partition.node_perm):
        tensor.zero_()
    again = mine.prepare()
    for found, value in zip((again.adj.value, again.adj.col, again.partition.node_perm), expected, strict=True):
        assert torch.equal(found, value)


@pytest.mark.parametrize("level", [logging.INFO, logging.WARNING])
def test_what_was_logged_of_the_files_is_said_again(
    mine: Mine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, level: int
) -> None:
    """Whatever the level of the log was when the files were read."""
    from gas_cli.graph import load

    def source(*_: object) -> Graph:
        sources = logging.getLogger("gas_cli.graph.sources.mine")
        sources.info("labels.csv is taken for %s.", "labels")
        sources.warning("3 edges were dropped.")
        return mine.graph

    monkeypatch.setitem(load.SOURCES, "mine", source)
    caplog.set_level(level, "gas_cli")
    mine.prepare()
    first = [record.getMessage() for record in caplog.records if record.name.startswith("gas_cli.graph")]
    assert first == ["labels.csv is taken for labels.", "3 edges were dropped."][level > logging.INFO :]
    caplog.set_level(logging.INFO, "gas_cli")
    caplog.clear()
    mine.prepare()
    said = [(record.levelno, record.getMessage()) for record in caplog.records if record.name.startswith("gas_cli.graph")]
    assert said == [(logging.INFO, "labels.csv is taken for labels."), (logging.WARNING, "3 edges were dropped.")]
