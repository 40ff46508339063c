"""Every binary form and number type gives the same graph; numbers that a type cannot hold are said."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gas_cli.graph.graph import Graph
from tests.graph.sources.binary_forms import (
    IDS,
    MASKS,
    MATRICES,
    NUMBERS,
    SAVED,
    TENSOR_IDS,
    TENSOR_MASKS,
    TENSOR_NUMBERS,
    one_message,
    plain_graph,
    small_folder,
    tensors,
    two_edges,
    write_arrays,
    write_matrices,
    write_saved,
)
from tests.graph.sources.own_folder import assert_equal, load

SEEDS = st.integers(0, 10_000)
FEW = settings(max_examples=60, derandomize=True, deadline=None)


def dense_features(graph: Graph) -> torch.Tensor:
    return graph.x if isinstance(graph.x, torch.Tensor) else graph.x.to_dense()


@FEW
@given(SEEDS, st.booleans(), st.sampled_from(IDS), st.sampled_from(NUMBERS), st.sampled_from(MASKS), st.booleans())
def test_arrays_of_every_type_give_the_same_graph(
    tmp_path_factory: pytest.TempPathFactory, seed: int, weighted: bool, ids: str, numbers: str, masks: str, fortran: bool
) -> None:
    plain = plain_graph(seed, weighted)
    folder = write_arrays(tmp_path_factory.mktemp("arrays"), plain, ids, numbers, masks, fortran)
    with warnings.catch_warnings(action="error"):
        assert_equal(load(folder), plain.graph())


@FEW
@given(SEEDS, st.booleans(), st.sampled_from(MATRICES), st.sampled_from(NUMBERS), st.booleans())
def test_matrices_of_every_format_give_the_same_graph(
    tmp_path_factory: pytest.TempPathFactory, seed: int, weighted: bool, form: str, numbers: str, compressed: bool
) -> None:
    plain = plain_graph(seed, weighted, parallel=False)
    folder = write_matrices(tmp_path_factory.mktemp("matrices"), plain, form, numbers, compressed)
    graph, expected = load(folder), plain.graph()
    assert torch.equal(graph.adj.to_dense(), expected.adj.to_dense())
    assert torch.equal(dense_features(graph), dense_features(expected)) and torch.equal(graph.y, expected.y)


@FEW
@given(
    SEEDS,
    st.booleans(),
    st.sampled_from(list(SAVED)),
    st.sampled_from(TENSOR_IDS),
    st.sampled_from(TENSOR_NUMBERS),
    st.sampled_from(TENSOR_MASKS),
)
def test_saved_graphs_of_every_type_give_the_same_graph(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    weighted: bool,
    form: str,
    ids: torch.dtype,
    numbers: torch.dtype,
    masks: torch.dtype,
) -> None:
    plain = plain_graph(seed, weighted)
    path = write_saved(tmp_path_factory.mktemp("saved") / "mine.pt", tensors(plain, ids, numbers, masks), form)
    assert_equal(load(path), plain.graph())


@pytest.mark.parametrize("form", ["csr", "csc", "coo"])
def test_repeated_entries_add_up_and_stored_zeros_are_no_edges(tmp_path: Path, form: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "gas_cli")
    plain = plain_graph(0, weighted=False)
    folder, n = write_matrices(tmp_path, plain, "csr", "<f4", True), plain.num_nodes
    rows, columns, data = np.array([3, 0, 0, 5, 3]), np.array([1, 2, 4, 0, 1]), np.array([2.0, 1, 0, 4, 1])
    order = np.lexsort((rows, columns)) if form == "csc" else np.argsort(rows, kind="stable")
    count = np.bincount(columns if form == "csc" else rows, minlength=n)
    pointers = np.concatenate([[0], np.cumsum(count)])
    inner = (rows if form == "csc" else columns)[order]
    given: dict[str, Any] = {"format": form.encode(), "shape": (n, n), "data": data[order], "indices": inner, "indptr": pointers}
    given = {"format": b"coo", "shape": (n, n), "data": data, "row": rows, "col": columns} if form == "coo" else given
    np.savez(folder / "edges.npz", **given)
    expected = np.zeros((n, n), np.float32)
    np.add.at(expected, (columns, rows), data)
    graph = load(folder)
    assert np.array_equal(graph.adj.to_dense().numpy(), expected) and graph.num_edges == 3
    said = [record.getMessage().partition(": ")[2] for record in caplog.records]
    assert said == [
        f"a scipy matrix in {form.upper()} format; rows are sources, columns are targets.",
        "1 entries repeat others; their values were added, as scipy does.",
        "ignored 1 stored zero(s), which are not edges.",
    ]


LARGE = 2**24
OFFSETS = np.array([-3, 1, 2, 3, 4, 100])


def rounded_features(folder: Path, kind: str) -> Path:
    """Features around 2^24, of which float32 rounds -2^24 - 3 and those 1 and 3 beyond it."""
    values = np.where(OFFSETS < 0, -LARGE, LARGE)[:, None] + OFFSETS[:, None]
    small_folder(folder)
    (folder / "features.npy").unlink()
    if kind == "csv":
        (folder / "features.csv").write_text("".join(f"{value}\n" for value in values.ravel().tolist()))
    elif kind == "npz":
        sp.save_npz(folder / "features.npz", sp.csr_array(values))
    elif kind == "pt":
        values_by_key = tensors(two_edges(), torch.int64, torch.float32, torch.bool)
        torch.save({**values_by_key, "x": torch.from_numpy(values)}, folder / "mine.pt")
        return folder / "mine.pt"
    else:
        np.save(folder / "features.npy", values.astype(kind))
    return folder


@pytest.mark.parametrize("kind", ["<i8", ">i4", "<f8", "longdouble", "csv", "npz", "pt"])
def test_whole_numbers_that_float32_rounds_are_said_in_one_line(tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """Of text, which is read as float32, all from 2^24 on count."""
    load(rounded_features(tmp_path / "mine", kind))
    (said,) = [record.getMessage() for record in caplog.records if "rounds" in record.getMessage()]
    assert f". It rounds {6 if kind == 'csv' else 3} of them here; the first is the " in said and " 0. Subtract" in said


@pytest.mark.parametrize("kind", ["<f4", "<f8"])
def test_numbers_that_float32_holds_are_not_said_to_be_rounded(tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    folder = small_folder(tmp_path / "mine")
    np.save(folder / "features.npy", np.array([0.1, LARGE, -LARGE, 2.0**100, LARGE + 2, 3.5])[:, None].astype(kind))
    load(folder)
    assert "rounds" not in caplog.text


def test_labels_beyond_63_bits_are_no_unknown_labels(tmp_path: Path) -> None:
    folder = small_folder(tmp_path / "mine")
    np.save(folder / "labels.npy", np.array([0, 1, 2, 0, 2**64 - 1, 1], np.uint64))
    assert "labels.npy, row 4: label 18446744073709551615 is out of range" in one_message(folder)
