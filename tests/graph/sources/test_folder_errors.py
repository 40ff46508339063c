"""Wrong data of the user is reported with file, row, reason and remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch

from gas_cli.config.compose import compose_config
from gas_cli.config.dataset import FolderConfig
from gas_cli.errors import UserError
from gas_cli.graph.load import load_graph
from tests.graph.sources.own_folder import E, N, Write, arrays, load

EDGES = "\n".join(f"{a},{b}" for a, b in arrays()["edges"].T.tolist()) + "\n"
ZEROS = "0\n" * N


@pytest.mark.parametrize(
    ("stem", "text", "message"),
    [
        ("edges", "0,1\n2,x7\n" + EDGES, r"row 1 \(line 2\): 'x7' in column 1 is not a number. Expected numbers only"),
        ("edges", "0,1\n\n2,3\n", r"row 1 \(line 2\): node id nan is not an integer. Expected a whole number"),
        ("edges", "0,1\n1.5,2\n", r"row 1 \(line 2\): node id 1.5 is not an integer"),
        ("edges", "0,1\n0,12\n", r"row 1 \(line 2\): it joins nodes 0 and 12 of 12. Expected ids from 0 to 11"),
        ("edges", "0,1\n-1,2\n", r"row 1 \(line 2\): it joins nodes -1 and 2"),
        ("edges", "0,1\n0,1,2\n", r": Expected 2 fields in line 2, saw 3. Expected the same number of cells"),
        ("edges", "0,1,2,3\n", r": it has 4 columns. Expected source, target and possibly weight; attributes belong in edge_attr"),
        ("edges", "0 1\n", r"row 0 \(line 1\): '0 1' .*"),
        ("edges", "0,1,0.5\n1,2,\n", r"row 1 \(line 2\): a weight is empty or nan. Expected a finite number"),
        ("edges", "", ": it is empty. Expected one line per row"),
        (
            "edge_attr",
            "1,2\n" * (E - 1),
            r": there are 29 rows of edge attributes for 30 edges \(row 29 is in only one.*Expected one per edge",
        ),
        ("edge_attr", "1,2\n1,\n" + "1,2\n" * (E - 2), r"row 1 \(line 2\): an edge attribute is empty or nan. Expected a finite number"),
        ("edge_attr", "1,2\n1,red\n" + "1,2\n" * (E - 2), r"row 1 \(line 2\): 'red' in column 1 is not a number. Expected numbers only"),
        (
            "features",
            "1,2\n" * (N - 1),
            rf": it has {N - 1} rows where labels.npy has {N} \(row 11 is in only one of them\). Expected one row",
        ),
        ("features", "1,2\n" * (N + 1), rf": it has {N + 1} rows where labels.npy has {N}"),
        ("features", "1,2\n1,a\n" + "1,2\n" * (N - 2), r"row 1 \(line 2\): 'a' in column 1 is not a number"),
        ("features", "1,2\n1,\n" + "1,2\n" * (N - 2), r"row 1 \(line 2\): a feature is empty or nan"),
        ("features", "1,2\n1,inf\n" + "1,2\n" * (N - 2), r"row 1 \(line 2\): a feature is empty or inf"),
        ("labels", "0\n-2\n" + "0\n" * (N - 2), r"row 1 \(line 2\): label -2 is out of range. Expected classes from 0 on"),
        ("labels", "0\n-1\n" + "0\n" * (N - 2), r"row 1 \(line 2\): node 1 has label -1 \(unknown\), but is in a split. Label it"),
        ("labels", "0\n0.5\n" + "0\n" * (N - 2), r"row 1 \(line 2\): 0.5 is not a class"),
        ("labels", "0\ncat\n" + "0\n" * (N - 2), r"row 1 \(line 2\): 'cat' in column 0 is not a number"),
        ("labels", "0,1\n0,2\n" + "0,1\n" * (N - 2), r"row 1 \(line 2\): label 2 is out of range. Expected 0 or 1 in each"),
        ("train_mask", "1\n2\n" + "0\n" * (N - 2), r"row 1 \(line 2\): 2.0 is neither 0 nor 1"),
        ("train_mask", "1\n" * (N - 1), r": it has shape \(11, 1\) for 12 nodes. Expected one row per node; ids belong in split/"),
        ("train_mask", "1\n1\n" + "0\n" * (N - 2), r" and val_mask.npy: node 1 is in both. Expected each node in at most one part"),
    ],
)
def test_a_wrong_text_file_is_answered_by_file_row_reason_and_remedy(write: Write, stem: str, text: str, message: str) -> None:
    folder = write(**{stem: text})
    with pytest.raises(UserError, match=rf"{folder}/{stem}.csv,? ?{message}"):
        load(folder)


@pytest.mark.parametrize(
    ("replaced", "settings", "message"),
    [
        ({"edges": np.zeros((E, 3), int)}, {}, r"edges.npy: it has shape \(30, 3\) where \[2, E\] or \[E, 2\] was expected. Row 0"),
        ({"edges": np.array([[0, 1], [1, N]])}, {}, "edges.npy, edge 1: it joins nodes 1 and 12 of 12. Expected ids from 0 to 11"),
        ({"edges": np.array([[0, 1], [1, 0.5]])}, {}, "edges.npy, edge 1: node id 0.5 is not an integer"),
        ({"edge_weight": np.ones(E - 1)}, {}, r"edge_weight.npy: it has shape \(29,\) for 30 edges. Expected one weight per edge"),
        ({"edge_attr": np.full((E, 2), np.nan)}, {}, "edge_attr.npy, row 0: an edge attribute is empty or nan"),
        ({"edge_attr": np.zeros((E, 2, 2))}, {}, r"edge_attr.npy: edge attributes have shape \(30, 2, 2\). Expected \[E, D\]"),
        ({"edge_weight": np.full(E, np.nan)}, {}, "edge_weight.npy, row 0: a weight is empty or nan"),
        ({"features": np.full((N, 2), np.inf, np.float32)}, {}, "features.npy, row 0: a feature is empty or inf"),
        ({"features": np.array([["a"]] * N)}, {}, "features.npy: it holds <U1. Expected numbers"),
        ({"features": np.array([None] * N)}, {}, "features.npy: it is not an intact .npy file of numbers"),
        ({"features": np.zeros((N, 2, 2))}, {}, r"features.npy: it has shape \(12, 2, 2\). Expected \[N, F\]"),
        (
            {"labels": np.full(N, 4)},
            {"num_classes": 3},
            "labels.npy, row 0: label 4 is out of range. Expected 0 to 2 with dataset.num_classes=3",
        ),
        ({"labels": np.zeros((N, 3), int)}, {"num_classes": 4}, "labels.npy: it has 3 columns where dataset.num_classes=4. Correct either"),
        ({"train_mask": np.zeros((N, 2), bool), "val_mask": np.zeros((N, 3), bool)}, {}, "it has 2 masks where another part has 3"),
        ({"train_mask": np.zeros(N, bool)}, {}, "empty training mask in split 0: expected at least one training node"),
        ({"val_mask": None}, {}, "has no split for val: expected val_mask.npy|.csv|.parquet or split/val.npy"),
        ({"labels": None}, {}, "has no labels: expected labels.npy, labels.csv, labels.parquet. It holds edges.npy, features.npy"),
        ({"features": None}, {}, "has no features: expected features.npy, .*features.npz"),
        ({"edges": None, "edge": np.zeros((2, 1))}, {}, r"has no edges: expected edges.npy, .* Rename edge.npy; see docs/graph-files.md"),
        ({"split__train": np.zeros(1, int)}, {}, "has both masks and lists of ids in split/. Remove one of the two"),
    ],
)
def test_wrong_arrays_and_missing_files(write: Write, replaced: dict[str, Any], settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        load(write(**replaced), **settings)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([0, 3, 3], r"split/train.csv, row 2 \(line 3\): node 3 is also listed in row 1. Remove one of them"),
        ([0, 12], r"split/train.csv, row 1 \(line 2\): node id 12 is out of range. Expected ids from 0 to 11"),
        ([0, -1], r"split/train.csv, row 1 \(line 2\): node id -1 is out of range"),
        ([0, 1], "split/train.csv and val.csv: node 1 is in both"),
        ([[0, 1]], "split/train.csv: it has 2 columns. Expected one node id per row"),
    ],
)
def test_wrong_lists_of_ids(write: Write, ids: list[Any], message: str) -> None:
    lists = {"split__train": np.array(ids), "split__val": np.array([1, 4]), "split__test": np.array([2])}
    with pytest.raises(UserError, match=message):
        load(write(".csv", **dict.fromkeys(("train_mask", "val_mask", "test_mask")), **lists))


def test_two_files_of_one_table_are_refused(write: Write) -> None:
    write()
    with pytest.raises(UserError, match=r"has labels.npy and labels.csv: expected one of them. Remove the other"):
        load(write(".csv"))


def test_truncated_arrays_and_matrices(write: Write) -> None:
    folder = write(features=None)
    (folder / "features.npz").write_bytes(b"PK no archive")
    with pytest.raises(UserError, match=rf"{folder}/features.npz: it is not an intact scipy matrix"):
        load(folder)
    path = folder / "labels.npy"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UserError, match=rf"{path}: it is not an intact .npy file"):
        load(folder)


def test_unreadable_parquet(write: Write) -> None:
    folder = write(features=None)
    path = folder / "features.parquet"
    path.write_bytes(b"PAR1 nothing")
    parquet = pytest.importorskip("pyarrow.parquet")
    with pytest.raises(UserError, match=rf"{path}: it is not a readable parquet file .*Write it again"):
        load(folder)
    pd.DataFrame({"a": np.zeros(N)}).to_parquet(path)
    table = parquet.read_table(path)
    said = table.schema.metadata[b"pandas"].replace(b"numpy_type", b"numpy_typo")
    parquet.write_table(table.replace_schema_metadata({b"pandas": said}), path)
    with pytest.raises(UserError, match=rf"{path}: it is not a readable parquet file \('numpy_type'\)"):
        load(folder)
    pd.DataFrame({"a": np.zeros(N), "b": ["x"] * N}).to_parquet(path)
    with pytest.raises(UserError, match=rf"{path}, row 0: 'x' in column 'b' is not a number"):
        load(folder)


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("executed"),)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"val_mask": None}, "it has no tensor val_mask. Expected edge_index, x, y"),
        ({"x": torch.zeros(N - 1, 2)}, r"x has shape \(11, 2\) for 12 labels"),
        ({"x": torch.full((N, 2), torch.nan)}, "x, row 0: a feature is empty or nan"),
        ({"edge_index": torch.zeros(E, 2)}, r"edge_index has shape \(30, 2\). Expected \[2, E\]"),
        ({"edge_index": torch.tensor([[0], [N]])}, "edge_index, edge 0: it joins nodes 0 and 12"),
        ({"edge_attr": torch.ones(3, 2)}, "there are 3 rows of edge attributes for 30 edges"),
        ({"edge_weight": torch.ones(3)}, r"edge_weight has shape \(3,\) for 30 edges"),
        ({"y": torch.full((N,), -5)}, "y, row 0: label -5 is out of range"),
        ({"x": torch.zeros(N, 2).to_sparse()}, "x is of layout torch.sparse_coo, type torch.float32"),
        ({"extra": Evil()}, r"it holds more than tensors, and nothing in it is executed: extra is of .*del data\['extra'\]"),
    ],
)
def test_a_wrong_saved_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], message: str) -> None:
    monkeypatch.chdir(tmp_path)
    names = {"edges": "edge_index", "features": "x", "labels": "y"}
    content = {names.get(key, key): torch.from_numpy(values) for key, values in arrays().items()}
    torch.save({**content, **change}, tmp_path / "mine.pt")
    with pytest.raises(UserError, match=rf"{tmp_path}/mine.pt.*{message}"):
        load(tmp_path / "mine.pt")
    assert not (tmp_path / "executed").exists()


def test_a_truncated_saved_graph_and_other_objects(tmp_path: Path) -> None:
    path = tmp_path / "mine.pt"
    torch.save(torch.ones(3), path)
    with pytest.raises(UserError, match=r"it holds a Tensor. Expected a torch_geometric Data, or a dictionary"):
        load(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match=f"{path}: it (is not an intact file|holds more)"):
        load(path)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"type dataset.path=DIR \(docs/graph-files.md"):
        load_graph(FolderConfig())
    with pytest.raises(UserError, match="nowhere is not a folder"):
        load(tmp_path / "nowhere")


def test_the_path_becomes_absolute_and_a_metric_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = compose_config(["dataset=folder", "dataset.path=mine", "dataset.undirected=true"])
    assert isinstance(config.dataset, FolderConfig) and config.dataset.path == str(tmp_path / "mine")
    with pytest.raises(UserError, match=r"dataset.metric=f1 is not valid: expected one of auto"):
        compose_config(["dataset=folder", "dataset.metric=f1"])


def test_attributes_beside_a_matrix_of_edges_are_refused(write: Write) -> None:
    folder = write(edges=None, edge_attr=np.ones((E, 2)))
    sp.save_npz(folder / "edges.npz", sp.coo_array((np.ones(E), tuple(arrays()["edges"])), shape=(N, N)).tocsr())
    with pytest.raises(
        UserError, match=r"edge_attr.npy: edges.npz is a matrix and does not keep the order of edges. Write the edges as .npy"
    ):
        load(folder)
