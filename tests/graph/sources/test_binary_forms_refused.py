"""Binary files that cannot be read, or were damaged, give one message."""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp
import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch_geometric.data import Data, HeteroData

from gas_cli.errors import UserError
from tests.graph.sources.binary_forms import (
    one_message,
    plain_graph,
    small_folder,
    tensors,
    write_arrays,
    write_matrices,
    write_saved,
)
from tests.graph.sources.own_folder import load

SEEDS = st.integers(0, 10_000)
FEW = settings(max_examples=60, derandomize=True, deadline=None)


HUGE = np.array([[0, 2**70], [1, 1]], object)
REFUSED_ARRAYS: dict[str, tuple[str, Any, str]] = {
    "objects": ("features", np.array([[1, None]] * 6, object), "holds Python objects; pickled files are not read.*numpy.save"),
    "beyond 64 bits": ("edges", HUGE, "holds Python objects"),
    "beyond int64": ("edges", np.array([[0, 2**64 - 1], [1, 1]], np.uint64), "joins nodes 18446744073709551615 and 1 of 6"),
    "fields": ("features", np.zeros(6, [("a", "f4"), ("b", "i4")]), "a structured array with the fields a, b"),
    "complex": ("features", np.zeros((6, 2), complex), "it holds complex128"),
    "text": ("labels", np.array(["a"] * 6), "it holds <U1"),
    "dates": ("features", np.zeros((6, 1), "M8[s]"), r"it holds datetime64\[s\]"),
    "no dimension": ("labels", np.float32(3), "it is the single number 3.0"),
    "no rows": ("labels", np.zeros(0, int), "it has no rows"),
    "no columns": ("features", np.zeros((6, 0), np.float32), "has no features"),
    "three dimensions": ("features", np.zeros((6, 2, 2)), "it has shape"),
    "edges of three": ("edges", np.zeros((9, 3), int), "Row 0 holds sources, row 1 holds targets"),
    "adjacency": ("edges", np.zeros((6, 6), int), "If it is an adjacency matrix: scipy.sparse.save_npz"),
    "ids as truth": ("edges", np.zeros((2, 4), bool), "it holds true and false where node ids were expected"),
    "rounded ids": ("edges", np.array([[0, 2**24], [1, 2]], np.float32), "16777216 is too large for a node id in float32"),
    "ids beyond float": ("edges", np.array([[0, 1e300], [1, 2]]), "is too large for a node id in float64"),
    "infinite ids": ("edges", np.array([[0, np.inf], [1, 2]]), "node id inf is not an integer"),
    "large weight": ("edge_weight", np.array([1.0, 1e300]), "row 1: the weight 1e[+]300 is beyond float32"),
    "large feature": ("features", np.full((6, 1), -1e300), "row 0: the feature -1e[+]300 is beyond float32"),
    "weight nan": ("edge_weight", np.array([1.0, np.nan], np.float16), "row 1: a weight is empty or nan"),
    "weight inf": ("edge_weight", np.array([np.inf, 1.0], ">f4"), "row 0: a weight is empty or inf"),
}


@pytest.mark.parametrize("kind", REFUSED_ARRAYS)
def test_arrays_that_are_refused_name_file_reason_and_remedy(tmp_path: Path, kind: str) -> None:
    stem, values, expected = REFUSED_ARRAYS[kind]
    folder = small_folder(tmp_path / "mine")
    np.save(folder / f"{stem}.npy", values, allow_pickle=True)
    message = one_message(folder)
    assert re.search(expected, message), message
    assert kind == "no columns" or f"{folder}/{stem}.npy" in message


