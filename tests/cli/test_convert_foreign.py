"""`gas-data convert` of what other programs write: the graph that their arrays and tables say."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import torch

from gas_cli.cli.data import command_line
from gas_cli.config.dataset import FolderConfig
from gas_cli.graph.graph import Graph
from gas_cli.graph.load import load_graph

N, E = 30, 90
RNG = np.random.default_rng(0)
EDGES = RNG.integers(0, N, (2, E))
X = RNG.standard_normal((N, 4)).astype(np.float32)
Y = RNG.integers(0, 3, N)
PARTS = ("train", "val", "test")


def converted(tmp_path: Path, source: Path, *settings: str) -> Graph:
    assert command_line(["convert", str(source), str(tmp_path / "out"), *settings]) == 0
    return load_graph(FolderConfig(path=str(tmp_path / "out")))


def refused(capsys: pytest.CaptureFixture[str], tmp_path: Path, source: Path, *settings: str) -> str:
    assert command_line(["convert", str(source), str(tmp_path / "out"), *settings]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert not (tmp_path / "out").exists() and "gas-convert-" not in line
    return line


def same_edges(graph: Graph, edges: Any, undirected: bool = False) -> None:
    """As a set of messages, self-loops left out."""
    wanted = {(int(s), int(t)) for s, t in np.asarray(edges).T if s != t}
    wanted |= {(t, s) for s, t in wanted} if undirected else set()
    target = torch.repeat_interleave(torch.arange(graph.num_nodes), graph.adj.rowptr.diff())
    assert set(zip(graph.adj.col.tolist(), target.tolist(), strict=True)) == wanted


# -- GraphML ---------------------------------------------------------------------------------------------------------------------------


def graphml(path: Path, directed: bool) -> nx.Graph:
    graph = nx.DiGraph() if directed else nx.Graph()
    for node in range(N):
        graph.add_node(f"p{node}", age=float(X[node, 0]), size=int(node), topic="abc"[Y[node]], split=PARTS[node % 3])
    graph.add_weighted_edges_from((f"p{s}", f"p{t}", 1.0 + e % 3) for e, (s, t) in enumerate(EDGES.T.tolist()))
    nx.write_graphml(graph, path)
    return graph


@pytest.mark.parametrize("directed", [False, True])
def test_graphml(tmp_path: Path, directed: bool) -> None:
    source = graphml(tmp_path / "g.graphml", directed)
    graph = converted(tmp_path, tmp_path / "g.graphml", "columns.label=topic")
    assert graph.node_ids is not None and graph.node_ids.take(np.arange(N)).tolist() == list(source)
    assert np.allclose(graph.x.numpy(), np.stack([X[:, 0], np.arange(N)], axis=1))  # type: ignore[union-attr]
    assert graph.class_names == ("a", "b", "c") and graph.y.tolist() == Y.tolist()
    for number, part in enumerate(PARTS):
        assert getattr(graph.splits[0], part).tolist() == [node % 3 == number for node in range(N)]
    matrix = nx.to_numpy_array(source)
    np.fill_diagonal(matrix, 0)
    assert np.array_equal(graph.adj.to_dense().numpy().T, matrix)
    assert [column.name for column in graph.schema.features] == ["age", "size"]


def test_graphml_without_networkx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    graphml(tmp_path / "g.graphml", True)
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "networkx":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    assert "pip install networkx" in refused(capsys, tmp_path, tmp_path / "g.graphml")


def test_graphml_that_is_damaged_or_has_no_label(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "g.graphml"
    graphml(path, True)
    assert f"{path}: column 'topic' holds words" in refused(capsys, tmp_path, path)
    said = refused(capsys, tmp_path, path, "encode=onehot")
    assert f"{path} has no column of labels" in said and "dataset.columns.label=NAME" in said
    path.write_bytes(path.read_bytes()[:200])
    assert "it is not an intact GraphML file" in refused(capsys, tmp_path, path)


# -- edge lists ------------------------------------------------------------------------------------------------------------------------


def edge_list(folder: Path, name: str, weighted: bool = False) -> Path:
    folder.mkdir()
    graph = nx.DiGraph()
    graph.add_weighted_edges_from((s, t, 0.5 + e % 4) for e, (s, t) in enumerate(EDGES.T.tolist()))
    written = nx.generate_edgelist(graph, data=["weight"] if weighted else False)
    (folder / name).write_text("# Directed graph\n# FromNodeId\tToNodeId\n" + "\n".join(written) + "\n")
    np.save(folder / "features.npy", X)
    np.save(folder / "labels.npy", Y)
    return folder / name


@pytest.mark.parametrize("name", ["g.edgelist", "edges.txt", "snap.txt"])
@pytest.mark.parametrize("weighted", [False, True])
def test_an_edge_list_with_comments(tmp_path: Path, name: str, weighted: bool) -> None:
    source = edge_list(tmp_path / "source", name, weighted)
    graph = converted(tmp_path, source)
    same_edges(graph, EDGES)
    last = {(s, t): 0.5 + e % 4 for e, (s, t) in enumerate(EDGES.T.tolist()) if s != t}  # NetworkX keeps the last of equal edges
    dense = graph.adj.to_dense()
    assert all(dense[t, s] == (weight if weighted else 1) for (s, t), weight in last.items())
    assert np.array_equal(graph.x.numpy(), X) and graph.y.tolist() == Y.tolist()  # type: ignore[union-attr]


def test_an_edge_list_with_ids_of_a_node_table(tmp_path: Path) -> None:
    source = edge_list(tmp_path / "source", "g.edgelist")
    for name in ("features.npy", "labels.npy"):
        (source.parent / name).unlink()
    order = RNG.permutation(N)
    pd.DataFrame({"id": order, "f": X[order, 0], "label": Y[order]}).to_csv(source.parent / "nodes.csv", index=False)
    graph = converted(tmp_path, source)
    same_edges(graph, np.argsort(order)[EDGES])
    assert graph.node_ids is not None and graph.node_ids.take(np.arange(N)).tolist() == order.tolist()


def test_edge_lists_that_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = edge_list(tmp_path / "source", "g.edgelist")
    source.write_text("# one\n1 2\n3\n")
    assert "1 words in line 3, 2 in the first one" in refused(capsys, tmp_path, source)
    source.write_text("1 2 3 4\n")
    assert "4 words in line 1." in refused(capsys, tmp_path, source)
    source.write_text("# nothing\n")
    assert "it has no edges" in refused(capsys, tmp_path, source)
    source.write_text("0 1\n")
    (source.parent / "labels.npy").unlink()
    assert f"{source.parent} has no labels" in refused(capsys, tmp_path, source)
    np.save(source.parent / "labels.npy", Y)
    source.write_text(f"0 {N}\n")
    assert f"{source}, row 0: it joins nodes 0 and {N}" in refused(capsys, tmp_path, source)


# -- musae -----------------------------------------------------------------------------------------------------------------------------


def musae(folder: Path, label: str = "ml_target", key: str = "id") -> list[list[int]]:
    folder.mkdir()
    features = [sorted(set(RNG.integers(0, 300, node % 5).tolist())) for node in range(N)]
    features[7] = [299]
    pd.DataFrame(EDGES.T, columns=["id_1", "id_2"]).to_csv(folder / "musae_git_edges.csv", index=False)
    pd.DataFrame({key: np.arange(N), "name": [f"user{n}" for n in range(N)], label: Y}).to_csv(folder / "musae_git_target.csv", index=False)
    (folder / "musae_git_features.json").write_text(json.dumps({str(node): row for node, row in enumerate(features)}))
    return features


@pytest.mark.parametrize(("label", "key"), [("ml_target", "id"), ("page_type", "id"), ("mature", "new_id")])
def test_the_sets_of_musae(tmp_path: Path, label: str, key: str) -> None:
    features = musae(tmp_path / "source", label, key)
    graph = converted(tmp_path, tmp_path / "source", "undirected=true")
    same_edges(graph, EDGES, undirected=True)
    x = graph.x.to_dense() if not isinstance(graph.x, torch.Tensor) else graph.x
    assert x.shape == (N, 300) and [row.nonzero().ravel().tolist() for row in x] == features and graph.y.tolist() == Y.tolist()


def test_musae_that_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "source"
    musae(source, "score")
    assert "dataset.columns.label=NAME" in refused(capsys, tmp_path, source)
    file = source / "musae_git_features.json"
    for content, said in (("{", "expected JSON"), ('{"0": [1]}', "node 1 has no features"), ("[]", "expected JSON")):
        file.write_text(content)
        assert said in refused(capsys, tmp_path, source, "columns.label=score")
    (source / "musae_git_target.csv").unlink()
    assert "0 files *_target.csv" in refused(capsys, tmp_path, source)


# -- DGL -------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [("src", "dst"), ("u", "v"), ("row", "col")])
def test_arrays_of_dgl(tmp_path: Path, names: tuple[str, str]) -> None:
    masks = {f"{part}_mask": np.arange(N) % 3 == number for number, part in enumerate(PARTS)}
    np.savez(tmp_path / "g.npz", **dict(zip(names, EDGES, strict=True)), feat=X, label=Y, **masks)
    graph = converted(tmp_path, tmp_path / "g.npz")
    same_edges(graph, EDGES)
    assert np.array_equal(graph.x.numpy(), X) and graph.y.tolist() == Y.tolist()  # type: ignore[union-attr]
    assert graph.splits[0].val.tolist() == masks["val_mask"].tolist()


def test_ends_that_do_not_fit_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "g.npz", src=EDGES[0], dst=EDGES[1][:-1], feat=X, label=Y)
    assert "src and dst have shapes (90,) and (89,)" in refused(capsys, tmp_path, tmp_path / "g.npz")
