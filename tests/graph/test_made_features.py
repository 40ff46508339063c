"""`dataset.features`: what each kind is, and which graphs it serves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from torch_geometric.data import Data

from gas_cli.config.compose import compose_config
from gas_cli.config.dataset import FEATURES, FolderConfig, UnlabelledConfig
from gas_cli.errors import UserError
from gas_cli.graph.graph import Graph
from gas_cli.graph.load import load_graph
from gas_cli.graph.made_features import RANDOM_COLUMNS, none_of, with_features
from tests.builders import make_graph, random_adjacency
from tests.graph.sources.own_folder import N, arrays, load, save


def made(graph: Graph, kind: str) -> torch.Tensor:
    x = with_features(graph, FolderConfig(features=kind)).x
    assert isinstance(x, torch.Tensor)
    return x


@pytest.mark.parametrize("directed", [False, True])
def test_degrees_are_those_of_the_edges_whatever_they_weigh(directed: bool) -> None:
    matrix = random_adjacency(50, 4, 0, directed)
    graph = make_graph(matrix)
    pattern = graph.adj.to_scipy().toarray() != 0  # row v holds the messages to v
    expected = np.log1p(np.stack([pattern.sum(1), pattern.sum(0)], axis=1))
    np.testing.assert_allclose(made(graph, "degree").numpy(), expected, rtol=1e-6)
    heavy = replace(graph, adj=graph.adj.with_values(graph.adj.value * 7))
    assert torch.equal(made(heavy, "degree"), made(graph, "degree"))
    assert torch.equal(*made(graph, "degree").T) != directed


def lonely(num_nodes: int) -> Graph:
    """So many nodes and one edge."""
    return Graph.from_edges(np.array([[0], [1]]), none_of(num_nodes))


def test_random_rows_depend_on_the_position_only() -> None:
    """Those of 70,000 nodes begin with those of 40, in another block too; columns are uncorrelated, of mean 0 and variance 1."""
    few, some, many = (lonely(n) for n in (40, 66_000, 70_000))
    x = made(many, "random")
    assert torch.equal(x[:40], made(few, "random")) and torch.equal(x[:66_000], made(some, "random"))
    moments = torch.cov(x.double().T)
    assert x.shape[1] == RANDOM_COLUMNS and float(x.mean(0).abs().max()) < 0.02 and float((moments - torch.eye(64)).abs().max()) < 0.03
    assert x.unique(dim=0).shape[0] == 70_000


@pytest.mark.parametrize("kind", FEATURES)
def test_made_features_take_the_place_of_a_graph_s_own(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    graph = make_graph(random_adjacency(50, 4, 0))
    with caplog.at_level("INFO"):
        found = with_features(graph, FolderConfig(features=kind))
    assert f"dataset.features={kind}) in place of its own {graph.num_features} columns" in caplog.text
    assert sum(column.width for column in found.schema.features) == found.num_features
    assert torch.equal(found.x, made(replace(graph, x=none_of(50)), kind))
    assert with_features(graph, FolderConfig()) is graph


FORMS = ("arrays", "table", ".pt", ".npz")


def without_features(path: Path, form: str) -> Path:
    """A graph of arrays, of tables, or of one file; without features."""
    given = arrays()
    if form == "arrays":
        for name, values in given.items():
            if name != "features":
                save(path / f"{name}.npy", values)
        return path
    masks = {f"{part}_mask": given[f"{part}_mask"] for part in ("train", "val", "test")}
    if form == "table":
        path.mkdir()
        pd.DataFrame({"label": given["labels"], **masks}).to_csv(path / "nodes.csv", index=False)
        pd.DataFrame(given["edges"].T, columns=["source", "target"]).to_csv(path / "edges.csv", index=False)
        return path
    values = {"edge_index": given["edges"], "y": given["labels"], **masks}
    path = path.with_suffix(form)
    if form == ".npz":
        np.savez(path, **values)
    else:
        torch.save({name: torch.from_numpy(array) for name, array in values.items()}, path)
    return path


@pytest.mark.parametrize("form", FORMS)
def test_files_without_features_are_read_if_features_are_made_and_else_refused(form: str, tmp_path: Path) -> None:
    path = without_features(tmp_path / "mine", form)
    graph = load(path, features="degree")
    assert graph.num_features == 0
    x = with_features(graph, FolderConfig(features="degree")).x
    edges = arrays()["edges"]
    edges = np.unique(edges[:, edges[0] != edges[1]], axis=1)
    expected = np.log1p(np.stack([np.bincount(edges[row], minlength=N) for row in (1, 0)], axis=1))
    np.testing.assert_allclose(x.numpy(), expected, rtol=1e-6)
    with pytest.raises(UserError, match=r"dataset.features=degree \(or constant, random\)"):
        load(path)
    with pytest.raises(UserError, match=r"dataset.features=degree \(or constant, random\)"):
        with_features(graph, FolderConfig())


@pytest.mark.parametrize("form", FORMS)
def test_files_to_predict_on_have_the_nodes_of_their_labels(form: str, tmp_path: Path) -> None:
    path = without_features(tmp_path / "mine", form)
    graph = load_graph(UnlabelledConfig(path=str(path), features="degree"))
    assert (graph.num_nodes, graph.num_features, graph.num_classes) == (N, 0, 0)
    assert torch.equal(made(graph, "degree"), made(load(path, features="degree"), "degree"))


def test_files_whose_number_of_nodes_nothing_says_are_refused(tmp_path: Path) -> None:
    path = without_features(tmp_path / "mine", "arrays")
    (path / "labels.npy").unlink()
    np.savez(tmp_path / "mine.npz", edge_index=arrays()["edges"])
    for each in (path, tmp_path / "mine.npz"):
        with pytest.raises(UserError, match="neither features nor labels"):
            load_graph(UnlabelledConfig(path=str(each), features="degree"))


EDGES, LABELS = np.array([[0, 1, 2], [1, 2, 3]]), [0, 1, 0, 1]


def network() -> nx.DiGraph:
    graph = nx.DiGraph(EDGES.T.tolist())
    nx.set_node_attributes(graph, dict(enumerate(LABELS)), "y")
    return graph


@pytest.mark.parametrize(
    "make",
    [
        lambda: Graph.from_edges(EDGES, None, LABELS),
        lambda: Graph.from_pyg(Data(edge_index=torch.from_numpy(EDGES), y=torch.tensor(LABELS))),
        lambda: Graph.from_pyg(Data(edge_index=torch.from_numpy(EDGES), num_nodes=4)),
        lambda: Graph.from_scipy(sp.coo_array((np.ones(3), EDGES), shape=(4, 4)), None, LABELS),
        lambda: Graph.from_networkx(network()),
    ],
)
def test_a_program_s_graph_needs_no_features(make: Any) -> None:
    graph = make()
    assert (graph.num_nodes, graph.num_features) == (4, 0)
    np.testing.assert_allclose(made(graph, "degree").numpy(), np.log1p([[0, 1], [1, 1], [1, 1], [1, 0]]), rtol=1e-6)


def test_the_number_of_nodes_has_to_be_known() -> None:
    with pytest.raises(UserError, match="neither x nor y"):
        Graph.from_edges(EDGES, None)
    half = network()
    half.nodes[2]["x"] = [1.0]
    with pytest.raises(UserError, match="Node 0 has no attribute 'x'"):
        Graph.from_networkx(half)


def test_unknown_words_are_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"dataset.features=degrees .*degree, constant, random"):
        compose_config(["dataset=cora", "dataset.features=degrees"])
