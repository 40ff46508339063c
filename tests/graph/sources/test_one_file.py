"""One file that holds all: every layout gives the graph of the same arrays, and what does not fit is one message with file and key."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp
import torch

from gas_cli.config.compose import compose_config
from gas_cli.config.dataset import MAX_CLASSES, ColumnsConfig
from gas_cli.errors import UserError
from gas_cli.graph.graph import Graph
from gas_cli.graph.load import load_graph
from tests.graph.sources.binary_forms import PARTS, Plain, one_message, plain_graph
from tests.graph.sources.own_folder import assert_equal, load

Values = dict[str, Any]


def masks(plain: Plain) -> Values:
    return {f"{part}_mask": mask for part, mask in plain.masks.items()}


def arrays(plain: Plain) -> Values:
    weight = {} if plain.weight is None else {"edge_weight": plain.weight.astype(float)}
    return {"edge_index": plain.edges, "x": plain.features, "y": plain.labels, **masks(plain), **weight}


def adjacency(plain: Plain) -> sp.coo_array:
    weight = np.ones(plain.edges.shape[1]) if plain.weight is None else plain.weight.astype(float)
    return sp.coo_array((weight, tuple(plain.edges)), shape=(plain.num_nodes,) * 2)


def compressed(prefix: str, matrix: Any) -> Values:
    return {f"{prefix}{piece}": getattr(matrix, piece) for piece in ("data", "indices", "indptr", "shape")}


def gnnbench(plain: Plain, adj: str = "adj_", attr: str = "attr_") -> Values:
    features = sp.csr_array(plain.features.astype(np.float32))
    return compressed(adj, adjacency(plain).tocsr()) | compressed(attr, features) | {"labels": plain.labels} | masks(plain)


def lists_of_ids(plain: Plain) -> Values:
    ids = {f"{part}_idx": np.flatnonzero(mask) for part, mask in plain.masks.items()}
    kept = {key: value for key, value in arrays(plain).items() if not key.endswith("_mask")}
    return kept | ids


def heterophilous(plain: Plain) -> Values:
    """As Platonov et al. (2023) store their graphs: edges [E, 2], masks [S, N]."""
    weight = {} if plain.weight is None else {"edge_weight": plain.weight}
    several = {f"{part}_masks": mask[None] for part, mask in plain.masks.items()}
    return {"edges": plain.edges.T, "node_features": plain.features, "node_labels": plain.labels, **several, **weight}


def coordinates(plain: Plain) -> Values:
    links = adjacency(plain)
    pieces = {"adj_data": links.data, "adj_row": links.coords[0], "adj_col": links.coords[1], "adj_shape": links.shape}
    return pieces | {"feature": plain.features, "label": plain.labels} | masks(plain)


def columns(plain: Plain) -> Values:
    pieces = compressed("adjacency_", adjacency(plain).tocsc()) | {"adjacency_format": np.array("csc")}
    return pieces | {"features": plain.features, "labels": plain.labels[:, None]} | masks(plain)


LAYOUTS: dict[str, Callable[[Plain], Values]] = {
    "arrays": arrays,
    "gnnbench": gnnbench,
    "gnnbench with points": lambda plain: gnnbench(plain, "adj_matrix.", "attr_matrix."),
    "ids": lists_of_ids,
    "heterophilous": heterophilous,
    "coo": coordinates,
    "csc": columns,
}


def assert_same(graph: Graph, wanted: Graph) -> None:
    """Equal graphs, where features may be stored sparse."""
    dense = graph.x if isinstance(graph.x, torch.Tensor) else graph.x.to_dense()
    assert torch.equal(dense, wanted.x) and torch.equal(graph.y, wanted.y)
    assert torch.equal(graph.adj.to_dense(), wanted.adj.to_dense()) and graph.symmetric == wanted.symmetric
    for part in PARTS:
        assert torch.equal(getattr(graph.splits[0], part), getattr(wanted.splits[0], part))
    assert (graph.num_classes, graph.metric, len(graph.splits)) == (wanted.num_classes, wanted.metric, 1)


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_of_npz_gives_the_graph_of_its_arrays(tmp_path: Path, layout: str, weighted: bool, compress: bool) -> None:
    for seed in range(5):
        plain = plain_graph(seed, weighted, parallel=False)
        (np.savez_compressed if compress else np.savez)(tmp_path / "mine.npz", **LAYOUTS[layout](plain))
        assert_same(load(tmp_path / "mine.npz"), plain.graph())


@pytest.mark.parametrize("form", ["csr", "csc"])
def test_the_shape_tells_csr_from_csc_where_it_is_not_square(tmp_path: Path, form: str) -> None:
    plain = plain_graph(2, weighted=False, parallel=False)
    wide = sp.csr_array(np.hstack([plain.features, plain.features, np.eye(plain.num_nodes)]).astype(np.float32))
    kept = {key: value for key, value in arrays(plain).items() if key != "x"}
    np.savez(tmp_path / "mine.npz", **kept, **compressed("x_", wide.asformat(form)))
    x = load(tmp_path / "mine.npz").x
    assert np.array_equal((x if isinstance(x, torch.Tensor) else x.to_dense()).numpy(), wide.toarray())


def test_a_square_matrix_without_a_format_is_csr_and_the_log_says_how_to_name_another(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plain = plain_graph(0, weighted=False, parallel=False)
    kept = {key: value for key, value in arrays(plain).items() if key != "edge_index"}
    edges = adjacency(plain)
    assert (edges != edges.T).nnz
    csr, csc = compressed("adj_", edges.tocsr()), compressed("adj_", edges.tocsc())
    graphs = {}
    for name, pieces in {"csr": csr, "csc": csc, "named": csc | {"adj_format": np.array("csc")}}.items():
        np.savez(tmp_path / f"{name}.npz", **kept, **pieces)
        with caplog.at_level(logging.INFO, logger="gas_cli"):
            graphs[name] = load(tmp_path / f"{name}.npz")
    assert_same(graphs["csr"], plain.graph())
    assert_same(graphs["named"], plain.graph())
    assert torch.equal(graphs["csc"].adj.to_dense(), plain.graph().adj.to_dense().T)
    said = [message for message in caplog.messages if "does not name its format" in message]
    assert [message.partition(":")[0] for message in said] == [f"{tmp_path}/{name}.npz" for name in ("csr", "csc")]
    assert all("*_format='csc'" in message for message in said)


def test_arrays_give_the_same_graph_from_numpy_and_from_torch(tmp_path: Path) -> None:
    values = arrays(plain_graph(3, weighted=True))
    np.savez(tmp_path / "mine.npz", **values)
    torch.save({key: torch.from_numpy(value) for key, value in values.items()}, tmp_path / "mine.pt")
    assert_equal(load(tmp_path / "mine.npz"), load(tmp_path / "mine.pt"))


def test_other_names_work_in_a_file_of_torch(tmp_path: Path) -> None:
    values = {key: torch.from_numpy(value) for key, value in heterophilous(plain_graph(3, weighted=True)).items()}
    torch.save(values, tmp_path / "mine.pt")
    assert_same(load(tmp_path / "mine.pt"), plain_graph(3, weighted=True).graph())


@pytest.mark.parametrize(("name", "place"), [("amazon-photo", "Amazon/Photo"), ("coauthor-cs", "Coauthor/CS")])
def test_files_of_gnnbench_give_the_graph_of_their_dataset(tmp_path: Path, real_data: Path, name: str, place: str) -> None:
    wanted = load_graph(compose_config([f"dataset={name}", f"dataset.root={real_data}"]).dataset)
    (file,) = (real_data / place / "raw").glob("*.npz")
    assert load(file).splits == ()
    given = {f"{part}_mask": getattr(wanted.splits[0], part).numpy() for part in PARTS}
    np.savez(tmp_path / "mine.npz", **np.load(file), **given)
    graph = load(tmp_path / "mine.npz", undirected=True)
    assert torch.equal(graph.y, wanted.y) and graph.num_classes == wanted.num_classes
    assert torch.equal(graph.adj.rowptr, wanted.adj.rowptr) and torch.equal(graph.adj.col, wanted.adj.col)
    assert (graph.num_features, graph.num_edges) == (wanted.num_features, wanted.num_edges)


# -- .mat ------------------------------------------------------------------------------------------------------------------------------


def matlab(plain: Plain, adj: str = "network", x: str = "attrb", y: str = "group") -> Values:
    onehot = sp.csc_array(np.eye(3)[plain.labels])
    return {adj: adjacency(plain).tocsc(), x: sp.csc_array(plain.features.astype(float)), y: onehot, **masks(plain)}


MATLAB: dict[str, Callable[[Plain], Values]] = {
    "one-hot": matlab,
    "a column from 1": lambda plain: matlab(plain, "Network", "Attributes", "Label") | {"Label": plain.labels[:, None] + 1.0},
    "a row": lambda plain: matlab(plain, "homo", "features", "label") | {"label": plain.labels[None]},
    "dense": lambda plain: matlab(plain, "A", "X", "gnd") | {"A": adjacency(plain).toarray(), "X": plain.features},
    "logical": lambda plain: matlab(plain, "adj", "x", "Class") | {"adj": adjacency(plain).tocsc().astype(bool)},
    "list of edges": lambda plain: {**arrays(plain), "edge_index": np.c_[[[0], [0]], plain.edges]},
}


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("layout", MATLAB)
def test_every_layout_of_matlab_gives_the_graph_of_its_arrays(tmp_path: Path, layout: str, compress: bool) -> None:
    for seed in range(5):
        plain = plain_graph(seed, weighted=False, parallel=False)
        scipy.io.savemat(tmp_path / "mine.mat", MATLAB[layout](plain), do_compression=compress)
        assert_same(load(tmp_path / "mine.mat"), plain.graph())


def test_several_labels_per_node_in_a_sparse_matrix(tmp_path: Path) -> None:
    plain = plain_graph(1, weighted=False, parallel=False)
    labels = np.eye(3)[plain.labels]
    labels[0] = 1
    scipy.io.savemat(tmp_path / "mine.mat", matlab(plain) | {"group": sp.csc_array(labels)})
    graph = load(tmp_path / "mine.mat")
    assert np.array_equal(graph.y.numpy(), labels) and graph.metric == "micro_f1"


# -- names -----------------------------------------------------------------------------------------------------------------------------

NAMES = ["oak", "ash", "elm"]


@pytest.mark.parametrize(
    ("labels", "names", "wanted"),
    [
        ([0, 1, 2], NAMES, ("oak", "ash", "elm")),
        ([1, 2, 3], NAMES, ("oak", "ash", "elm")),
        ([0, 2, 2], NAMES, ("oak", "elm")),
        ([0, 1, 2], NAMES[:2], ()),
        ([0, 1, 2], ["oak", "oak", "elm"], ()),
        ([5, 7, 9], NAMES, ("5", "7", "9")),
    ],
)
@pytest.mark.parametrize("suffix", [".npz", ".mat"])
def test_names_of_classes(tmp_path: Path, suffix: str, labels: list[int], names: list[str], wanted: tuple[str, ...]) -> None:
    plain = plain_graph(1, weighted=False, parallel=False)
    values = arrays(plain) | {"y": np.array(labels)[plain.labels], "edge_index": np.c_[[[0], [0]], plain.edges]}
    if suffix == ".npz":
        np.savez(tmp_path / "mine.npz", **values, class_names=np.array(names))
    else:
        scipy.io.savemat(tmp_path / "mine.mat", values | {"class_names": np.array(names, object)})
    graph = load(tmp_path / f"mine{suffix}")
    assert graph.class_names == wanted and graph.num_classes == len(set(labels))


def test_labels_of_texts(tmp_path: Path) -> None:
    plain = plain_graph(1, weighted=False)
    np.savez(tmp_path / "mine.npz", **{**arrays(plain), "y": np.array(NAMES)[plain.labels]})
    graph = load(tmp_path / "mine.npz")
    assert graph.class_names == ("ash", "elm", "oak")
    assert [graph.class_names[c] for c in graph.y.tolist()] == [NAMES[c] for c in plain.labels]


def test_unknown_names_are_reported_once_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "gas_cli")
    plain = plain_graph(1, weighted=False)
    np.savez(tmp_path / "mine.npz", **arrays(plain), node_names=np.array([None, {}]), metadata=np.ones(3))
    assert_equal(load(tmp_path / "mine.npz"), plain.graph())
    (said,) = [record.getMessage() for record in caplog.records if "left out" in record.getMessage()]
    assert said == f"{tmp_path}/mine.npz: left out: node_names, metadata."


def test_settings_say_what_no_name_says(tmp_path: Path) -> None:
    plain = plain_graph(1, weighted=True)
    values = arrays(plain)
    renamed = {"topic": values.pop("y"), "cost": values.pop("edge_weight"), "features": np.ones((2, 2)), "label": np.ones(3)}
    np.savez(tmp_path / "mine.npz", **values, **renamed)
    graph = load(tmp_path / "mine.npz", columns=ColumnsConfig(label="topic", weight="cost", ignore=["features", "label"]))
    assert_equal(graph, plain.graph())
    with pytest.raises(
        UserError, match=r"mine.npz: it has no 'topics' \(dataset.columns.label\). Expected one of edge_index, x, train_mask"
    ):
        load(tmp_path / "mine.npz", columns=ColumnsConfig(label="topics", ignore=["features"]))


# -- refused ---------------------------------------------------------------------------------------------------------------------------


class Payload:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


REFUSED: dict[str, tuple[Callable[[Plain], Values], str]] = {
    "no labels": (lambda plain: {"y": None}, "it has no array y. Expected edge_index, x, y, train_mask"),
    "no labels, other names": (
        lambda plain: {"y": None, "topic": plain.labels},
        "It holds edge_index, x, train_mask, val_mask, test_mask, topic",
    ),
    "names for labels": (lambda plain: {"y": None}, "y may be called label, labels, y, class, target"),
    "no split": (lambda plain: {"val_mask": None}, "it has no array val_mask. Expected"),
    "two features": (
        lambda plain: {"feature": plain.features},
        "x and feature may each be x. Leave one out: dataset.columns.ignore=[feature]",
    ),
    "two labels": (
        lambda plain: {"label": plain.labels},
        "y and label may each be y. Type dataset.columns.label=y, or leave one out: dataset.columns.ignore=[label]",
    ),
    "two kinds of edges": (
        lambda plain: compressed("adj_", adjacency(plain).tocsr()),
        "edge_index and adj_* may each be edge_index. Leave one out: dataset.columns.ignore=[adj_*]",
    ),
    "mask and ids": (lambda plain: {"train_idx": np.arange(2)}, "train_mask and train_idx may each be train_mask"),
    "objects": (
        lambda plain: {"x": np.array([{}] * plain.num_nodes)},
        "x is not an intact array (it holds Python objects; pickled files are not read). Write it again with numpy.savez: numbers as "
        "array.astype(float), texts as array.astype(str), a scipy matrix m as x_data=m.data, x_indices=m.indices",
    ),
    "rows": (lambda plain: {"x": plain.features[1:]}, "labels. Expected [N, F]: one row per node"),
    "edges": (lambda plain: {"edge_index": plain.edges.T[:0]}, "edge_index has shape (0, 2). Expected [2, E]"),
    "mask": (lambda plain: {"val_mask": np.array([1, 3])}, "Expected true or false per node. A list of node ids is called val_idx"),
    "ids": (lambda plain: {"val_mask": None, "val_idx": np.array([1, 1])}, "val_idx, row 1: node 1 is also listed in row 0"),
    "weights of a matrix": (
        lambda plain: {"edge_index": None, "A": adjacency(plain).toarray(), "edge_weight": plain.edges[0]},
        "A is a matrix and does not keep the order of edges, so edge_weight has no meaning",
    ),
    "not square": (lambda plain: {"edge_index": None, "A": np.ones((3, 2))}, "A joins 3 by 2 nodes where there are"),
    "pieces missing": (
        lambda plain: {"edge_index": None, "adj_data": np.ones(3), "adj_indptr": np.arange(3), "adj_shape": np.array([2, 2])},
        "adj_* is not an intact scipy matrix (an array is missing: indices). "
        "Write adj_data, adj_indices, adj_indptr, adj_shape, adj_format",
    ),
    "columns out of range": (
        lambda plain: {"edge_index": None, **compressed("adj_", adjacency(plain).tocsr()), "adj_indices": plain.edges[0] + 99},
        "adj_* is not an intact scipy matrix (",
    ),
    "complex": (lambda plain: {"x": plain.features * 1j}, "x is of type complex128 and shape"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused_names_file_key_and_remedy(tmp_path: Path, kind: str) -> None:
    change, wanted = REFUSED[kind]
    plain = plain_graph(1, weighted=False, parallel=False)
    values = arrays(plain) | change(plain)
    np.savez(tmp_path / "mine.npz", **{key: value for key, value in values.items() if value is not None})
    assert wanted in (message := one_message(tmp_path / "mine.npz")) and f"{tmp_path}/mine.npz" in message


REFUSED_MATLAB: dict[str, tuple[Callable[[Plain], Values], str]] = {
    "ids from 1": (
        lambda plain: {"network": None, "edges": np.array([[1, 2], [2, 3]])},
        "edges has no node 0, so its ids may begin at 0 or at 1. Subtract 1 if they begin at 1, as in MATLAB",
    ),
    "list of nodes": (
        lambda plain: {"train_mask": None, "train_idx": np.arange(3)},
        "train_idx holds ids, which may begin at 0 or at 1 in a .mat file. Store a mask of 0 and 1 as train_mask",
    ),
    "struct": (lambda plain: {"attrb": {"a": 1}}, "attrb is of type [('a', 'O')] and shape (1, 1). Expected an array of numbers"),
    "cells": (lambda plain: {"attrb": np.array([1, "b"], object)}, "attrb is of type object"),
    "no labels": (lambda plain: {"group": None}, "it has no array y. Expected"),
    "many columns": (
        lambda plain: {"group": sp.csc_array((plain.num_nodes, MAX_CLASSES + 1))},
        f"group has {MAX_CLASSES + 1:,} columns. Expected a column per class, up to {MAX_CLASSES:,}",
    ),
    "complex": (
        lambda plain: {"attrb": sp.csc_array(plain.features * 1j)},
        "attrb is not an intact sparse matrix (its entries are complex128",
    ),
}


@pytest.mark.parametrize("kind", REFUSED_MATLAB)
def test_what_is_refused_of_matlab_names_file_key_and_remedy(tmp_path: Path, kind: str) -> None:
    change, wanted = REFUSED_MATLAB[kind]
    plain = plain_graph(1, weighted=False, parallel=False)
    values = matlab(plain) | change(plain)
    scipy.io.savemat(tmp_path / "mine.mat", {key: value for key, value in values.items() if value is not None})
    assert wanted in (message := one_message(tmp_path / "mine.mat")) and f"{tmp_path}/mine.mat" in message


@pytest.mark.parametrize("start", [b"MATLAB 7.3 MAT-file, Platform: GLNXA64" + bytes(500), b"\x89HDF\r\n\x1a\n" + bytes(500)])
def test_matlab_files_of_version_7_3_are_refused_by_name(tmp_path: Path, start: bytes) -> None:
    (tmp_path / "mine.mat").write_bytes(start)
    message = one_message(tmp_path / "mine.mat")
    assert (
        f"{tmp_path}/mine.mat: it is a MATLAB file of version 7.3 (HDF5), which is not read." in message and "scipy.io.savemat" in message
    )


@pytest.mark.parametrize("suffix", [".npz", ".mat"])
@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04", bytes(5000), b"\x80\x04N."])
def test_other_content_is_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"mine{suffix}"
    path.write_bytes(content)
    assert f"{path}: it is not an intact {suffix} file (" in one_message(path) or suffix == ".mat"


def test_pickles_are_not_run_and_names_of_classes_do_without(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "gas_cli")
    plain, path = plain_graph(1, weighted=False), tmp_path / "mine.npz"
    np.savez(path, **arrays(plain), idx_to_class=np.array(Payload(tmp_path / "owned"), object))
    assert_equal(load(path), plain.graph())
    assert "Without names of classes: " in caplog.text and "idx_to_class is not an intact array (it holds Python objects" in caplog.text
    assert not (tmp_path / "owned").exists()
