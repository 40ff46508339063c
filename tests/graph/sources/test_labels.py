"""Labels become classes by their distinct values, or one message; a warning names what is seldom meant."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from gas_cli.config.compose import compose_config
from gas_cli.config.dataset import FolderConfig
from gas_cli.errors import UserError
from gas_cli.graph.describe import describe
from gas_cli.graph.make_splits import with_splits
from tests.graph.sources.own_folder import C, N, Write, arrays, assert_equal, load

USERS = np.array([7, 1_000_000_000, 2_000_000_000])


@pytest.mark.parametrize("names", [USERS, np.array([1, 2, 3, 4]), np.array([0, 2, 3]), np.array([0, 2**53])])
def test_distinct_labels_are_the_classes_in_ascending_order(write: Write, names: np.ndarray, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "gas_cli")
    labels = names[np.arange(N) % len(names)]
    graph = load(write(labels=labels))
    assert np.array_equal(names[graph.y.numpy()], labels)
    assert graph.class_names == tuple(map(str, names.tolist())) and graph.num_classes == len(names)
    assert len([record for record in caplog.records if "distinct labels" in record.message]) == 1
    assert f"{names[-1]}: " in describe(graph)


def test_labels_from_0_on_stay_as_they_are_and_nothing_is_said(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "gas_cli")
    graph = load(write())
    assert np.array_equal(graph.y.numpy(), arrays()["labels"]) and graph.class_names == () and graph.num_classes == C
    assert not [record for record in caplog.records if record.name.endswith("labels")]


def test_num_classes_keeps_labels_and_reports_classes_without_nodes(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    graph = load(write(labels=np.arange(N) % 3 + 1), num_classes=6)
    assert graph.y.unique().tolist() == [1, 2, 3] and graph.num_classes == 6 and graph.class_names == ()
    assert "3 of 6 classes have no node, the first is class 0" in caplog.text


@pytest.mark.parametrize("unknown", ["nan", "-1", '""', "NaN", "-1.0"])
def test_nan_empty_and_minus_1_are_unknown(write: Write, unknown: str, caplog: pytest.LogCaptureFixture) -> None:
    labels = [str(c) for c in arrays()["labels"]]
    labels[5] = unknown
    folder = write(labels=None, test_mask=arrays()["test_mask"] & (np.arange(N) != 5))
    (folder / "labels.csv").write_text("\n".join(labels) + "\n")
    caplog.set_level("INFO", "gas_cli")
    graph = load(folder)
    assert "labels.csv: 1 node(s) have an unknown label (-1, nan or an empty cell" in caplog.text
    assert int(graph.y[5]) == -1 and np.array_equal(np.delete(graph.y.numpy(), 5), np.delete(arrays()["labels"], 5))
    np.save(folder / "test_mask.npy", arrays()["test_mask"])
    with pytest.raises(
        UserError, match=r"labels.csv, row 5 \(line 6\): node 5 has label -1 \(unknown\), but is in a split.*-1, nan or an empty"
    ):
        load(folder)


@pytest.mark.parametrize("kind", ["<f4", ">f8", "<f2"])
def test_nan_in_arrays_and_tensors_is_unknown(write: Write, tmp_path: Path, kind: str) -> None:
    given = arrays()
    labels = np.where(np.arange(N) % 3 == 2, np.nan, given["labels"]).astype(kind)
    masks = {"test_mask": np.zeros(N, bool)}
    folder = write(labels=labels, **masks)
    native = labels.astype(labels.dtype.newbyteorder("="))
    values = {
        "edge_index": given["edges"],
        "x": given["features"],
        "y": native,
        **{f"{p}_mask": given[f"{p}_mask"] for p in ("train", "val")},
    }
    torch.save({key: torch.from_numpy(value) for key, value in (values | masks).items()}, tmp_path / "mine.pt")
    graph = load(folder)
    assert_equal(graph, load(tmp_path / "mine.pt"))
    known = ~np.isnan(labels)
    assert np.array_equal(graph.y.numpy()[known], given["labels"][known]) and (graph.y.numpy()[~known] == -1).all()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.linspace(0, 1, N), "row 1: 0.0909091 is not a class: this looks like a regression target. Expected whole numbers"),
        (np.where(np.arange(N) == 3, np.inf, 1.0), "row 3: class inf is not an integer"),
        (np.where(np.arange(N) == 3, 1e17, 1.0), r"row 3: 100000000000000000 is too large for a class in float64"),
        (np.full(N, -1), r"every label is unknown. Expected classes from 0 on; -1, nan or an empty cell"),
        (np.where(np.arange(N) == 3, -7, 1), "row 3: label -7 is out of range. Expected classes from 0 on; -1, nan"),
    ],
)
def test_what_is_no_class_is_refused(write: Write, labels: np.ndarray, message: str) -> None:
    with pytest.raises(UserError, match=f"labels.npy(: |, ){message}"):
        load(write(labels=labels))


@pytest.mark.parametrize("scale", [1, 1_000_000_000])
def test_nearly_all_distinct_labels_are_refused_before_anything_is_allocated(tmp_path: Path, scale: int) -> None:
    nodes = 60
    tables = {"edges": np.zeros((2, 1), int), "features": np.ones((nodes, 1), np.float32), "labels": np.arange(nodes) * scale}
    tables |= {f"{part}_mask": np.arange(nodes) % 3 == number for number, part in enumerate(("train", "val", "test"))}
    for stem, values in tables.items():
        np.save(tmp_path / f"{stem}.npy", values)
    with pytest.raises(UserError, match="60 distinct labels for 60 nodes: this looks like a regression target") as caught:
        load(tmp_path)
    assert ("dataset.num_classes=60" in str(caught.value)) == (scale == 1)
    if scale == 1:  # what the message suggests works
        assert load(tmp_path, num_classes=60).num_classes == 60


def test_one_hot_labels_are_one_class_per_node_unless_the_metric_says_otherwise(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "gas_cli")
    folder = write(labels=np.eye(C, dtype=int)[arrays()["labels"]])
    graph = load(folder)
    assert np.array_equal(graph.y.numpy(), arrays()["labels"]) and (graph.num_classes, graph.metric) == (C, "accuracy")
    assert "read as class c; dataset.metric=micro_f1 allows several labels" in caplog.text
    for metric in ("micro_f1", "roc_auc"):
        assert load(folder, metric=metric).y.shape == (N, C)


@pytest.mark.parametrize("label", [0, 7])
def test_a_single_class_is_said(write: Write, label: int, caplog: pytest.LogCaptureFixture) -> None:
    assert load(write(labels=np.full(N, label))).num_classes == 1
    assert caplog.text.count("all labelled nodes have the same class, so a model has nothing to learn (-1, nan") == 1


def test_no_validation_and_no_test_nodes_are_said(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    with_splits(load(write(val_mask=np.zeros(N, bool))), FolderConfig())
    assert "split 0 has no validation nodes, so the last evaluation counts as the best one" in caplog.text
    with_splits(load(write(test_mask=np.zeros(N, bool))), FolderConfig())
    assert "split 0 has no test nodes" in caplog.text


def test_a_split_that_does_not_exist_is_refused_when_the_graph_is_loaded(write: Write) -> None:
    with pytest.raises(UserError, match=r"dataset.split=1: mine has 1 split\(s\), numbered from 0. Type dataset.split=-1"):
        load(write(), split=1)


def test_names_of_classes_reach_summary_and_predictions(write: Write, tmp_path: Path) -> None:
    from gas_cli.prediction import predict
    from gas_cli.run import run

    folder = write(labels=USERS[np.arange(N) % 3])
    small = ["partitioner.num_parts=3", "trainer.batch_parts=1", "trainer.epochs=1", "partitioner.cache=null", "device=cpu"]
    summary = run(compose_config(["dataset=folder", f"dataset.path={folder}", *small]), tmp_path / "run")
    assert summary["classes"] == ["7", "1000000000", "2000000000"]
    predict(tmp_path / "run").save(tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as out:
        assert out["classes"].tolist() == summary["classes"] and out["probabilities"].shape == (N, 3)
