"""`gas-data convert`: the equal graph in the fast form, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp
import torch
from torch_geometric.data import Data

from gas_cli.cli.data import command_line
from gas_cli.config.compose import compose_config
from gas_cli.config.dataset import FolderConfig, UnlabelledConfig
from gas_cli.graph.files import files_of
from gas_cli.graph.graph import Graph
from gas_cli.graph.load import load_graph
from gas_cli.graph.make_splits import with_splits
from gas_cli.graph.sources import fast_form
from gas_cli.graph.sources.fast_form import write_fast
from tests.builders import make_graph, random_adjacency

N, E = 40, 150
RNG = np.random.default_rng(0)
EDGES = RNG.integers(0, N, (2, E))
X = RNG.standard_normal((N, 6)).astype(np.float32)
X[X < 0] = 0
Y = RNG.integers(0, 3, N)
MASKS = {f"{part}_mask": np.arange(N) % 3 == number for number, part in enumerate(("train", "val", "test"))}


def same(graph: Graph, other: Graph) -> None:
    """In everything that is trained on or told, to the last bit."""
    assert graph.fingerprints() == other.fingerprints()
    assert graph.described() == other.described() and graph.schema == other.schema
    for name in ("num_classes", "metric", "symmetric", "inductive", "class_names", "regression", "task"):
        assert getattr(graph, name) == getattr(other, name), name
    assert graph.x.__class__ is other.x.__class__ and graph.y.dtype == other.y.dtype
    assert (graph.node_ids is None) == (other.node_ids is None)
    if graph.node_ids is not None and other.node_ids is not None:
        assert graph.node_ids.take(np.arange(graph.num_nodes)).tolist() == other.node_ids.take(np.arange(graph.num_nodes)).tolist()


def converted(out: Path, source: str, *settings: str, loaded: tuple[str, ...] = ()) -> tuple[Graph, Graph]:
    """The graph of `source`, and that of the folder that the command wrote."""
    assert command_line(["convert", source, str(out), *settings]) == 0
    before = [source] if source.startswith("dataset=") else ["dataset=folder", f"dataset.path={source}"]
    config = compose_config([*before, *(f"dataset.{setting.removeprefix('dataset.')}" for setting in settings)]).dataset
    return with_splits(load_graph(config), config), load_graph(compose_config(["dataset=folder", f"dataset.path={out}", *loaded]).dataset)


def tables(folder: Path) -> Path:
    words = ["red", "green", "blue"]
    rows = [f"n{node * 7 % N},{node % 9},{words[node % 3]},{'' if node == 5 else 'class ' + 'abc'[Y[node]]}" for node in range(N)]
    part = [("train", "val", "test")[node % 3] if node != 5 else "" for node in range(N)]
    text = "".join(f"{row},{said}\n" for row, said in zip(rows, part, strict=True))
    (folder / "nodes.csv").write_text(f"id,age,color,label,split\n{text}")
    lines = "".join(f"n{s},n{t},{1 + e % 4},{e}\n" for e, (s, t) in enumerate(EDGES.T.tolist()))
    (folder / "edges.csv").write_text(f"source,target,weight,time\n{lines}")
    return folder


def arrays(folder: Path, **changes: Any) -> Path:
    for stem, values in ({"edges": EDGES, "features": X, "labels": Y} | MASKS | changes).items():
        np.save(folder / f"{stem}.npy", values)
    return folder


def npz(folder: Path) -> Path:
    matrix = sp.random_array((N, 400), density=0.01, rng=np.random.default_rng(1), dtype=np.float32).tocsr()
    several = {name: np.stack([mask, np.roll(mask, 1)], axis=1) for name, mask in MASKS.items()}
    pieces = {f"attr_{name}": getattr(matrix, name) for name in ("data", "indices", "indptr", "shape")}
    np.savez(folder / "graph.npz", edge_index=EDGES, labels=Y, class_names=np.array(["x", "y", "z"]), **pieces, **several)
    return folder / "graph.npz"


def mat(folder: Path) -> Path:
    network = sp.csc_array(random_adjacency(N, 4, 0))
    scipy.io.savemat(folder / "graph.mat", {"network": network, "attrb": X, "group": np.eye(3)[Y] + np.eye(3)[(Y + 1) % 3]})
    return folder / "graph.mat"


def pt(folder: Path) -> Path:
    data = Data(x=torch.from_numpy(X), edge_index=torch.from_numpy(EDGES), y=torch.from_numpy(Y), edge_attr=torch.rand(E, 2))
    for name, mask in MASKS.items():
        data[name] = torch.from_numpy(mask)
    torch.save(data, folder / "graph.pt")
    return folder / "graph.pt"


SOURCES: dict[str, tuple[Callable[[Path], Path], tuple[str, ...]]] = {
    "tables with text ids, words, weights and attributes": (tables, ("encode=onehot",)),
    "tables without a column": (tables, ("columns.ignore=[color,time]", "undirected=true", "dataset.metric=macro_f1")),
    "a split that is made": (tables, ("encode=onehot", "make_split=order", "split_by=age", "shares=[0.5,0.2,0.3]")),
    "arrays": (arrays, ()),
    "arrays in both directions with attributes": (lambda folder: arrays(folder, edge_attr=np.arange(E)), ("undirected=true",)),
    "no edges": (lambda folder: arrays(folder, edges=np.stack([np.arange(N)] * 2)), ()),
    "labels with a gap": (lambda folder: arrays(folder, labels=Y * 5 + 2), ()),
    "a class without a node": (lambda folder: arrays(folder, labels=Y * 2), ("num_classes=6",)),
    "several labels with one each": (lambda folder: arrays(folder, labels=np.eye(3)[Y]), ("metric=micro_f1",)),
    "targets": (lambda folder: arrays(folder, labels=Y / 7), ("task=regression",)),
    "two targets": (lambda folder: arrays(folder, labels=np.stack([Y / 7, -Y], axis=1)), ("task=regression", "metric=r2")),
    "npz: sparse features, two splits, names": (npz, ()),
    "mat: no split, several labels": (mat, ()),
    "pt with attributes": (pt, ()),
    "pt in both directions": (pt, ("undirected=true",)),
}


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("block", [7, fast_form.BLOCK])
def test_the_folder_is_the_equal_graph(tmp_path: Path, name: str, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_form, "BLOCK", block)
    make, settings = SOURCES[name]
    (tmp_path / "source").mkdir()
    same(*converted(tmp_path / "out", str(make(tmp_path / "source")), *settings))


def test_a_dataset_by_name(tmp_path: Path) -> None:
    same(*converted(tmp_path / "made", "dataset=generated", "num_nodes=300", "num_communities=3"))


def test_an_inductive_graph_stays_one(tmp_path: Path) -> None:
    matrix = sp.block_diag([random_adjacency(10, 3, seed) for seed in (0, 1)]).tocsr()
    graph = make_graph(sp.csr_array(matrix), sparse_features=True)
    first = torch.arange(20) < 10
    split = replace(graph.splits[0], train=first, val=~first, test=torch.zeros(20, dtype=torch.bool))
    graph = replace(graph, inductive=True, splits=(split,)).validate()
    write_fast(graph, tmp_path)
    same(graph, load_graph(FolderConfig(path=str(tmp_path))))


def test_settings_that_are_about_reading_still_work(tmp_path: Path) -> None:
    """Reverse edges with the attributes of their edges, and another metric, are those of the source."""
    (tmp_path / "source").mkdir()
    source = str(pt(tmp_path / "source"))
    wanted = load_graph(FolderConfig(path=source, undirected=True, metric="macro_f1"))
    assert command_line(["convert", source, str(tmp_path / "out")]) == 0
    found = load_graph(FolderConfig(path=str(tmp_path / "out"), undirected=True, metric="macro_f1"))
    assert found.metric == "macro_f1" and torch.equal(found.adj.col, wanted.adj.col)
    first, second = (graph.edge_attr[graph.adj.attr_row] for graph in (found, wanted))  # type: ignore[index]
    assert torch.equal(first, second)


def test_it_can_be_predicted_on(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    source = str(tables(tmp_path / "source"))
    assert command_line(["convert", source, str(tmp_path / "out"), "encode=onehot"]) == 0
    same(*(load_graph(UnlabelledConfig(path=path, encode="onehot")) for path in (source, str(tmp_path / "out"))))


def test_features_are_mapped_where_they_are(tmp_path: Path) -> None:
    from gas_cli.graph.sources.npy_format import file_of

    (tmp_path / "source").mkdir()
    _, graph = converted(tmp_path / "out", str(arrays(tmp_path / "source")))
    assert isinstance(graph.x, torch.Tensor) and file_of(graph.x.numpy()) == tmp_path / "out" / "features.npy"


def test_every_file_of_it_is_known_to_the_cache(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    assert command_line(["convert", str(tables(tmp_path / "source")), str(tmp_path / "out"), "encode=onehot", "undirected=true"]) == 0
    assert {Path(path) for path in files_of(FolderConfig(path=str(tmp_path / "out"))) or {}} == set((tmp_path / "out").iterdir())


def refused(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert command_line(["convert", *argv]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_a_folder_with_something_in_it_is_refused_and_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    for place in (out, out / "notes.txt"):
        assert f"{place} exists and is not an empty folder" in refused(capsys, "nowhere", str(place))
    assert [path.name for path in out.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("argv", [(), ("a",), ("a", "undirected=true"), ("path=a", "b")])
def test_wrong_arguments(argv: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert "is not valid: expected convert SOURCE DIR" in refused(capsys, *argv)


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "out").mkdir()
    same(*converted(tmp_path / "out", str(arrays(tmp_path / "source"))))


@pytest.mark.parametrize(("failure", "code"), [(KeyboardInterrupt(), 130), (OSError(28, "No space left on device"), 2)])
def test_nothing_stays_where_writing_does_not_end(
    tmp_path: Path, failure: BaseException, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(graph: Graph) -> dict[str, Any]:
        assert any(path.name.startswith(".out.") for path in tmp_path.iterdir())  # most files are written by then
        raise failure

    (tmp_path / "source").mkdir()
    arrays(tmp_path / "source")
    monkeypatch.setattr(fast_form, "_facts", fail)
    assert command_line(["convert", str(tmp_path / "source"), str(tmp_path / "out")]) == code
    assert os.listdir(tmp_path) == ["source"]


CHANGES: dict[str, Callable[[Path], object]] = {
    "graph.json: it is not what": lambda out: (out / "graph.json").write_text("{"),
    "format 2, expected 1": lambda out: (out / "graph.json").write_text('{"format": 2}'),
    "it has 3 rows where graph.json says 40 nodes": lambda out: np.save(out / "features.npy", X[:3]),
    "labels.npy: it has 3 rows": lambda out: np.save(out / "labels.npy", Y[:3]),
    "it has shape (40,) and type float64": lambda out: np.save(out / "labels.npy", Y / 2),
    "Expected ids from 0 to 39": lambda out: np.save(out / "edges.npy", np.load(out / "edges.npy") + 20),
    "for 3 edges": lambda out: np.save(out / "edges.npy", EDGES[:, :3]),
    "these are not the ids of its nodes": lambda out: np.save(out / "node_ids_offsets.npy", np.arange(N + 1) * 1000),
    "has no labels": lambda out: (out / "labels.npy").unlink(),
}


@pytest.mark.parametrize("said", CHANGES)
def test_a_damaged_folder_is_refused_with_one_message(tmp_path: Path, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "source").mkdir()
    assert command_line(["convert", str(tables(tmp_path / "source")), str(tmp_path / "out"), "encode=onehot"]) == 0
    CHANGES[said](tmp_path / "out")
    capsys.readouterr()
    assert command_line(["check", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


@pytest.mark.parametrize("setting", ["task=regression", "num_classes=7", "metric=roc_auc"])
def test_what_was_decided_before_is_not_decided_again(tmp_path: Path, setting: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "source").mkdir()
    assert command_line(["convert", str(arrays(tmp_path / "source")), str(tmp_path / "out")]) == 0
    capsys.readouterr()
    assert command_line(["check", str(tmp_path / "out"), setting]) == 2
    assert setting in capsys.readouterr().err


def test_several_types_of_nodes_are_refused_with_the_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from torch_geometric.data import HeteroData

    data = HeteroData()
    data["paper"].x, data["author"].x = torch.rand(3, 2), torch.rand(2, 2)
    data["author", "writes", "paper"].edge_index = torch.tensor([[0, 1], [0, 2]])
    torch.save(data, tmp_path / "graph.pt")
    assert "to_homogeneous()" in refused(capsys, str(tmp_path / "graph.pt"), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