DAMAGED: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda content: b"", "it is empty"),
    "magic": (lambda content: b"\x93NUMPX" + content[6:], "does not begin as an .npy file does"),
    "pickle": (lambda content: b"\x80\x04N.", "it is a pickle; pickled files are not read"),
    "zip": (lambda content: b"PK\x03\x04" + content, "it is a zip archive"),
    "gzip": (lambda content: b"\x1f\x8b" + content, "it is compressed with gzip"),
    "header cut": (lambda content: content[:40], "its header is damaged"),
    "length too large": (lambda content: content[:8] + b"\xff\xff" + content[10:], "its header is damaged"),
    "length too small": (lambda content: content[:8] + b"\x10\x00" + content[10:], "its header is damaged"),
    "no dictionary": (lambda content: content.replace(b"{'descr'", b"['descr'"), "its header is damaged"),
    "no such type": (lambda content: content.replace(b"'<f4'", b"'<q9'"), "its header is damaged"),
    "odd type": (lambda content: content.replace(b"'<f4'", b"'f,('"), "its header is damaged"),
    "negative": (lambda content: content.replace(b"(6, 6)", b"(6,-6)"), "its header is damaged"),
    "larger": (lambda content: content.replace(b"(6, 6)", b"(9, 9)"), "180 of its 324 bytes are missing"),
    "smaller": (lambda content: content.replace(b"(6, 6)", b"(6, 5)"), "24 bytes follow its end"),
    "enormous": (lambda content: content.replace(b"(6, 6), }      ", b"(6, 99999999),}"), "bytes are missing"),
    "truncated": (lambda content: content[:-3], "3 of its 144 bytes are missing"),
    "two arrays": (lambda content: content + content, "bytes follow its end"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_arrays_are_refused(tmp_path: Path, kind: str) -> None:
    change, expected = DAMAGED[kind]
    folder = small_folder(tmp_path / "mine")
    path = folder / "features.npy"
    path.write_bytes(change(path.read_bytes()))
    message = one_message(folder)
    assert f"{path}: it is not an intact .npy file of numbers (" in message and expected in message


REFUSED_MATRICES: dict[str, tuple[dict[str, Any], str]] = {
    "no format": ({"format": None}, "does not name its scipy format"),
    "other format": ({"format": b"lil"}, "its format is 'lil', expected csr, csc, coo, bsr or dia"),
    "no data": ({"data": None}, "an array is missing"),
    "complex": ({"data": np.ones(2, complex)}, "its entries are complex128, expected numbers"),
    "objects": ({"data": np.array([1, None], object)}, "holds Python objects; pickled files are not read"),
    "column": ({"indices": np.array([1, 6])}, "scipy"),
    "negative": ({"indices": np.array([1, -2])}, "scipy"),
    "fraction": ({"indices": np.array([1.0, 2.5])}, "its indices are float64"),
    "beyond": ({"indices": np.array([1, 2**63], np.uint64)}, "its indices have 9223372036854775808"),
    "pointers": ({"indptr": np.array([0, 2, 1, 2, 2, 2, 2])}, "scipy"),
    "few pointers": ({"indptr": np.array([0, 2])}, "scipy"),
    "shape": ({"shape": (6, 6, 6)}, r"its shape is (6, 6, 6)"),
    "enormous": (
        {"format": b"coo", "row": np.array([0, 1]), "col": np.array([1, 2]), "shape": (2**31 - 1,) * 2},
        "where there are 6 labels",
    ),
    "coordinates": ({"format": b"coo", "row": np.array([0, 7]), "col": np.array([1, 2])}, "entry 1 is in row 7 of 6"),
    "diagonals": ({"format": b"dia", "data": np.ones((2, 6)), "offsets": np.array([0, 0])}, "an offset is repeated"),
    "nan": ({"data": np.array([1.0, np.nan])}, "a weight is empty or nan"),
    "large": ({"data": np.array([1.0, 1e300])}, "a weight is empty or inf"),
}


@pytest.mark.parametrize("kind", REFUSED_MATRICES)
def test_matrices_that_are_refused(tmp_path: Path, kind: str) -> None:
    changed, expected = REFUSED_MATRICES[kind]
    folder = small_folder(tmp_path / "mine")
    (folder / "edges.npy").unlink()
    (folder / "edge_weight.npy").unlink()
    good = sp.csr_array((np.array([2.0, 3.0]), ([0, 1], [1, 2])), shape=(6, 6))
    stored = {"format": b"csr", "data": good.data, "indices": good.indices, "indptr": good.indptr, "shape": good.shape, **changed}
    np.savez(folder / "edges.npz", **{key: value for key, value in stored.items() if value is not None})
    assert expected in (message := one_message(folder)) and f"{folder}/edges.npz" in message


def _hetero(values: dict[str, torch.Tensor]) -> HeteroData:
    data = HeteroData()
    data["paper"].x, data["paper"].y = values["x"], values["y"]
    data["paper", "cites", "paper"].edge_index = values["edge_index"]
    return data


REFUSED_SAVED: dict[str, tuple[Callable[[dict[str, torch.Tensor]], Any], str]] = {
    "hetero": (_hetero, "it is a HeteroData, which has several types of nodes and edges. Type dataset.types=onehot"),
    "tuple": (lambda values: (values, None), "it holds a tuple. Expected"),
    "state": (lambda values: torch.nn.Linear(2, 2).state_dict(), "it has no tensor edge_index, x, y. Expected edge_index, x, y: set"),
    "module": (lambda values: {**values, "net": torch.nn.Linear(2, 2)}, "net is of torch.nn.modules.linear.Linear. Delete it before"),
    "path": (
        lambda values: Data.from_dict({**values, "root": Path("a")}),
        "root is of pathlib.PosixPath. Delete it before torch.save (del data['root'])",
    ),
    "ids": (lambda values: {**values, "val_mask": torch.tensor([1, 3])}, "val_mask has shape (2,) for"),
    "list": (lambda values: {**values, "y": values["y"].tolist()}, "y is a list. Expected a tensor: data.y = torch.as_tensor(data.y)"),
    "sparse": (lambda values: {**values, "x": values["x"].float().to_sparse()}, "data.x = data.x.to_dense()"),
    "complex": (lambda values: {**values, "x": values["x"] * 1j}, "x is of type torch.complex64"),
    "expanded": (lambda values: {**values, "x": torch.ones(1, 1).expand(len(values["y"]), 1 << 40)}, "Save data.x.contiguous() instead"),
    "no dimension": (lambda values: {**values, "y": torch.tensor(3)}, "y is of type torch.int64 and shape ()"),
    "weights": (lambda values: {**values, "edge_weight": torch.ones(1, 2)}, "edge_weight has shape (1, 2)"),
    "nan weight": (
        lambda values: {**values, "edge_weight": torch.full_like(values["edge_index"][0].float(), torch.nan)},
        "a weight is empty or nan",
    ),
}


@pytest.mark.parametrize("kind", REFUSED_SAVED)
def test_saved_objects_that_are_refused_name_key_and_remedy(tmp_path: Path, kind: str) -> None:
    make, expected = REFUSED_SAVED[kind]
    path = tmp_path / "mine.pt"
    torch.save(make(tensors(plain_graph(1, False), torch.int64, torch.float32, torch.bool)), path)
    assert expected in (message := one_message(path)) and str(path) in message


def test_code_in_a_saved_graph_is_not_run(tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> Any:
            return os.system, (f"touch {tmp_path / 'owned'}",)

    path = tmp_path / "mine.pt"
    torch.save({**tensors(plain_graph(1, False), torch.int64, torch.float32, torch.bool), "more": Payload()}, path)
    assert "more is of posix.system" in one_message(path)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04", b"\x80\x02.", b"\x80\x04N.", bytes(5000)])
def test_what_torch_did_not_save_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mine.pt"
    path.write_bytes(content)
    assert "it is not an intact file of torch.save" in (message := one_message(path)) or "it holds" in message


def damaged_copies(content: bytes, seed: int, count: int) -> list[bytes]:
    """Bits flipped, bytes replaced by zeros or others, ends cut off, pieces doubled or left out."""
    rng, copies = np.random.default_rng(seed), []
    for number in range(count):
        changed, at = bytearray(content), int(rng.integers(0, len(content)))
        length = int(rng.integers(1, 33))
        if number % 5 == 0:
            changed[at] ^= 1 << int(rng.integers(0, 8))
        elif number % 5 == 1:
            changed[at : at + length] = rng.integers(0, 256, length, np.uint8).tobytes()
        elif number % 5 == 2:
            changed[at : at + length] = bytes(length)
        elif number % 5 == 3:
            del changed[at:]
        else:
            changed[at:at] = changed[at : at + length] if number % 2 else b""
            del changed[at : at + length // 2]
        copies.append(bytes(changed))
    return copies


@pytest.mark.parametrize(
    ("name", "checked"),
    [
        ("features.npy", False),
        ("edges.npy", False),
        ("edge_weight.npy", False),
        ("edges.npz", True),
        ("data.pt", True),
        ("old.pt", False),
        ("data.npz", True),
        ("data.mat", True),
        ("plain.mat", False),
    ],
)
def test_damaged_bytes_end_as_the_same_graph_or_one_message(tmp_path: Path, name: str, checked: bool) -> None:
    """Contents with a checksum cannot change unseen; others may hold other numbers, which no reader can know."""
    plain = plain_graph(5, weighted=True, parallel=False)
    if name.endswith(".pt"):
        values = tensors(plain, torch.int64, torch.float32, torch.bool)
        target = source = write_saved(tmp_path / name, values, "data" if checked else "legacy")
    elif name.endswith(".mat"):
        target = source = tmp_path / name
        values = {key: value.numpy() for key, value in tensors(plain, torch.int64, torch.float32, torch.bool).items()}
        scipy.io.savemat(source, values, do_compression=checked)
    elif name == "data.npz":
        target = source = tmp_path / name
        np.savez_compressed(source, **tensors(plain, torch.int64, torch.float32, torch.bool))
    else:
        write = write_matrices if name.endswith("npz") else write_arrays
        arguments: Any = ("csc", "<f4", True) if name.endswith("npz") else ("<i4", "<f4", "?", False)
        source = write(tmp_path / "mine", plain, *arguments)
        target = source / name
    intact, content = load(source).fingerprint(), target.read_bytes()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for copy in damaged_copies(content, 7, 120):
        target.write_bytes(copy)
        try:
            graph = load(source)
        except UserError as error:
            assert "\n" not in str(error)
        else:
            assert not checked or graph.fingerprint() == intact
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 << 10, "KiB that a damaged file made the reader ask for"
