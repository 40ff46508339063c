"""Predictions on other data: moved, without labels and splits, columns in another order, words that the training did not have."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import gas_cli
from gas_cli.errors import UserError
from gas_cli.graph.graph import Graph
from gas_cli.prediction import embed, predict
from gas_cli.training.checkpoint import load_checkpoint
from tests.end_to_end.conftest import Command
from tests.end_to_end.other_data import CLASSES, NODES, SMALL, by_hand, same_bits_elsewhere, tables, write
from tests.end_to_end.runs import craft, train


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    train(folder / "run", base=(*SMALL, f"dataset.path={write(folder / 'graph', *tables())}"))
    return folder / "run"


def test_moved_data_gives_the_same_bits_also_from_histories(run: Path, tmp_path: Path) -> None:
    same_bits_elsewhere(run, run.parent / "graph", tmp_path / "elsewhere")
    assert predict(run).classes == CLASSES


@pytest.mark.parametrize("count", [1, 7, 200])
def test_another_graph_needs_neither_labels_nor_a_split(run: Path, tmp_path: Path, count: int, gas_predict: Command) -> None:
    nodes, edges = tables(count, seed=1)
    expected = predict(run, graph=by_hand(nodes, edges)).probabilities
    plain = write(tmp_path / "graph", nodes.drop(columns=["label", "split"]), edges)
    out = tmp_path / "p.csv"
    assert gas_predict(f"run={run}", f"dataset.path={plain}", f"out={out}").code == 0
    table = pd.read_csv(out)
    assert table["id"].tolist() == nodes["id"].tolist() and table.columns[2:].tolist() == [f"probability_{name}" for name in CLASSES]
    np.testing.assert_allclose(table.iloc[:, 2:].to_numpy(np.float32), expected, rtol=1e-5, atol=1e-6)


def test_what_is_in_the_label_and_split_columns_is_not_read(run: Path, tmp_path: Path) -> None:
    nodes, edges = tables(seed=1)
    plain = write(tmp_path / "plain", nodes.drop(columns=["label", "split"]), edges)
    odd = write(tmp_path / "odd", nodes.assign(label="dog", split="tomorrow"), edges)
    expected, found = (predict(run, settings=[f"dataset.path={folder}"]) for folder in (plain, odd))
    np.testing.assert_array_equal(expected.probabilities, found.probabilities)


def test_columns_come_back_into_the_order_of_the_training(run: Path, tmp_path: Path, gas_predict: Command) -> None:
    nodes, edges = tables(seed=1)
    other = write(tmp_path / "other", nodes[["width", "colour", "id", "height"]], edges)
    outcome = gas_predict(f"run={run}", f"dataset.path={other}", f"out={tmp_path / 'p.npz'}")
    assert outcome.code == 0 and "put into the order of the training" in outcome.out
    expected = predict(run, graph=by_hand(nodes, edges)).probabilities
    np.testing.assert_allclose(np.load(tmp_path / "p.npz")["probabilities"], expected, rtol=1e-5, atol=1e-6)


def test_words_are_encoded_as_in_the_training(run: Path, tmp_path: Path, gas_predict: Command) -> None:
    """Fewer words, other ones, another alphabetical order: the columns stay those of the training, new words are zeros and said."""
    nodes, edges = tables(seed=1)
    nodes["colour"] = np.array(["amber", "red", "green", "violet"])[np.arange(NODES) % 4]
    other = write(tmp_path / "other", nodes.drop(columns=["label", "split"]), edges)
    outcome = gas_predict(f"run={run}", f"dataset.path={other}", f"out={tmp_path / 'p.npz'}")
    assert outcome.code == 0 and "'amber', 'violet'" in outcome.out and "zeros for 30 node(s)" in outcome.out
    expected = predict(run, graph=by_hand(nodes, edges)).probabilities
    np.testing.assert_allclose(np.load(tmp_path / "p.npz")["probabilities"], expected, rtol=1e-5, atol=1e-6)


def test_the_column_of_the_split_is_neither_needed_nor_a_feature(tmp_path: Path) -> None:
    nodes, edges = tables()
    nodes["year"] = np.arange(NODES) + 1960
    graph = write(tmp_path / "graph", nodes.drop(columns="split"), edges)
    train(tmp_path / "run", base=(*SMALL, f"dataset.path={graph}", "dataset.make_split=order", "dataset.split_by=year"))
    expected = predict(tmp_path / "run").probabilities
    without = write(tmp_path / "without", nodes.drop(columns=["year", "split", "label"]), edges)
    for folder in (graph, without):
        np.testing.assert_array_equal(predict(tmp_path / "run", settings=[f"dataset.path={folder}"]).probabilities, expected)


def test_a_graph_without_labels_is_not_trained_on(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing to train on: make it with y"):
        gas_cli.train(["model=gcn"], tmp_path / "run", by_hand(*tables()))


def test_a_checkpoint_of_an_earlier_version_predicts_where_the_graph_says_the_classes(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    craft(tmp_path / "run" / "checkpoints" / "best.pt", lambda state: state.pop("schema"))
    np.testing.assert_array_equal(predict(tmp_path / "run").probabilities, predict(run).probabilities)
    with pytest.raises(UserError, match="of an earlier version of gas-train"):
        predict(tmp_path / "run", settings=[f"dataset.path={run.parent / 'graph'}"])


def test_words_that_look_like_numbers_stay_words(tmp_path: Path) -> None:
    """Also where the setting that encodes them is not repeated."""
    nodes, edges = tables()
    nodes["colour"] = np.array(["7", "x", "9"])[np.arange(NODES) % 3]
    train(tmp_path / "run", base=(*SMALL, f"dataset.path={write(tmp_path / 'graph', nodes, edges)}"))
    sevens = nodes["colour"] == "7"
    edges = edges[edges["source"].isin(nodes["id"][sevens]) & edges["target"].isin(nodes["id"][sevens])]
    nodes = nodes[sevens]
    write(tmp_path / "some", nodes, edges)
    x = np.column_stack([nodes["height"], np.ones(len(nodes)), np.zeros((len(nodes), 2)), nodes["width"]]).astype(np.float32)
    row = {name: at for at, name in enumerate(nodes["id"])}
    by_hand = Graph.from_edges(np.array([edges["source"].map(row), edges["target"].map(row)]), x)
    expected = predict(tmp_path / "run", graph=by_hand).probabilities
    for settings in ([f"dataset.path={tmp_path / 'some'}"], ["dataset=folder", f"dataset.path={tmp_path / 'some'}"]):
        found = predict(tmp_path / "run", settings=settings).probabilities
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda nodes: nodes.drop(columns="width"), "no column 'width'"),
        (lambda nodes: nodes.assign(depth=1.0), "dataset.columns.ignore=[depth]"),
        (lambda nodes: nodes.assign(height=nodes["colour"]), "'height' of the features holds words where the training had number"),
    ],
)
def test_other_columns_are_refused_by_name(run: Path, tmp_path: Path, change: object, said: str, gas_predict: Command) -> None:
    nodes, edges = tables()
    other = write(tmp_path / "other", change(nodes), edges)  # type: ignore[operator]
    refused = gas_predict(f"run={run}", f"dataset.path={other}", f"out={tmp_path / 'p.csv'}")
    assert refused.code == 2 and said in refused.err and str(other) in refused.err and "Traceback" not in refused.err
    assert not (tmp_path / "p.csv").exists()


def test_settings_that_are_refused(run: Path, tmp_path: Path, gas_predict: Command) -> None:
    other = write(tmp_path / "other", *tables(NODES - 1))
    for words, said in (
        ((f"dataset.path={other}", "mode=history"), "mode=history: the graph or its partition has changed"),
        ((f"dataset.path={other}", "export=m.pt"), "not valid with export=m.pt"),
        (("dataset.paht=x",), "dataset.path"),
        ((f"dataset.path={tmp_path / 'missing'}",), "not a folder"),
        (("dataset=folderr",), "folderr"),
        (("dataset=cora", "model=gat"), "'model=gat' is not valid"),
    ):
        refused = gas_predict(f"run={run}", *words)
        assert refused.code == 2 and said in refused.err and "Traceback" not in refused.err, refused.err
    with pytest.raises(UserError, match="expected settings of the graph"):
        gas_cli.predict(run, settings=["trainer.epochs=3"])
    with pytest.raises(UserError, match="no settings where a graph is given"):
        gas_cli.predict(run, settings=[f"dataset.path={other}"], graph=by_hand(*tables()))


def arrays(seed: int = 0, several: bool = False) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    masks = {f"{part}_mask": np.arange(NODES) % 3 == third for third, part in enumerate(("train", "val", "test"))}
    found = {"edges": rng.integers(0, NODES, (2, 300)), "features": rng.random((NODES, 5), np.float32)}
    labels = (rng.random((NODES, 4)) < 0.5).astype(np.int64) if several else np.arange(NODES) % 3
    return {**found, "labels": labels, **masks}


@pytest.mark.parametrize("several", [False, True])
def test_arrays_and_saved_tensors_without_labels(tmp_path: Path, several: bool) -> None:
    for folder, keys in (("whole", 6), ("part", 2)):
        (tmp_path / folder).mkdir()
        for name, array in list(arrays(several=several).items())[:keys]:
            np.save(tmp_path / folder / f"{name}.npy", array)
    metric = ("dataset.metric=micro_f1",) if several else ()
    train(tmp_path / "run", base=(*SMALL, f"dataset.path={tmp_path / 'whole'}", *metric))
    stored = {"edge_index": torch.from_numpy(arrays()["edges"]), "x": torch.from_numpy(arrays()["features"])}
    torch.save(stored, tmp_path / "graph.pt")
    expected = predict(tmp_path / "run")
    for path in (tmp_path / "part", tmp_path / "graph.pt"):
        found = predict(tmp_path / "run", settings=[f"dataset.path={path}"])
        np.testing.assert_allclose(found.probabilities, expected.probabilities, rtol=1e-6)
        assert found.several == several and found.classes == expected.classes


@pytest.mark.parametrize("targets", [1, 2])
def test_a_regression_needs_no_targets(tmp_path: Path, targets: int) -> None:
    whole = arrays()
    y = np.random.default_rng(1).random((NODES, targets))
    for folder, keys in (("whole", [*whole]), ("part", ["edges", "features"])):
        (tmp_path / folder).mkdir()
        for name in keys:
            np.save(tmp_path / folder / f"{name}.npy", y if name == "labels" else whole[name])
    train(tmp_path / "run", base=(*SMALL, f"dataset.path={tmp_path / 'whole'}", "dataset.task=regression"))
    expected = predict(tmp_path / "run")
    found = predict(tmp_path / "run", settings=[f"dataset.path={tmp_path / 'part'}"])
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-5)
    assert found.regression and found.classes == expected.classes and found.values.shape == (NODES, targets)


def test_a_graph_of_a_program_takes_other_data_from_files(tmp_path: Path) -> None:
    graph = by_hand(*tables())
    mask = np.arange(NODES) % 2 == 0
    graph = Graph.from_edges(*edges_and_rest(graph), train=mask, val=~mask, test=np.zeros(NODES, bool))
    gas_cli.train(["model=gcn", "trainer.epochs=1", "partitioner.num_parts=2", "trainer.batch_parts=1"], tmp_path / "run", graph)
    other = write(tmp_path / "other", tables()[0].drop(columns=["label", "split"]), tables()[1])
    with pytest.raises(UserError, match="was passed in Python"):
        gas_cli.predict(tmp_path / "run", settings=[f"dataset.path={other}"])
    found = gas_cli.predict(tmp_path / "run", settings=["dataset=folder", f"dataset.path={other}", "dataset.encode=onehot"])
    expected = gas_cli.predict(tmp_path / "run", graph=graph)
    np.testing.assert_allclose(found.probabilities, expected.probabilities, rtol=1e-5, atol=1e-6)


def edges_and_rest(graph: Graph) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rowptr, col, _ = graph.adj.arrays
    assert isinstance(graph.x, torch.Tensor)
    return np.stack([col, np.repeat(np.arange(graph.num_nodes), np.diff(rowptr))]), graph.x.numpy(), np.arange(graph.num_nodes) % 3


def test_embeddings_are_the_layers_of_the_model(run: Path, tmp_path: Path, gas_predict: Command) -> None:
    """Against A' relu(A' x W + b) W + b in dense matrices."""
    graph = by_hand(*tables())
    assert isinstance(graph.x, torch.Tensor)
    adj = torch.eye(NODES, dtype=torch.float64)
    ends, _, _ = edges_and_rest(graph)
    adj[ends[1], ends[0]] = 1
    scale = adj.sum(1).rsqrt()
    weights = [tensor.double() for tensor in load_checkpoint(run / "checkpoints" / "best.pt")["model"].values()]
    adj, h, layers = scale[:, None] * adj * scale, graph.x.double(), []
    for pair in (weights[:2], weights[2:]):
        weight, bias = sorted(pair, key=lambda tensor: -tensor.dim())
        layers.append(adj @ h @ weight + bias)
        h = layers[-1].relu()
    expected = [layers[0].relu(), layers[1]]
    for layer in (1, 2):
        out = tmp_path / f"{layer}.csv"
        assert gas_predict(f"run={run}", "what=embeddings", f"layer={layer}", f"out={out}").code == 0
        table = pd.read_csv(out)
        assert table["id"].tolist() == tables()[0]["id"].tolist() and table.columns[1] == "embedding_0"
        np.testing.assert_allclose(table.iloc[:, 1:], expected[layer - 1], rtol=1e-4, atol=1e-5)
    scores = torch.from_numpy(embed(run, layer=2).values)
    np.testing.assert_allclose(scores.softmax(1), predict(run).probabilities, rtol=1e-5)
    some = embed(run, ["id 5", "id 3"])
    assert some.layer == 1 and repr(some) == "Embeddings(2 nodes, 8 columns, layer 1)"
    np.testing.assert_array_equal(some.values, embed(run).values[[tables()[0]["id"].tolist().index(name) for name in ("id 5", "id 3")]])
    assert np.load(some.save(tmp_path / "some"))["nodes"].tolist() == ["id 5", "id 3"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("what=embeddings", "layer=3"), "a layer from 1 to 2"),
        (("what=embeddings", "layer=0"), "a layer from 1 to 2"),
        (("what=embeddings", "top=2"), "has no classes"),
        (("what=embeddings", "mode=history"), "exact, with what=embeddings"),
        (("layer=1",), "what=embeddings with it"),
        (("what=scores",), "one of classes, embeddings"),
    ],
)
def test_embeddings_that_are_refused(run: Path, tmp_path: Path, words: tuple[str, ...], said: str, gas_predict: Command) -> None:
    refused = gas_predict(f"run={run}", f"out={tmp_path / 'x.csv'}", *words)
    assert refused.code == 2 and said in refused.err and "Traceback" not in refused.err


TYPES, RELATIONS = ("author", "paper", "venue"), ("cites", "writes")


def typed_tables(types: tuple[str, ...], relations: tuple[str, ...], seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Nodes and edges of these types in turns; only papers have a height and a label."""
    nodes, edges = tables(seed=seed)
    nodes = nodes.drop(columns=["colour", "width"]).assign(
        type=np.array(types)[np.arange(NODES) % len(types)], label=np.array(CLASSES)[np.arange(NODES) // 3 % 3]
    )
    nodes.loc[nodes["type"] != "paper", ["height", "label", "split"]] = None
    edges = edges[edges["source"] != edges["target"]].drop_duplicates()
    return nodes, edges.assign(relation=np.array(relations)[np.arange(len(edges)) % len(relations)])


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a model that reads edge attributes."""
    folder = tmp_path_factory.mktemp("typed")
    nodes, edges = typed_tables(TYPES, RELATIONS)
    nodes.loc[nodes["type"] == "paper", "split"] = np.array(["train", "val", "test"] * NODES)[: NODES // 3]
    path = write(folder / "graph", nodes, edges)
    train(folder / "run", base=(*SMALL, "model=gat", "dataset.types=onehot", f"dataset.path={path}"))
    return folder / "run"


def test_moved_typed_tables_give_the_same_bits(typed: Path, tmp_path: Path) -> None:
    same_bits_elsewhere(typed, typed.parent / "graph", tmp_path / "elsewhere")


@pytest.mark.parametrize(
    ("types", "relations"),
    [(TYPES, RELATIONS), (("paper",), ("writes",)), (("zoo", "paper", "editor"), ("writes", "buys", "cites"))],
    ids=str,
)
def test_types_of_other_data_are_marked_as_in_the_training(
    typed: Path, tmp_path: Path, types: tuple[str, ...], relations: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    """Fewer types, new ones, another alphabetical order: each mark stays where it was, a type that the training did not have has none."""
    nodes, edges = typed_tables(types, relations, seed=1)
    plain = write(tmp_path / "other", nodes.drop(columns=["label", "split"])[["type", "height", "id"]], edges)
    found = predict(typed, settings=[f"dataset.path={plain}"])
    x = np.column_stack([*(nodes["type"] == name for name in TYPES), nodes["height"].fillna(0)]).astype(np.float32)
    row = {name: at for at, name in enumerate(nodes["id"])}
    ends = np.array([edges["source"].map(row), edges["target"].map(row)])
    marks = np.column_stack([edges["relation"] == name for name in RELATIONS]).astype(np.float32)
    expected = predict(typed, graph=Graph.from_edges(ends, x, edge_attr=marks))
    np.testing.assert_allclose(found.probabilities, expected.probabilities, rtol=1e-5, atol=1e-6)
    new = [name for name in (*types, *relations) if name not in (*TYPES, *RELATIONS)]
    said = " ".join(message for message in caplog.messages if "which the training did not have" in message)
    assert [name for name in new if f"'{name}'" in said] == new and bool(said) == bool(new)
    turned = predict(typed, graph=Graph.from_edges(ends, x, edge_attr=marks[:, ::-1].copy()))
    assert not np.allclose(found.probabilities, turned.probabilities, rtol=1e-5, atol=1e-6)  # the marks matter
