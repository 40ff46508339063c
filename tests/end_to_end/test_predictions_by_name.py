"""Predictions as tables: ids and classes of the user's own, the numbers of the .npz file; other columns are refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gas_cli.predicted import Predictions
from gas_cli.prediction import predict
from tests.end_to_end.conftest import Command
from tests.end_to_end.runs import train

NODES, CLASSES = 60, ("ant", "bee", "cat")
SMALL = (
    "dataset=folder", "model=gcn", "model.hidden_channels=8", "trainer.epochs=3", "trainer.batch_parts=1", "partitioner.num_parts=2",
    "partitioner.name=range", "device=cpu",
)  # fmt: skip


def write_graph(folder: Path, columns: tuple[str, ...] = ("height", "width"), seed: int = 0) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(seed)
    ids = np.array([f"id {k * 37 % 101}" for k in range(NODES)])
    nodes = pd.DataFrame({"id": ids, "label": np.array(CLASSES)[np.arange(NODES) % 3]})
    for column in columns:
        nodes[column] = rng.random(NODES)
    nodes["split"] = np.array(["train", "val", "test"])[np.arange(NODES) // 20]
    nodes.to_csv(folder / "nodes.csv", index=False)
    ends = rng.integers(0, NODES, (2, 200))
    pd.DataFrame({"source": ids[ends[0]], "target": ids[ends[1]]}).to_csv(folder / "edges.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `graph` and `run`, and predictions of all nodes in every form."""
    folder = tmp_path_factory.mktemp("named")
    train(folder / "run", base=(*SMALL, f"dataset.path={write_graph(folder / 'graph')}"))
    found = predict(folder / "run")
    for form in ("npz", "csv", "parquet"):
        found.save(folder / f"all.{form}")
    return folder


def test_tables_hold_ids_classes_and_the_numbers_of_the_arrays(place: Path) -> None:
    arrays = np.load(place / "all.npz")
    ids = pd.read_csv(place / "graph" / "nodes.csv")["id"].tolist()
    assert arrays["nodes"].tolist() == ids and arrays["classes"].tolist() == list(CLASSES)
    for table in (pd.read_csv(place / "all.csv"), pd.read_parquet(place / "all.parquet")):
        assert table.columns.tolist() == ["id", "class", *(f"probability_{name}" for name in CLASSES)]
        assert table["id"].tolist() == ids
        np.testing.assert_array_equal(table.iloc[:, 2:].to_numpy(np.float32), arrays["probabilities"])
        assert table["class"].tolist() == [CLASSES[c] for c in arrays["probabilities"].argmax(1)]
    assert pd.read_parquet(place / "all.parquet").dtypes.iloc[2] == np.float32


def test_the_most_likely_classes_come_first(place: Path, gas_predict: Command) -> None:
    out = place / "top.csv"
    assert gas_predict(f"run={place / 'run'}", f"out={out}", "top=2").code == 0
    table, probabilities = pd.read_csv(out), np.sort(np.load(place / "all.npz")["probabilities"], axis=1)[:, ::-1]
    assert table.columns.tolist() == ["id", "class_1", "probability_1", "class_2", "probability_2"]
    np.testing.assert_array_equal(table[["probability_1", "probability_2"]].to_numpy(np.float32), probabilities[:, :2])


def test_nodes_are_chosen_by_their_ids(place: Path, gas_predict: Command) -> None:
    (place / "some.txt").write_text("id 37\nid 0\n")
    assert gas_predict(f"run={place / 'run'}", f"nodes={place / 'some.txt'}", f"out={place / 'some.csv'}").code == 0
    every = pd.read_csv(place / "all.csv").set_index("id")
    pd.testing.assert_frame_equal(pd.read_csv(place / "some.csv").set_index("id"), every.loc[["id 37", "id 0"]])
    (place / "none.txt").write_text("id 37\nnobody\n")
    refused = gas_predict(f"run={place / 'run'}", f"nodes={place / 'none.txt'}", f"out={place / 'none.csv'}")
    assert refused.code == 2 and "entry 1 is nobody, which is the id of no node" in refused.err and "Traceback" not in refused.err


def test_arguments_are_checked_before_the_graph(place: Path, gas_predict: Command) -> None:
    run = f"run={place / 'run'}"
    for words, said in (
        ((f"out={place / 'x.xlsx'}",), "ends in .csv, .parquet or .npz"),
        ((f"out={place / 'x.npz'}", "top=2"), "out=FILE.csv"),
        ((f"out={place / 'x.csv'}", "top=0"), "a number of classes from 1"),
        ((f"out={place / 'x.csv'}", "top=9"), "from 1 to 3"),
    ):
        refused = gas_predict(run, *words)
        assert refused.code == 2 and said in refused.err


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (("height", "depth"), "no column 'width'"),
        (("height", "width", "depth"), "have the column 'depth'"),
    ],
)
def test_other_columns_than_in_training_are_refused_by_name(
    tmp_path: Path, gas_predict: Command, columns: tuple[str, ...], said: str
) -> None:
    graph = write_graph(tmp_path / "graph")
    train(tmp_path / "run", base=(*SMALL, f"dataset.path={graph}"))
    graph.rename(tmp_path / "before")
    write_graph(graph, columns)
    refused = gas_predict(f"run={tmp_path / 'run'}", f"out={tmp_path / 'x.csv'}")
    assert refused.code == 2 and said in refused.err and "Traceback" not in refused.err and not (tmp_path / "x.csv").exists()


def test_several_labels_and_many_blocks_of_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gas_cli.report.prediction_table.ROWS_AT_A_TIME", 4)
    probabilities = np.random.default_rng(0).random((10, 3)).astype(np.float32)
    out = Predictions(np.arange(10), probabilities, CLASSES, several=True).save(tmp_path / "several.csv")
    table = pd.read_csv(out, keep_default_na=False)
    assert table["class"].tolist() == [";".join(np.array(CLASSES)[row > 0.5]) for row in probabilities]
    np.testing.assert_array_equal(table.iloc[:, 2:].to_numpy(np.float32), probabilities)
