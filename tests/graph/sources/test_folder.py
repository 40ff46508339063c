"""One's own graph: every form of its files gives the same graph, and trains."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Data

from gas_cli.config.compose import compose_config
from gas_cli.config.metrics import METRICS
from gas_cli.errors import UserError
from gas_cli.graph.graph import Graph
from gas_cli.graph.sources import table
from gas_cli.graph.sources.text_table import Reading, read_text
from gas_cli.ops.csr import CSR
from tests.graph.sources.own_folder import E, F, N, Write, arrays, assert_equal, expected, load, save


@pytest.mark.parametrize("suffix", table.SUFFIXES)
def test_every_kind_of_table_gives_the_same_graph(write: Write, suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    assert_equal(load(write(suffix)), expected())


@pytest.mark.parametrize("suffix", [".npy", ".csv"])
@pytest.mark.parametrize("val", ["val", "valid"])
def test_lists_of_ids_give_the_same_splits_as_masks(write: Write, suffix: str, val: str) -> None:
    lists = {f"split__{name}": np.arange(number, N, 3) for number, name in enumerate(("train", val, "test"))}
    assert_equal(load(write(suffix, **dict.fromkeys(("train_mask", "val_mask", "test_mask")), **lists)), expected())


def test_a_pyg_data_and_a_dictionary_give_the_same_graph(tmp_path: Path) -> None:
    given = {key: torch.from_numpy(values) for key, values in arrays().items()}
    masks = {key: mask for key, mask in given.items() if key.endswith("mask")}
    data = Data(x=given["features"], edge_index=given["edges"], y=given["labels"], **masks)
    torch.save(data, tmp_path / "data.pt")
    torch.save(data.to_dict(), tmp_path / "dict.pt")
    assert_equal(load(tmp_path / "data.pt"), expected())
    assert_equal(load(tmp_path / "dict.pt"), expected())


@pytest.mark.parametrize("form", [sp.csr_array, sp.coo_array])
def test_matrices_of_scipy_give_the_same_graph(write: Write, form: Any) -> None:
    folder = write(edges=None, features=None)
    given = arrays()
    matrix = sp.coo_array((np.ones(E), tuple(given["edges"])), shape=(N, N)).tocsr()
    matrix.data[:] = 1
    sp.save_npz(folder / "edges.npz", form(matrix))
    sp.save_npz(folder / "features.npz", form(given["features"]))
    assert_equal(load(folder), expected())


def test_edges_as_rows_give_the_same_graph(write: Write) -> None:
    assert_equal(load(write(edges=arrays()["edges"].T)), expected())


def test_few_features_of_many_stay_sparse(write: Write) -> None:
    folder = write(features=None)
    wide = sp.random_array((N, 500), density=0.01, rng=np.random.default_rng(0)).tocsr()
    sp.save_npz(folder / "features.npz", wide)
    x = load(folder).x
    assert isinstance(x, CSR)
    np.testing.assert_allclose(x.to_dense().numpy(), wide.toarray(), rtol=1e-6)


def test_float32_features_stay_on_the_disk_and_writing_does_not_reach_it(write: Write) -> None:
    folder = write()
    graph = load(folder)
    assert isinstance(graph.x, torch.Tensor)
    if sys.platform == "linux":
        assert str(folder / "features.npy") in Path("/proc/self/maps").read_text()
    before = graph.fingerprint()
    graph.x.zero_()
    assert load(folder).fingerprint() == before


def test_other_numbers_become_float32(write: Write) -> None:
    features = np.arange(N * F).reshape(N, F)
    assert torch.equal(load(write(features=features)).x, torch.from_numpy(features).float())


@pytest.mark.parametrize("form", ["file", "column", "matrix"])
def test_weights_arrive_at_their_edges(write: Write, form: str) -> None:
    edges, weight = np.array([[0, 1, 2], [1, 2, 0]]), np.array([0.5, 2.0, 3.0])
    if form == "file":
        folder = write(edges=edges, edge_weight=weight)
    elif form == "column":
        folder = write(edges="0,1,0.5\n1,2,2\n2,0,3\n")
    else:
        folder = write(edges=None)
        sp.save_npz(folder / "edges.npz", sp.coo_array((weight, tuple(edges)), shape=(N, N)).tocsr())
    if form == "column":
        (folder / "edges.npy").unlink(missing_ok=True)
    dense = np.zeros((N, N), np.float32)
    dense[edges[1], edges[0]] = weight
    assert torch.equal(load(folder).adj.to_dense(), torch.from_numpy(dense))


def attributes_of(graph: Graph) -> dict[tuple[int, int], list[float]]:
    """The attributes of every message (source, target)."""
    target = torch.repeat_interleave(torch.arange(graph.num_nodes), graph.adj.rowptr.diff())
    assert graph.edge_attr is not None and graph.adj.attr_row is not None
    rows = graph.edge_attr[graph.adj.attr_row].tolist()
    return dict(zip(zip(graph.adj.col.tolist(), target.tolist(), strict=True), rows, strict=True))


@pytest.mark.parametrize("suffix", [".npy", ".csv"])
def test_attributes_arrive_at_their_edges(write: Write, suffix: str) -> None:
    """A loop goes, the first of parallel edges stays; an added reverse shares the row of its edge, a listed one does not."""
    edges = np.array([[0, 3, 1, 0, 2], [1, 3, 2, 1, 1]])
    folder = write(suffix, edges=edges, edge_attr=np.arange(10, dtype=np.float32).reshape(5, 2))
    one = {(0, 1): [0.0, 1.0], (1, 2): [4.0, 5.0], (2, 1): [8.0, 9.0]}
    assert attributes_of(load(folder)) == one
    both = load(folder, undirected=True)
    assert attributes_of(both) == {**one, (1, 0): [0.0, 1.0]} and both.symmetric
    assert both.edge_dim == 2 and both.fingerprint() != load(folder).fingerprint()


def test_one_attribute_per_edge_may_be_a_plain_list_and_float32_stays_on_the_disk(write: Write) -> None:
    folder = write(edge_attr=np.arange(E, dtype=np.float32))
    graph = load(folder)
    assert graph.edge_attr is not None and graph.edge_attr.shape == (E, 1)
    if sys.platform == "linux":
        assert str(folder / "edge_attr.npy") in Path("/proc/self/maps").read_text()


def test_attributes_of_a_pyg_data(tmp_path: Path, write: Write) -> None:
    attributes = np.random.default_rng(2).standard_normal((E, 3)).astype(np.float32)
    given = {key: torch.from_numpy(values) for key, values in arrays().items()}
    masks = {key: mask for key, mask in given.items() if key.endswith("mask")}
    data = Data(given["features"], given["edges"], torch.from_numpy(attributes), given["labels"], **masks)
    torch.save(data, tmp_path / "data.pt")
    assert_equal(load(tmp_path / "data.pt"), load(write(edge_attr=attributes)))


def test_undirected_adds_the_reverse_of_every_edge(write: Write) -> None:
    folder = write()
    one, both = load(folder).adj.to_dense(), load(folder, undirected=True)
    assert torch.equal(both.adj.to_dense(), torch.maximum(one, one.T)) and both.symmetric


def test_several_labels_and_several_splits(write: Write) -> None:
    labels = np.random.default_rng(1).integers(0, 2, (N, 5))
    train = np.stack([np.arange(N) % 3 == 0, np.arange(N) % 6 == 0], axis=1)
    graph = load(write(labels=labels, train_mask=train))
    assert torch.equal(graph.y, torch.from_numpy(labels).float()) and (graph.num_classes, graph.metric) == (5, "micro_f1")
    assert len(graph.splits) == 2 and int(graph.splits[1].train.sum()) == 2 and torch.equal(graph.splits[0].val, graph.splits[1].val)


def test_unknown_labels_outside_the_splits_and_more_classes_than_seen(write: Write) -> None:
    labels = np.where(np.arange(N) == 5, -1, arrays()["labels"])
    outside = arrays()["test_mask"] & (np.arange(N) != 5)
    graph = load(write(labels=labels, test_mask=outside), num_classes=9)
    assert int(graph.y[5]) == -1 and graph.num_classes == 9


def test_the_metric_of_a_binary_task_can_be_chosen(write: Write) -> None:
    assert load(write(labels=np.arange(N) % 2), metric="roc_auc").metric == "roc_auc"
    fitting = "Use auto, or one of accuracy, balanced_accuracy, macro_f1, micro_f1"
    for metric in ("roc_auc", "average_precision"):
        wrong = rf"labels.npy: dataset.metric={metric} does not fit a multi-class task \(one of 4 classes per node\). {fitting}\."
        with pytest.raises(UserError, match=wrong):
            load(write(), metric=metric)
    several = np.random.default_rng(1).integers(0, 2, (N, 5))
    with pytest.raises(UserError, match=r"does not fit a multi-label task .* one of macro_f1, micro_f1, average_precision, roc_auc\."):
        load(write(labels=several), metric="balanced_accuracy")
    with pytest.raises(UserError, match="has a multi-class task and metric roc_auc: expected one of accuracy, balanced_accuracy"):
        replace(load(write()), metric="roc_auc").validate()


def test_every_metric_that_fits_the_task_is_taken(write: Write) -> None:
    labels = {"binary": np.arange(N) % 2, "multi-class": arrays()["labels"], "multi-label": np.random.default_rng(1).integers(0, 2, (N, 5))}
    for task, values in labels.items():
        for name in (name for name, kind in METRICS.items() if task in kind.tasks):
            graph = load(write(labels=values), metric=name)
            assert (graph.metric, graph.task) == (name, task)


@settings(max_examples=15)
@given(st.integers(1, 40), st.integers(0, 1000))
def test_a_table_survives_csv(tmp_path_factory: pytest.TempPathFactory, rows: int, seed: int) -> None:
    path = tmp_path_factory.mktemp("table") / "features.csv"
    values = np.random.default_rng(seed).standard_normal((rows, 3)).astype(np.float32)
    save(path, values)
    np.testing.assert_allclose(read_text(path, np.float32).take(Reading()), values, rtol=1e-6)


@pytest.mark.parametrize("model", ["gatv2", "transformer", "gcn"])
def test_a_run_with_edge_attributes(write: Write, tmp_path: Path, model: str, caplog: pytest.LogCaptureFixture) -> None:
    """Training, checkpoint and prediction agree on the parameters for the attributes; a model that reads none says so, once."""
    from gas_cli.prediction import predict
    from gas_cli.run import run

    caplog.set_level("INFO", "gas_cli")
    folder = write(edge_attr=np.random.default_rng(1).standard_normal((E, 3)).astype(np.float32))
    small = ["partitioner.num_parts=3", "trainer.batch_parts=2", "trainer.epochs=2", "partitioner.cache=null", "device=cpu", "runs=2"]
    small += ["trainer.edge_dropout=0.2"] if model == "gcn" else []
    run(compose_config(["dataset=folder", f"dataset.path={folder}", f"model={model}", *small]), tmp_path / "run")
    said = [record.message for record in caplog.records if "does not read" in record.message]
    assert said == (["model=gcn does not read the 3 attribute(s) of each edge."] if model == "gcn" else [])
    for mode in ("exact", "history"):
        predict(tmp_path / "run/runs/01", mode=mode).save(tmp_path / "out.npz")


def test_a_run_on_ones_own_graph_with_several_labels(write: Write, tmp_path: Path) -> None:
    from gas_cli.prediction import predict
    from gas_cli.run import run

    folder = write(labels=np.random.default_rng(1).integers(0, 2, (N, 5)))
    small = ["partitioner.num_parts=3", "trainer.batch_parts=1", "trainer.epochs=2", "partitioner.cache=null", "device=cpu"]
    summary = run(compose_config(["dataset=folder", f"dataset.path={folder}", *small]), tmp_path / "run")
    assert summary["status"] == "finished" and summary["metric"] == "micro_f1"
    predict(tmp_path / "run").save(tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as out:
        assert out["probabilities"].shape == (N, 5)
