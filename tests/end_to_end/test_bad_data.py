"""Files of datasets that are missing, damaged or wrong: the message names the file or the entry, and the files stay as they are."""

from __future__ import annotations

import copy
import functools
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gas_cli.config.compose import compose_config
from gas_cli.config.root import Config
from gas_cli.errors import UserError
from gas_cli.run import run
from tests.end_to_end.conftest import Command
from tests.end_to_end.runs import assert_refused, summary
from tests.graph.conftest import FakeOgb, write_table

TRAINING = ("dataset.root=.", "dataset.download=false", "~tuned", "partitioner=random", "partitioner.num_parts=4", "partitioner.cache=null")
SHORT = ("trainer.batch_parts=2", "trainer.epochs=1", "model.hidden_channels=4", "device=cpu", "hydra.run.dir=here")
PHOTO = ("dataset=amazon-photo", *TRAINING, *SHORT)
ARXIV = ("dataset=ogbn-arxiv", *TRAINING, *SHORT)
NPZ = "amazon_electronics_photo.npz"


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    """Eight damaged bytes in the middle."""
    middle = len(content) // 2
    return content[:middle] + bytes(byte ^ 0xFF for byte in content[middle : middle + 8]) + content[middle + 8 :]


def assert_refused_and_kept(gas_train: Command, settings: tuple[str, ...], path: Path, *words: str) -> None:
    bad = path.read_bytes()
    assert_refused(gas_train(*settings), *words)
    assert path.read_bytes() == bad
    assert summary(Path("here"))["status"] == "failed"


@functools.cache
def composed(settings: tuple[str, ...]) -> Config:
    return compose_config(list(settings))


def complaint(settings: tuple[str, ...], root: Path) -> str:
    """The message of a run, without the command line around it, which makes exit code 2 of any such error."""
    config = copy.deepcopy(composed(settings[:-1]))
    config.dataset.root = str(root)
    with pytest.raises(UserError) as caught:
        run(config, root / "here")
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "damage", [cut, flipped, lambda content: b"", lambda content: b"<html>404</html>"], ids=["cut", "flipped", "empty", "page"]
)
def test_a_damaged_npz(damage: Callable[[bytes], bytes], fake_npz: Callable[..., Path], gas_train: Command) -> None:
    path = fake_npz()
    path.write_bytes(damage(path.read_bytes()))
    assert_refused_and_kept(gas_train, PHOTO, path, NPZ, "cannot be used", "download it again")


@pytest.mark.parametrize(
    ("replaced", "words"),
    [
        ({"labels": np.arange(40) % 9}, "has label 8 at node 8: expected labels from 0 to 7"),
        ({"labels": np.arange(40) % 8 - 1}, "has label -1 at node 0"),
        ({"labels": np.arange(39)}, "do not fit together"),
        ({"labels": None}, "labels"),
        ({"labels": np.array([{}] * 40)}, "cannot be used"),
        ({"attr_data": np.nan}, "NaN or infinite feature at node"),
        ({"adj_indices": 40}, "cannot be used"),
        ({"adj_indices": -1}, "cannot be used"),
        ({"adj_indptr": np.zeros(3, np.int32)}, "cannot be used"),
        ({"adj_shape": np.array([40, 41])}, "do not fit together"),
    ],
)
def test_wrong_arrays_in_an_npz(replaced: dict[str, Any], words: str, fake_npz: Callable[..., Path], tmp_path: Path) -> None:
    path = fake_npz()
    with np.load(path) as arrays:
        for name, value in replaced.items():
            if isinstance(value, int | float):  # one wrong entry
                replaced[name] = np.concatenate([[value], arrays[name][1:]]).astype(arrays[name].dtype)
    fake_npz(**replaced)
    assert words in complaint(PHOTO, tmp_path)


def test_a_missing_npz(fake_npz: Callable[..., Path], gas_train: Command) -> None:
    path = fake_npz()
    path.rename(path.with_suffix(".bak"))
    assert_refused(gas_train(*PHOTO), NPZ, str(path.parent), "put the files there")


def table(values: Any) -> bytes:
    rows = np.asarray(values)
    return gzip.compress("\n".join(",".join(str(cell) for cell in np.atleast_1d(row)) for row in rows).encode())


