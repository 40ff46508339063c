"""A command that a message suggests works when it is typed: the folder then loads as it was meant."""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp

from gas_cli.errors import UserError
from gas_cli.graph.graph import Graph
from tests.graph.sources.own_folder import C, E, F, N, Write, arrays, assert_equal, expected, load

IDS = {f"split__{part}": np.arange(number, N, 3) for number, part in enumerate(("train", "val", "test"))}
NO_MASKS = dict.fromkeys(("train_mask", "val_mask", "test_mask"))


def load_after_typing(folder: Path, commands: int) -> Graph:
    """The graph, once so many messages were obeyed."""
    for _ in range(commands):
        with pytest.raises(UserError, match=" Type: ") as caught:
            load(folder)
        assert "\n" not in str(caught.value)
        command = re.sub(r"^python ", f"{sys.executable} ", str(caught.value).partition(" Type: ")[2])
        subprocess.run(["bash", "-c", command], check=True)
    return load(folder)


def rewrite(path: Path, change: object, suffix: str = ".csv") -> None:
    text = change(path.read_text())  # type: ignore[operator]
    path.unlink()
    path.with_suffix(suffix).write_text(text)


@pytest.mark.parametrize("packed", [False, True])
def test_matrix_market(write: Write, packed: bool) -> None:
    folder, given = write(edges=None, labels=None), arrays()
    ones = sp.coo_array((np.ones(E), tuple(given["edges"])), shape=(N, N)).astype(bool).tocoo()
    scipy.io.mmwrite(folder / "edges.mtx", ones.astype(float))
    scipy.io.mmwrite(folder / "labels.mtx", given["labels"][:, None])
    if packed:
        (folder / "edges.mtx.gz").write_bytes(gzip.compress((folder / "edges.mtx").read_bytes()))
        (folder / "edges.mtx").unlink()
    assert_equal(load_after_typing(folder, 3 if packed else 2), expected())


@pytest.mark.parametrize("suffix", [".txt", ".csv"])
def test_spaces(write: Write, suffix: str) -> None:
    folder = write(".csv")
    rewrite(folder / "edges.csv", lambda text: text.replace(",", " "), suffix)
    assert_equal(load_after_typing(folder, 1), expected())


def test_names_of_nodes(write: Write) -> None:
    folder = write(".csv")
    rewrite(folder / "edges.csv", lambda text: re.sub(r"(\d+)", r"user_\1", text))
    assert_equal(load_after_typing(folder, 1), expected())


def one_based() -> np.ndarray:
    edges = arrays()["edges"]
    assert edges.min() == 0 and edges.max() == N - 1
    return edges + 1


@pytest.mark.parametrize("suffix", [".csv", ".npy"])
def test_ids_from_1(write: Write, suffix: str) -> None:
    lists = {stem: ids + 1 for stem, ids in IDS.items()}
    folder = write(suffix, edges=one_based(), **NO_MASKS, **lists)
    with pytest.raises(UserError, match="begin at 1, so subtract 1 from the ids in every file"):
        load_after_typing(folder, 1)
    for part in ("train", "val"):  # whose ids are all below N + 1, so no message can tell
        path = folder / "split" / f"{part}{suffix}"
        ids = np.load(path) if suffix == ".npy" else np.loadtxt(path)
        np.save(path, ids - 1) if suffix == ".npy" else np.savetxt(path, ids - 1, fmt="%d")
    assert_equal(load_after_typing(folder, 1), expected())


def test_ids_from_1_below_a_header(write: Write) -> None:
    folder = write(".csv", edges=None)
    lines = "".join(f"{edge},{source},{target}\r\n" for edge, (source, target) in enumerate(one_based().T.tolist()))
    (folder / "edges.csv").write_bytes(f",source,target\r\n{lines}".encode())
    assert_equal(load_after_typing(folder, 1), expected())


@pytest.mark.parametrize(("separator", "suffix"), [(";", ".csv"), ("|", ".txt"), ("\t", ".tsv")])
def test_ids_from_1_with_other_separators(write: Write, separator: str, suffix: str) -> None:
    folder = write(edges=None)
    lines = (f"{source}{separator}{target}\n" for source, target in one_based().T.tolist())
    (folder / f"edges{suffix}").write_text("".join(lines))
    assert_equal(load_after_typing(folder, 1), expected())


@pytest.mark.parametrize("suffix", [".csv", ".npy"])
def test_masks_of_ids(write: Write, suffix: str) -> None:
    lists = {f"{part}_mask": np.arange(number, N, 3) for number, part in enumerate(("train", "val", "test"))}
    assert_equal(load_after_typing(write(suffix, **lists), 1), expected())


def test_optional_tables_in_another_form_are_not_passed_over(write: Write) -> None:
    folder = write()
    (folder / "edge_weight.dat").write_text("1\n")
    with pytest.raises(UserError, match=r"edge_weight.dat: this file format is not supported. Expected edge_weight.npy"):
        load(folder)


@pytest.mark.parametrize("answer", ["true", "false"])
def test_the_setting_that_a_lookalike_asks_for_answers(write: Write, answer: str) -> None:
    """Row numbers before edges, or a weight after them: both are possible where there are fewer edges than nodes."""
    rows = np.array([[row, (row * 5 + 2) % N, (row * 7 + 3) % N] for row in range(8)])
    folder = write(edges="\n".join(",".join(map(str, row)) for row in rows.tolist()) + "\n")
    (folder / "edges.npy").unlink(missing_ok=True)
    with pytest.raises(UserError, match=r"its first column may be an index or data.* Type dataset.index=true if it is an index"):
        load(folder)
    wanted = rows[:, 1:].T if answer == "true" else rows[:, :2].T
    weights = {} if answer == "true" else {"edge_weight": rows[:, 2]}
    graph = load(folder, index=answer)
    (folder / "edges.csv").unlink()
    assert_equal(graph, load(write(edges=wanted, **weights)))
    assert graph.num_features == F and graph.num_classes == C
