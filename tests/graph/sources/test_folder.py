from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Data

from gas_cli.config.compose import compose_config
from gas_cli.config.dataset import FolderConfig
from gas_cli.errors import UserError
from gas_cli.graph.graph import Graph, Split
from gas_cli.graph.load import load_graph
from gas_cli.graph.sources import table
from gas_cli.graph.topology import build_adjacency
from gas_cli.ops.csr import CSR

N, F, C, E = 12, 3, 4, 30
Write = Callable[..., Path]


def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    role = np.arange(N) % 3
    return {
        "edges": rng.integers(0, N, (2, E)),
        "features": rng.standard_normal((N, F)).astype(np.float32),
        "labels": rng.permutation(np.arange(N) % C),
        **{f"{part}_mask": role == number for number, part in enumerate(("train", "val", "test"))},
    }


def save(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = values.T if path.stem == "edges" and path.suffix != ".npy" else values
    values = values.astype(np.int64) if values.dtype == bool and path.suffix == ".csv" else values
    if path.suffix == ".npy":
        np.save(path, values)
    elif path.suffix == ".csv":
        pd.DataFrame(values).to_csv(path, header=False, index=False)
    else:
        pd.DataFrame(values).rename(columns=str).to_parquet(path)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a folder; `suffix` for all tables, keyword arguments replace arrays (None leaves one out) or, as text, whole .csv files."""

    def write(suffix: str = ".npy", **replaced: Any) -> Path:
        folder = tmp_path / "mine"
        folder.mkdir(exist_ok=True)
        for stem, values in {**arrays(), **replaced}.items():
            if isinstance(values, str):
                (folder / f"{stem}.csv").write_text(values)
            elif values is not None:
                save(folder / f"{stem.replace('__', '/')}{suffix}", values)
        return folder

    return write


def load(path: Path, **settings: Any) -> Graph:
    return load_graph(FolderConfig(path=str(path), **settings))


def expected() -> Graph:
    given = arrays()
    adj = build_adjacency(given["edges"], N, symmetrise=False)
    masks = [torch.from_numpy(given[f"{part}_mask"]) for part in ("train", "val", "test")]
    x, y = torch.from_numpy(given["features"]), torch.from_numpy(given["labels"])
    return Graph("mine", x, adj, y, (Split(*masks),), C, "accuracy", adj.symmetric)


def assert_equal(graph: Graph, other: Graph) -> None:
    assert graph.fingerprint() == other.fingerprint() and len(graph.splits) == len(other.splits)
    for split, wanted in zip(graph.splits, other.splits, strict=True):
        assert all(torch.equal(getattr(split, part), getattr(wanted, part)) for part in ("train", "val", "test"))
    assert (graph.num_classes, graph.metric, graph.symmetric) == (other.num_classes, other.metric, other.symmetric)


# -- every form gives the same graph -------------------------------------------------------------------------------------------------------


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
    with pytest.raises(UserError, match="has 4 classes and metric roc_auc: expected two classes"):
        load(write(), metric="roc_auc")
    with pytest.raises(UserError, match=r"labels.npy: dataset.metric=micro_f1 does not fit one label per node"):
        load(write(), metric="micro_f1")


@settings(max_examples=15)
@given(st.integers(1, 40), st.integers(0, 1000))
def test_a_table_survives_csv(tmp_path_factory: pytest.TempPathFactory, rows: int, seed: int) -> None:
    path = tmp_path_factory.mktemp("table") / "features.csv"
    values = np.random.default_rng(seed).standard_normal((rows, 3)).astype(np.float32)
    save(path, values)
    np.testing.assert_allclose(table.read_table(path, np.float32).values, values, rtol=1e-6)


# -- wrong data: file, row, reason, remedy -------------------------------------------------------------------------------------------------

EDGES = "\n".join(f"{a},{b}" for a, b in arrays()["edges"].T.tolist()) + "\n"
ZEROS = "0\n" * N


@pytest.mark.parametrize(
    ("stem", "text", "message"),
    [
        ("edges", "source,target\n" + EDGES, r"row 0 \(line 1\): 'source' looks like a header. Delete that line"),
        ("edges", "0,1\n2,x7\n" + EDGES, r"row 1 \(line 2\): 'x7' in column 1 is no number. Expected numbers only"),
        ("edges", "0,1\n\n2,3\n", r"row 1 \(line 2\): nan is no node id. Expected a whole number"),
        ("edges", "0,1\n1.5,2\n", r"row 1 \(line 2\): 1.5 is no node id"),
        ("edges", "0,1\n0,12\n", r"row 1 \(line 2\): it joins nodes 0 and 12 of 12. Expected ids from 0 to 11"),
        ("edges", "0,1\n-1,2\n", r"row 1 \(line 2\): it joins nodes -1 and 2"),
        ("edges", "0,1\n0,1,2\n", r": Expected 2 fields in line 2, saw 3. Expected the same number of cells"),
        ("edges", "0,1,2,3\n", r": it has 4 columns. Expected source, target and possibly weight; attributes belong into edge_attr"),
        ("edges", "0 1\n", r"row 0 \(line 1\): '0 1' .*"),
        ("edges", "0,1,0.5\n1,2,\n", r"row 1 \(line 2\): a weight is empty or nan. Expected a finite number"),
        ("edges", "", ": it is empty. Expected one line per row"),
        (
            "edge_attr",
            "1,2\n" * (E - 1),
            r": there are 29 rows of edge attributes for 30 edges \(row 29 is in only one.*Expected one per edge",
        ),
        ("edge_attr", "1,2\n1,\n" + "1,2\n" * (E - 2), r"row 1 \(line 2\): an edge attribute is empty or nan. Expected a finite number"),
        ("edge_attr", "1,2\n1,red\n" + "1,2\n" * (E - 2), r"row 1 \(line 2\): 'red' in column 1 is no number. Expected numbers only"),
        ("edge_attr", "kind,km\n" + "1,2\n" * E, r"row 0 \(line 1\): 'kind' looks like a header. Delete that line"),
        (
            "features",
            "1,2\n" * (N - 1),
            rf": it has {N - 1} rows where labels.npy has {N} \(row 11 is in only one of them\). Expected one row",
        ),
        ("features", "1,2\n" * (N + 1), rf": it has {N + 1} rows where labels.npy has {N}"),
        ("features", "1,2\n1,a\n" + "1,2\n" * (N - 2), r"row 1 \(line 2\): 'a' in column 1 is no number"),
        ("features", "a,b\n" + "1,2\n" * N, r"row 0 \(line 1\): 'a' looks like a header"),
        ("features", "1,2\n1,\n" + "1,2\n" * (N - 2), r"row 1 \(line 2\): a feature is empty or nan"),
        ("features", "1,2\n1,inf\n" + "1,2\n" * (N - 2), r"row 1 \(line 2\): a feature is empty or inf"),
        ("labels", "0\n-2\n" + "0\n" * (N - 2), r"row 1 \(line 2\): label -2 is out of range. Expected classes from 0 on"),
        ("labels", "0\n-1\n" + "0\n" * (N - 2), r"row 1 \(line 2\): node 1 has label -1 \(unknown\), but is in a split. Label it"),
        ("labels", "0\n0.5\n" + "0\n" * (N - 2), r"row 1 \(line 2\): 0.5 is no class"),
        ("labels", "0\ncat\n" + "0\n" * (N - 2), r"row 1 \(line 2\): 'cat' in column 0 is no number"),
        ("labels", "0,1\n0,2\n" + "0,1\n" * (N - 2), r"row 1 \(line 2\): label 2 is out of range. Expected 0 or 1 in each"),
        ("train_mask", "1\n2\n" + "0\n" * (N - 2), r"row 1 \(line 2\): 2.0 is neither 0 nor 1"),
        ("train_mask", "1\n" * (N - 1), r": it has shape \(11, 1\) for 12 nodes. Expected one row per node; ids belong into split/"),
        ("train_mask", "1\n1\n" + "0\n" * (N - 2), r" and val_mask.npy: node 1 is in both. Expected every node in one part"),
    ],
)
def test_a_wrong_text_file_is_answered_by_file_row_reason_and_remedy(write: Write, stem: str, text: str, message: str) -> None:
    folder = write(**{stem: text})
    with pytest.raises(UserError, match=rf"{folder}/{stem}.csv,? ?{message}"):
        load(folder)


@pytest.mark.parametrize(
    ("replaced", "settings", "message"),
    [
        ({"edges": np.zeros((E, 2), int)}, {}, r"edges.npy: it has shape \(30, 2\) where \[2, E\] was expected. Transpose it"),
        ({"edges": np.array([[0, 1], [1, N]])}, {}, "edges.npy, edge 1: it joins nodes 1 and 12 of 12. Expected ids from 0 to 11"),
        ({"edges": np.array([[0, 1], [1, 0.5]])}, {}, "edges.npy, edge 1: 0.5 is no node id"),
        ({"edge_weight": np.ones(E - 1)}, {}, r"edge_weight.npy: it has shape \(29,\) for 30 edges. Expected one weight per edge"),
        ({"edge_attr": np.full((E, 2), np.nan)}, {}, "edge_attr.npy, row 0: an edge attribute is empty or nan"),
        ({"edge_attr": np.zeros((E, 2, 2))}, {}, r"edge_attr.npy: edge attributes have shape \(30, 2, 2\). Expected \[E, D\]"),
        ({"edge_weight": np.full(E, np.nan)}, {}, "edge_weight.npy, row 0: a weight is empty or nan"),
        ({"features": np.full((N, 2), np.inf, np.float32)}, {}, "features.npy, row 0: a feature is empty or inf"),
        ({"features": np.array([["a"]] * N)}, {}, "features.npy: it holds <U1. Expected numbers"),
        ({"features": np.array([None] * N)}, {}, "features.npy: it is no intact .npy file of numbers"),
        ({"features": np.zeros((N, 2, 2))}, {}, r"features.npy: it has shape \(12, 2, 2\). Expected \[N, F\]"),
        (
            {"labels": np.full(N, 4)},
            {"num_classes": 3},
            "labels.npy, row 0: label 4 is out of range. Expected 0 to 2, or a larger dataset.num_cl",
        ),
        ({"labels": np.zeros((N, 3), int)}, {"num_classes": 4}, "labels.npy: it has 3 columns where dataset.num_classes=4. Correct either"),
        ({"train_mask": np.zeros((N, 2), bool), "val_mask": np.zeros((N, 3), bool)}, {}, "it has 2 masks where another part has 3"),
        ({"train_mask": np.zeros(N, bool)}, {}, "empty training mask in split 0: expected at least one training node"),
        ({"val_mask": None}, {}, "has no split for val: expected val_mask.npy|.csv|.parquet or split/val.npy"),
        ({"labels": None}, {}, "has no labels: expected labels.npy, labels.csv, labels.parquet. It holds edges.npy, features.npy"),
        ({"features": None}, {}, "has no features: expected features.npy, .*features.npz"),
        ({"edges": None, "edge": np.zeros((2, 1))}, {}, r"has no edges: expected edges.npy, .* Rename edge.npy; see docs/own-graph.md"),
        ({"split__train": np.zeros(1, int)}, {}, "has both masks and lists of ids in split/. Remove one of the two"),
    ],
)
def test_wrong_arrays_and_missing_files(write: Write, replaced: dict[str, Any], settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        load(write(**replaced), **settings)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([0, 3, 3], r"split/train.csv, row 2 \(line 3\): node 3 is listed twice, in row 1 as well. Remove one of them"),
        ([0, 12], r"split/train.csv, row 1 \(line 2\): there is no node 12. Expected ids from 0 to 11"),
        ([0, -1], r"split/train.csv, row 1 \(line 2\): there is no node -1"),
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
    with pytest.raises(UserError, match=rf"{folder}/features.npz: it is no matrix of scipy"):
        load(folder)
    path = folder / "labels.npy"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UserError, match=rf"{path}: it is no intact .npy file"):
        load(folder)


def test_unreadable_parquet(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(features=None)
    path = folder / "features.parquet"
    path.write_bytes(b"PAR1 nothing")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(UserError, match=rf"{path}: reading it needs pyarrow. Type pip install 'gas-cli\[parquet\]'"):
        load(folder)
    monkeypatch.undo()
    pytest.importorskip("pyarrow")
    with pytest.raises(UserError, match=rf"{path}: it is no readable parquet file .*Write it again"):
        load(folder)
    pd.DataFrame({"a": np.zeros(N), "b": ["x"] * N}).to_parquet(path)
    with pytest.raises(UserError, match=rf"{path}, row 0: 'x' in column 'b' is no number"):
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
        ({"x": torch.zeros(N, 2).to_sparse()}, "x is a tensor of layout torch.sparse_coo"),
        ({"extra": Evil()}, "it holds more than tensors, and nothing in it is executed"),
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
    with pytest.raises(UserError, match=f"{path}: it (is no intact file|holds more)"):
        load(path)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"type dataset.path=DIR \(docs/own-graph.md"):
        load_graph(FolderConfig())
    with pytest.raises(UserError, match="nowhere is no folder"):
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
    with pytest.raises(UserError, match=r"edge_attr.npy: the entries of edges.npz have no order of rows. Write the edges as .npy"):
        load(folder)


@pytest.mark.parametrize("model", ["gatv2", "transformer", "gcn"])
def test_a_run_with_edge_attributes(write: Write, tmp_path: Path, model: str, caplog: pytest.LogCaptureFixture) -> None:
    """Training, checkpoint and prediction agree on the parameters for the attributes; a model that reads none says so, once."""
    from gas_cli.predict import predict
    from gas_cli.run import run

    caplog.set_level("INFO", "gas_cli")
    folder = write(edge_attr=np.random.default_rng(1).standard_normal((E, 3)).astype(np.float32))
    small = ["partitioner.num_parts=3", "trainer.batch_parts=2", "trainer.epochs=2", "partitioner.cache=''", "device=cpu", "runs=2"]
    small += ["trainer.edge_dropout=0.2"]
    run(compose_config(["dataset=folder", f"dataset.path={folder}", f"model={model}", *small]), tmp_path / "run")
    said = [record.message for record in caplog.records if "does not read" in record.message]
    assert said == (["model=gcn does not read the 3 attribute(s) of each edge."] if model == "gcn" else [])
    for mode in ("exact", "history"):
        predict(tmp_path / "run/runs/01", mode=mode, out=tmp_path / "out.npz")


def test_a_run_on_ones_own_graph_with_several_labels(write: Write, tmp_path: Path) -> None:
    from gas_cli.predict import predict
    from gas_cli.run import run

    folder = write(labels=np.random.default_rng(1).integers(0, 2, (N, 5)))
    small = ["partitioner.num_parts=3", "trainer.batch_parts=1", "trainer.epochs=2", "partitioner.cache=''", "device=cpu"]
    summary = run(compose_config(["dataset=folder", f"dataset.path={folder}", *small]), tmp_path / "run")
    assert summary["status"] == "finished" and summary["metric"] == "micro_f1"
    predict(tmp_path / "run", mode="exact", out=tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as out:
        assert out["probabilities"].shape == (N, 5)