def replaced(values: np.ndarray, index: Any, value: float) -> np.ndarray:
    changed = values.copy()
    changed[index] = value
    return changed


@pytest.mark.parametrize(
    ("file", "damage", "words"),
    [
        ("raw/edge.csv.gz", lambda d, good: cut(good), "edge.csv.gz cannot be used"),
        ("raw/node-feat.csv.gz", lambda d, good: cut(good), "node-feat.csv.gz cannot be used"),
        ("raw/node-label.csv.gz", lambda d, good: flipped(good), "node-label.csv.gz cannot be used"),
        ("raw/edge.csv.gz", lambda d, good: b"1,2\n", "edge.csv.gz cannot be used"),
        ("raw/edge.csv.gz", lambda d, good: table(d.edges[:-1]), "59 rows where raw/num-edge-list.csv.gz announces 60"),
        ("raw/edge.csv.gz", lambda d, good: table(replaced(d.edges, (3, 1), 20)), "Edge 3 joins nodes"),
        ("raw/edge.csv.gz", lambda d, good: table(replaced(d.edges, (0, 0), -1)), "Edge 0 joins nodes -1"),
        ("raw/node-feat.csv.gz", lambda d, good: table(replaced(d.x, (4, 2), np.nan)), "NaN or infinite feature at node 4"),
        ("raw/node-feat.csv.gz", lambda d, good: table(d.x[:-1]), "19 rows"),
        ("raw/node-label.csv.gz", lambda d, good: table(replaced(d.y, (2, 0), 40)), "has label 40 at node 2: expected labels from 0 to 39"),
        ("raw/node-label.csv.gz", lambda d, good: table(d.y + 0.5), "not a whole number"),
        ("split/time/train.csv.gz", lambda d, good: gzip.compress(b""), "train.csv.gz"),
        ("split/time/valid.csv.gz", lambda d, good: table([19, 20]), "node id 20"),
        ("split/time/valid.csv.gz", lambda d, good: table([0, 1]), "node 0 in two masks"),
    ],
)  # fmt: skip
def test_bad_tables(
    file: str, damage: Callable[[FakeOgb, bytes], bytes], words: str, fake_ogb: Callable[..., FakeOgb], tmp_path: Path
) -> None:
    data = fake_ogb("arxiv")
    path = data.folder / file
    path.write_bytes(damage(data, path.read_bytes()))
    assert words in complaint(ARXIV, tmp_path)
    assert path.exists()


def test_a_missing_table(fake_ogb: Callable[..., FakeOgb], gas_train: Command) -> None:
    data = fake_ogb("arxiv")
    (data.folder / "split/time/test.csv.gz").unlink()
    assert_refused(gas_train(*ARXIV), "split/time/test.csv.gz", str(data.folder))


def test_an_empty_training_mask(fake_ogb: Callable[..., FakeOgb], gas_train: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file without rows is damaged to the reader; a source that gives such a mask all the same is stopped by the graph's own check."""
    from gas_cli.graph.sources import ogb

    fake_ogb("arxiv")
    split_from_ids = ogb.split_from_ids
    monkeypatch.setattr(ogb, "split_from_ids", lambda n, train, val, test, source: split_from_ids(n, train[:0], val, test, source))
    assert_refused(gas_train(*ARXIV), "has an empty training mask in split 0")


def test_a_number_of_nodes_that_is_none(fake_ogb: Callable[..., FakeOgb], gas_train: Command) -> None:
    data = fake_ogb("arxiv")
    write_table(data.folder / "raw/num-node-list.csv.gz", [0])
    assert_refused(gas_train(*ARXIV), "num-node-list.csv.gz", "one positive count")


def test_with_the_intact_file_the_same_folder_can_be_used(fake_ogb: Callable[..., FakeOgb], gas_train: Command) -> None:
    path = fake_ogb("arxiv").folder / "raw/node-feat.csv.gz"
    good = path.read_bytes()
    path.write_bytes(cut(good))
    assert_refused_and_kept(gas_train, ARXIV, path, "node-feat.csv.gz cannot be used")
    path.write_bytes(good)
    assert gas_train(*ARXIV).code == 0
    assert summary(Path("here"))["status"] == "finished"
