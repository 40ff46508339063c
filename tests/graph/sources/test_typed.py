"""Several types of nodes and edges as one graph: it equals the graph that is made by hand, from a file and from a program."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch_geometric.data import Data, HeteroData

from gas_cli.cli.data import command_line
from gas_cli.config.compose import compose_config
from gas_cli.config.dataset import DatasetConfig, FolderConfig
from gas_cli.errors import UserError
from gas_cli.graph.fitting import fit_columns
from gas_cli.graph.graph import Graph
from gas_cli.graph.load import load_graph
from gas_cli.graph.make_splits import with_splits
from gas_cli.graph.schema import Column
from gas_cli.ops.csr import CSR

PAPERS, AUTHORS, VENUES = 30, 12, 4
RNG = np.random.default_rng(0)
PAPER_X, AUTHOR_X = (torch.from_numpy(RNG.standard_normal(shape).astype(np.float32)) for shape in ((PAPERS, 3), (AUTHORS, 2)))
Y = torch.from_numpy(RNG.integers(0, 3, PAPERS))
PARTS = {f"{part}_mask": torch.arange(PAPERS) % 3 == at for at, part in enumerate(("train", "val", "test"))}


def pairs(sources: int, targets: int, count: int, seed: int) -> torch.Tensor:
    """[2, count] different ones."""
    chosen = np.random.default_rng(seed).permutation(sources * targets)[:count]
    return torch.from_numpy(np.stack([chosen // targets, chosen % targets]))


WRITES, PUBLISHES = pairs(AUTHORS, PAPERS, 40, 1), pairs(VENUES, PAPERS, 20, 2)
CITES = pairs(PAPERS, PAPERS, 60, 3)
CITES = CITES[:, CITES[0] != CITES[1]]
SINCE = torch.arange(WRITES.shape[1], dtype=torch.float32)[:, None]


def hetero(**of_papers: Any) -> HeteroData:
    """Papers with labels, authors with other features, venues with none; attributes on one type of edges."""
    data = HeteroData()
    for key, value in {"x": PAPER_X, "y": Y, **PARTS, **of_papers}.items():
        data["paper"][key] = value
    data["author"].x, data["venue"].num_nodes = AUTHOR_X, VENUES
    data["paper", "cites", "paper"].edge_index = CITES
    data["author", "writes", "paper"].edge_index, data["author", "writes", "paper"].edge_attr = WRITES, SINCE
    data["venue", "publishes", "paper"].edge_index = PUBLISHES
    return data


def by_hand(undirected: bool = False) -> Graph:
    """x: 3 marks, 3 columns of papers, 2 of authors; edge_attr: 3 marks, 1 column of `writes`."""
    count = PAPERS + AUTHORS + VENUES
    x = torch.zeros(count, 8)
    x[:PAPERS, 0], x[PAPERS : PAPERS + AUTHORS, 1], x[PAPERS + AUTHORS :, 2] = 1, 1, 1
    x[:PAPERS, 3:6], x[PAPERS : PAPERS + AUTHORS, 6:] = PAPER_X, AUTHOR_X
    writes, publishes = WRITES + torch.tensor([[PAPERS], [0]]), PUBLISHES + torch.tensor([[PAPERS + AUTHORS], [0]])
    edge_attr = torch.zeros(CITES.shape[1] + 40 + 20, 4)
    edge_attr[: CITES.shape[1], 0], edge_attr[CITES.shape[1] : -20, 1], edge_attr[-20:, 2] = 1, 1, 1
    edge_attr[CITES.shape[1] : -20, 3] = SINCE[:, 0]
    y = torch.cat([Y, torch.full((AUTHORS + VENUES,), -1)])
    parts = {key.removesuffix("_mask"): torch.cat([mask, torch.zeros(AUTHORS + VENUES, dtype=torch.bool)]) for key, mask in PARTS.items()}
    return Graph.from_edges(torch.cat([CITES, writes, publishes], 1), x, y, edge_attr=edge_attr, undirected=undirected, **parts)


def saved(path: Path, data: Any, **settings: Any) -> Graph:
    torch.save(data, path)
    return load_graph(FolderConfig(path=str(path), **{"types": "onehot", **settings}))


def edges_of(graph: Graph) -> dict[tuple[int, int], tuple[float, list[float]]]:
    """Weight and attributes by source and target."""
    adj = graph.adjacency()
    targets = np.repeat(np.arange(graph.num_nodes), np.diff(adj.rowptr.numpy())).tolist()
    assert graph.edge_attr is not None and adj.attr_row is not None
    values = zip(adj.value.tolist(), graph.edge_attr[adj.attr_row].tolist(), strict=True)
    return dict(zip(zip(adj.col.tolist(), targets, strict=True), values, strict=True))


def test_it_is_the_graph_that_is_made_by_hand(tmp_path: Path) -> None:
    for graph in (saved(tmp_path / "mine.pt", hetero()), Graph.from_pyg(hetero(), types="onehot")):
        assert {**graph.fingerprints(), "columns": ""} == {**by_hand().fingerprints(), "columns": ""}


def test_reverse_edges_are_added_on_request_only(tmp_path: Path) -> None:
    """A citation in both directions is one edge then, and nothing else differs from the same setting on the graph made by hand."""
    graph = saved(tmp_path / "mine.pt", hetero(), undirected=True)
    assert graph.symmetric and not saved(tmp_path / "mine.pt", hetero()).symmetric
    assert edges_of(graph) == edges_of(by_hand(undirected=True))


def test_columns_have_names_for_predictions_on_other_data() -> None:
    schema = Graph.from_pyg(hetero(), types="onehot").schema
    marks = tuple(Column(f"type={name}", "boolean") for name in ("paper", "author", "venue"))
    assert schema.features == (*marks, Column("paper.x", "vector", 3), Column("author.x", "vector", 2))
    kinds = ("paper__cites__paper", "author__writes__paper", "venue__publishes__paper")
    marks = tuple(Column(f"type={name}", "boolean") for name in kinds)
    assert schema.edge_attributes == (*marks, Column("author__writes__paper.edge_attr", "vector", 1))


def test_edges_of_several_types_between_the_same_nodes_keep_all_types() -> None:
    data = HeteroData()
    data["user"].x, data["user"].y = torch.zeros(3, 1), torch.tensor([0, 1, 0])
    data["user", "follows", "user"].edge_index = torch.tensor([[0, 1], [1, 2]])
    data["user", "follows", "user"].edge_weight = torch.tensor([0.5, 3.0])
    data["user", "pays", "user"].edge_index = torch.tensor([[0, 2, 0], [1, 1, 1]])
    data["user", "pays", "user"].edge_attr = torch.tensor([[5.0], [7.0], [9.0]])
    graph = Graph.from_pyg(data, types="onehot")
    assert edges_of(graph) == {(0, 1): (1, [1, 1, 5]), (1, 2): (3, [1, 0, 0]), (2, 1): (1, [0, 1, 7])}
    both = edges_of(Graph.from_pyg(data, types="onehot", undirected=True))
    assert both == {(0, 1): (1, [1, 1, 5]), (1, 0): (1, [1, 1, 5]), (1, 2): (3, [1, 1, 7]), (2, 1): (3, [1, 1, 7])}


def test_bags_of_words_stay_sparse_and_equal() -> None:
    words = (torch.rand(PAPERS, 200, generator=torch.manual_seed(0)) < 0.02).float()
    graph = Graph.from_pyg(hetero(x=words), types="onehot")
    assert isinstance(graph.x, CSR)
    x = torch.from_numpy(graph.x.to_scipy().toarray())
    assert torch.equal(x[:PAPERS, 3:203], words) and torch.equal(x[PAPERS : PAPERS + AUTHORS, 203:], AUTHOR_X)
    assert torch.equal(x[:, :3], by_hand().x[:, :3]) and float(x[PAPERS:, 3:203].abs().sum() + x[:PAPERS, 203:].abs().sum()) == 0


def test_sparse_columns_are_put_into_the_order_of_the_training() -> None:
    words = (torch.rand(PAPERS, 200, generator=torch.manual_seed(0)) < 0.02).float()
    graph, turned = Graph.from_pyg(hetero(x=words), types="onehot"), HeteroData()
    for name in ("venue", "author", "paper"):
        turned[name].update(hetero(x=words)[name])
    for kind in hetero().edge_types:
        turned[kind].update(hetero()[kind])
    other = Graph.from_pyg(turned, types="onehot")
    fitted = fit_columns(other, graph.schema, "other")
    assert isinstance(graph.x, CSR) and isinstance(fitted.x, CSR) and fitted.schema == graph.schema
    back = [*range(VENUES + AUTHORS, fitted.num_nodes), *range(VENUES, VENUES + AUTHORS), *range(VENUES)]
    np.testing.assert_array_equal(fitted.x.to_scipy().toarray()[back], graph.x.to_scipy().toarray())


def test_the_converted_graph_is_equal_and_keeps_the_columns(tmp_path: Path) -> None:
    graph = saved(tmp_path / "mine.pt", hetero())
    assert command_line(["convert", str(tmp_path / "mine.pt"), str(tmp_path / "out"), "types=onehot"]) == 0
    assert load_graph(FolderConfig(path=str(tmp_path / "out"))).fingerprints() == graph.fingerprints()


def test_types_without_features_are_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "gas_cli")
    data = hetero()
    data["paper"].year, data["author"].train_mask = torch.arange(PAPERS), torch.ones(AUTHORS, dtype=torch.bool)
    graph = saved(tmp_path / "mine.pt", data)
    said = "\n".join(caplog.messages)
    assert said.count("without features, so their nodes have only the mark of the type: venue.") == 1
    assert "paper 0 to 29, author 30 to 41, venue 42 to 45" in said and "left out: paper.year" in said
    assert int(graph.splits[0].train.sum()) == int(PARTS["train_mask"].sum())


@pytest.mark.parametrize("task", ["auto", "regression"])
def test_a_made_split_has_only_labelled_nodes(tmp_path: Path, task: str) -> None:
    config = FolderConfig(path=str(tmp_path / "mine.pt"), types="onehot", make_split="random", task=task)
    data = hetero(y=Y.float() / (1 if task == "auto" else 7))
    for key in PARTS:
        del data["paper"][key]
    torch.save(data, tmp_path / "mine.pt")
    (split,) = with_splits(load_graph(config), config).splits
    assert torch.equal(split.train | split.val | split.test, torch.arange(PAPERS + AUTHORS + VENUES) < PAPERS)


def test_rows_with_one_1_are_classes_and_several_labels_need_masks(tmp_path: Path) -> None:
    one = saved(tmp_path / "one.pt", hetero(y=torch.nn.functional.one_hot(Y)))
    assert torch.equal(one.y, by_hand().y)
    several = torch.ones(PAPERS, 3)
    assert saved(tmp_path / "several.pt", hetero(y=several)).y[PAPERS:].sum() == 0
    with pytest.raises(UserError, match=r"without dataset\.make_split"):
        saved(tmp_path / "several.pt", hetero(y=several), make_split="random")


@pytest.mark.parametrize("asked", [{"make_split": "random"}, {"folds": 3}])
def test_several_labels_of_a_given_graph_need_the_masks_too(asked: dict[str, Any]) -> None:
    graph = Graph.from_pyg(hetero(y=torch.ones(PAPERS, 3)), types="onehot")
    assert with_splits(graph, DatasetConfig("given")).splits == graph.splits
    with pytest.raises(UserError, match=r"without dataset\.make_split"):
        with_splits(graph, DatasetConfig("given", **asked))


def changed(change: Callable[[HeteroData], Any]) -> HeteroData:
    data = hetero()
    change(data)
    return data


def set_key(*path: Any, value: Any) -> Callable[[HeteroData], Any]:
    return lambda data: data[path[0]].__setitem__(path[1], value)


WRITE = ("author", "writes", "paper")
REFUSED: dict[str, tuple[Callable[[HeteroData], Any], str]] = {
    "two types": (set_key("author", "y", value=torch.zeros(AUTHORS)), r"paper and author have y. .*Type del data\['author'\].y"),
    "no labels": (lambda data: data["paper"].__delitem__("y"), "no type of nodes has y"),
    "no size": (lambda data: data["venue"].__delitem__("num_nodes"), r"neither x nor y.*Type data\['venue'\].num_nodes = N"),
    "id": (set_key(WRITE, "edge_index", value=WRITES + 5), "author__writes__paper, edge_index, edge .* of type 'author'"),
    "fraction": (set_key(WRITE, "edge_index", value=WRITES + 0.5), "is not an integer"),
    "shape": (set_key(WRITE, "edge_index", value=WRITES.T), r"Expected \[2, E\]"),
    "attributes": (set_key(WRITE, "edge_attr", value=SINCE[1:]), "39 rows of edge attributes for 40 edges"),
    "nan": (set_key("author", "x", value=AUTHOR_X * torch.nan), "author, x, row 0: a feature is empty or nan"),
    "sparse": (set_key("author", "x", value=AUTHOR_X.to_sparse()), r"data\['author'\].x = data\['author'\].x.to_dense"),
    "mask": (set_key("paper", "train_mask", value=torch.ones(5)), "train_mask has shape .* for 30 nodes"),
    "no edges": (lambda data: [data.__delitem__(kind) for kind in data.edge_types], "no type of edges"),
    "no such type": (
        lambda data: data.__delitem__("venue") or set_key(("venue", "a", "paper"), "edge_index", value=PUBLISHES)(data),
        "venue",
    ),
    "object": (set_key("author", "path", value=Path("a")), r"author.path is of pathlib.PosixPath"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_does_not_fit_is_refused_by_type_and_remedy(tmp_path: Path, kind: str) -> None:
    change, expected = REFUSED[kind]
    with pytest.raises(UserError, match=expected) as raised:
        saved(tmp_path / "mine.pt", changed(change))
    assert "\n" not in str(raised.value) and str(tmp_path / "mine.pt") in str(raised.value)


def test_the_setting_is_asked_for_and_of_use_for_types_only(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"Type dataset.types=onehot .*data.to_homogeneous\(\)"):
        saved(tmp_path / "mine.pt", hetero(), types=None)
    with pytest.raises(UserError, match=r'Type types="onehot" .*data.to_homogeneous\(\)'):
        Graph.from_pyg(hetero())
    plain = Data(x=PAPER_X, y=Y, edge_index=CITES)
    with pytest.raises(UserError, match=r"dataset\.types=onehot is for a HeteroData"):
        saved(tmp_path / "mine.pt", plain)
    with pytest.raises(UserError, match='types="onehot" is for a HeteroData'):
        Graph.from_pyg(plain, types="onehot")
    with pytest.raises(UserError, match=r"dataset\.types=onehot is for a HeteroData"):
        load_graph(FolderConfig(path=str(tmp_path), types="onehot"))
    with pytest.raises(UserError, match=r"dataset\.types=words is not valid: expected onehot or null"):
        compose_config(["dataset=folder", "dataset.path=DIR", "dataset.types=words"])


def test_code_in_a_saved_type_is_not_run(tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> Any:
            return os.system, (f"touch {tmp_path / 'owned'}",)

    with pytest.raises(UserError, match=r"author.more is of posix.system"):
        saved(tmp_path / "mine.pt", changed(set_key("author", "more", value=Payload())))
    assert not (tmp_path / "owned").exists()


def test_predictions_on_other_data_compare_the_types(tmp_path: Path) -> None:
    """Types in another order are put into that of the training; another type is refused by its name."""
    import gas_cli

    torch.save(hetero(), tmp_path / "mine.pt")
    settings = ["model=gat", "model.hidden_channels=8", "trainer.epochs=2", "device=cpu", f"partitioner.cache={tmp_path / 'cache'}"]
    gas_cli.train(["dataset=folder", f"dataset.path={tmp_path / 'mine.pt'}", "dataset.types=onehot", *settings], tmp_path / "run")
    before = gas_cli.predict(tmp_path / "run")

    other, data = HeteroData(), hetero()
    for name in ("author", "venue", "paper"):
        other[name].update(data[name])
    for kind in data.edge_types[::-1]:
        other[kind].update(data[kind])
    del other["paper"].y
    torch.save(other, tmp_path / "other.pt")
    after = gas_cli.predict(tmp_path / "run", settings=[f"dataset.path={tmp_path / 'other.pt'}"])
    np.testing.assert_allclose(after.probabilities[AUTHORS + VENUES :], before.probabilities[:PAPERS], atol=1e-6)

    other["editor"].num_nodes = 2  # without edges
    torch.save(other, tmp_path / "other.pt")
    with pytest.raises(UserError, match=r"have the column 'type=editor', which the model was not trained with. Remove the type"):
        gas_cli.predict(tmp_path / "run", settings=[f"dataset.path={tmp_path / 'other.pt'}"])
