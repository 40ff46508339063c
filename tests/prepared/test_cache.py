"""Whatever happens to the cache, a run has the graph: damaged, read-only, full, killed in the middle, wanted by two at once."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from gas_cli.config.dataset import DatasetConfig, FolderConfig
from gas_cli.graph import load
from gas_cli.graph.sources.written import written
from gas_cli.prepared import cache as cache_module
from gas_cli.prepared import entry
from gas_cli.prepared.cache import Cache, cache_folder
from gas_cli.prepared.entry import Entry, read_entry, write_entry
from tests.prepared.test_prepare import MAKING, assert_same

if TYPE_CHECKING:
    from tests.prepared.conftest import Mine

ARRAYS = {
    "ids": torch.arange(7),
    "mask": torch.tensor([True, False]),
    "x": torch.rand(3, 2),
    "none": torch.empty(0, 4),
    "one": torch.tensor(2.5),
    "turned": torch.arange(6).view(2, 3).T,
}


def test_entries_come_back_exactly(tmp_path: Path) -> None:
    facts = {"name": "β", "quality": 0.1 + 0.2, "nothing": None, "list": [1, "two"]}
    write_entry(tmp_path, ARRAYS, facts, tmp_path / "scratch")
    found = read_entry(tmp_path)
    assert found is not None and found.facts == facts and found.arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert found.arrays[name].dtype == array.dtype and torch.equal(found.arrays[name], array)
    assert read_entry(tmp_path / "another") is None


def test_a_file_elsewhere_is_not_copied_and_one_in_the_scratch_folder_moves(tmp_path: Path) -> None:
    for name in ("scratch/x.npy", "own/features.npy", "entry/"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / "entry").mkdir(exist_ok=True)
    np.save(tmp_path / "scratch/x.npy", np.arange(3))
    np.save(tmp_path / "own/features.npy", np.arange(4))
    arrays = {"x": tmp_path / "scratch/x.npy", "y": tmp_path / "own/features.npy"}
    write_entry(tmp_path / "entry", arrays, {}, tmp_path / "scratch")
    found = read_entry(tmp_path / "entry")
    assert found is not None and found.arrays["x"].tolist() == [0, 1, 2] and found.arrays["y"].tolist() == [0, 1, 2, 3]
    assert not (tmp_path / "scratch/x.npy").exists()
    assert sorted(p.name for p in (tmp_path / "entry").iterdir()) == [
        "manifest.json",
        "x.npy",
    ]
    np.save(tmp_path / "own/features.npy", np.arange(5))
    with pytest.raises(entry.Damaged, match=r"features.npy was changed"):
        read_entry(tmp_path / "entry")


def flip_last_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def another_array(path: Path) -> None:
    np.save(path.open("wb"), np.zeros(3))


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def wrong_type(path: Path) -> None:
    path.write_text("[1, 2]")


def half_a_json(path: Path) -> None:
    path.write_text('{"facts": {}, "checksum": ""}')


def another_number(path: Path) -> None:
    """One digit of the facts, everything else as it was."""
    text = path.read_text()
    digit = next(i for i, c in enumerate(text) if c in "01" and text[i - 1] in " [")
    path.write_text(text[:digit] + "1"[: text[digit] == "0"] + "0"[: text[digit] == "1"] + text[digit + 1 :])


ARRAY_DAMAGE = [flip_last_byte, cut_in_half, empty, Path.unlink, another_array, a_folder]
FILES = ["graph/*/x.npy", "graph/*/adj_col.npy", "partition/*/node_perm.npy", "edges/*/adj_rowptr.npy", "weights/*/adj_value.npy"]
MANIFEST_DAMAGE = [flip_last_byte, cut_in_half, empty, Path.unlink, a_folder, wrong_type, half_a_json, another_number]


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        *((file, damage) for file in FILES for damage in ARRAY_DAMAGE),
        *((f"{layer}/*/manifest.json", damage) for layer in ("graph", "partition", "edges", "weights") for damage in MANIFEST_DAMAGE),
    ],
)
def test_a_damaged_entry_is_reported_in_one_line_and_made_again(
    mine: Mine, forbid: Callable[..., None], caplog: pytest.LogCaptureFixture, file: str, damage: Callable[[Path], None]
) -> None:
    first = mine.prepare()
    (path,) = mine.cache.glob(file)
    damage(path)
    caplog.clear()
    assert_same(mine.prepare(), first)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1 and str(path.parent) in warnings[0] and "preparing it again" in warnings[0] and "\n" not in warnings[0]
    caplog.clear()
    forbid(*MAKING)
    assert_same(mine.prepare(), first)
    assert caplog.records == [record for record in caplog.records if record.levelno < logging.WARNING] and mine.left() == []


def test_a_partition_whose_order_is_wrong_is_not_used_whatever_its_times_say(mine: Mine, caplog: pytest.LogCaptureFixture) -> None:
    """A bit that flipped on the disk."""
    first = mine.prepare()
    (path,) = mine.cache.glob("partition/*/node_perm.npy")
    before = path.stat()
    flip_last_byte(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert_same(mine.prepare(), first)
    assert "checksum differs" in caplog.text


def test_pickles_in_the_cache_are_not_run(mine: Mine, tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
            return os.mkdir, (str(tmp_path / "owned"),)

    first = mine.prepare()
    for path in list(mine.cache.rglob("*.npy")):
        np.save(path, np.array([Payload()], object), allow_pickle=True)
    assert_same(mine.prepare(), first)
    assert not (tmp_path / "owned").exists()


def test_a_folder_that_cannot_be_made_costs_one_warning(mine: Mine, caplog: pytest.LogCaptureFixture) -> None:
    first = mine.prepare()
    (mine.cache.parent / "file").write_text("in the way")
    mine.cache = mine.cache.parent / "file" / "cache"
    caplog.clear()
    assert_same(mine.prepare(), first)
    assert caplog.text.count("partitioner.cache") == 1


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_a_full_disk_costs_one_warning_and_leaves_no_half_entry(
    mine: Mine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, call: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(*((os, "fsync") if call == "fsync" else (Path, "rename")), full)
        mine.prepare()
    assert caplog.text.count("No space left on device") == 1
    assert [path for path in mine.cache.rglob("*") if path.is_file()] == [] and mine.left() == []


def test_a_source_that_fills_the_cache_uses_temporary_files(tmp_path: Path, mine: Mine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The large arrays of a source are parsed into the entry; where that has no room, elsewhere, and the run goes on."""

    def write(folder: Path) -> None:
        if folder.is_relative_to(mine.cache):
            raise OSError(errno.ENOSPC, "No space left on device")
        np.save(folder / "x.npy", mine.graph.x.numpy())

    def source(config: DatasetConfig, progress: bool) -> Any:
        return replace(mine.graph, x=torch.from_numpy(written(("x",), write)["x"]))

    expected = mine.prepare()
    mine.file.write_bytes(b"another")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    monkeypatch.setitem(load.SOURCES, "mine", source)
    assert_same(mine.prepare(), expected)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_large_array_of_a_source_moves_into_the_entry(mine: Mine, monkeypatch: pytest.MonkeyPatch) -> None:
    places: list[int] = []

    def write(folder: Path) -> None:
        np.save(folder / "x.npy", mine.graph.x.numpy())
        places.append((folder / "x.npy").stat().st_ino)

    monkeypatch.setitem(load.SOURCES, "mine", lambda *_: replace(mine.graph, x=torch.from_numpy(written(("x",), write)["x"])))
    first = mine.prepare()
    (path,) = mine.cache.glob("graph/*/x.npy")
    assert [path.stat().st_ino] == places  # not a copy
    assert_same(mine.prepare(), first)


def test_one_s_own_features_are_mapped_where_they_are(tmp_path: Path, mine: Mine) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    graph = mine.graph
    np.save(folder / "edges.npy", np.stack(graph.adj.to_scipy().tocoo().coords))
    np.save(folder / "features.npy", graph.x.numpy())
    np.save(folder / "labels.npy", graph.y.numpy())
    for part in ("train", "val", "test"):
        np.save(folder / f"{part}_mask.npy", getattr(graph.splits[0], part).numpy())
    config = replace(mine.config(), dataset=FolderConfig(path=str(folder)))
    first = mine.prepare(config)
    assert len(mine.entries("graph")) == 1 and list(mine.cache.rglob("x.npy")) == []
    (folder / "run.log").write_text("not a table")
    assert_same(mine.prepare(config), first)
    assert len(mine.entries("graph")) == 1
    np.save(folder / "features.npy", graph.x.numpy() + 1)
    assert not torch.equal(mine.prepare(config).graph.x, first.graph.x)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_a_read_only_cache_serves(mine: Mine, forbid: Callable[..., None], caplog: pytest.LogCaptureFixture) -> None:
    first = mine.prepare()
    folders = [mine.cache, *(path for path in mine.cache.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    forbid(*MAKING)
    try:
        assert_same(mine.prepare(), first)
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert "cannot be kept" not in caplog.text


def test_reading_needs_neither_lock_nor_writing(
    mine: Mine, monkeypatch: pytest.MonkeyPatch, forbid: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    """As on a disk that is mounted read-only."""
    first = mine.prepare()

    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    for module, name in ((os, "utime"), (Path, "mkdir"), (cache_module, "exclusive_file"), (cache_module.tempfile, "mkdtemp")):
        monkeypatch.setattr(module, name, refused)
    forbid(*MAKING)
    assert_same(mine.prepare(), first)
    assert "cannot be kept" not in caplog.text


def test_an_empty_name_keeps_nothing(mine: Mine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    config = mine.config()
    mine.prepare(replace(config, partitioner=replace(config.partitioner, cache=None)))
    assert list((tmp_path / "here").iterdir()) == [] and not mine.cache.exists()


def test_the_user_s_folders_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder("~/.cache/gas-cli") == tmp_path / "home/.cache/gas-cli" and cache_folder("~/mine") == tmp_path / "home/mine"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder("~/.cache/gas-cli") == tmp_path / "xdg/gas-cli" and cache_folder("~/mine") == tmp_path / "home/mine"


def test_two_that_want_the_same_make_it_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made: list[int] = []
    results: list[float] = []

    def make() -> float:
        made.append(1)
        time.sleep(0.2)
        return 4.0

    def parts(value: float) -> tuple[dict[str, torch.Tensor], dict[str, object]]:
        return {}, {"value": value}

    def read(found: Entry) -> float:
        return float(found.facts["value"])

    def both() -> None:  # a lock belongs to an open file, so threads stand for processes
        results.append(Cache(str(tmp_path)).get("layer", "key", read, make, parts))

    threads = [threading.Thread(target=both) for _ in range(4)]
    with caplog.at_level(logging.INFO, logger="gas_cli"):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(made) == 1 and results == [4.0] * 4
    assert "Waiting for another process" in caplog.text
    assert [path.name for path in (tmp_path / "layer").iterdir()] == ["key"]


KILLED = """
import os, signal, sys, torch
from gas_cli.prepared import entry
from gas_cli.prepared.cache import Cache

kept, count = os.fsync, 0
def fsync(handle):
    global count
    count += 1
    if count == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    kept(handle)
os.fsync = fsync
arrays = {"a": torch.arange(5), "b": torch.arange(9)}
Cache(sys.argv[1]).get("layer", "key", lambda found: 1, lambda: 1, lambda made: (arrays, {}))
"""


@pytest.mark.parametrize("moment", [1, 2, 3])
def test_killed_in_the_middle_leaves_nothing_that_is_taken_for_whole(tmp_path: Path, moment: int) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), str(moment)], check=False)
    assert done.returncode == -signal.SIGKILL
    cache = Cache(str(tmp_path))
    assert cache.find("layer", "key", lambda found: 1) is None
    made = {"a": torch.arange(5)}
    assert cache.get("layer", "key", lambda found: 2, lambda: 1, lambda _: (made, {})) == 1
    assert cache.get("layer", "key", lambda found: 2, lambda: 1, lambda _: (made, {})) == 2
    assert [path.name for path in (tmp_path / "layer").iterdir()] == ["key"]  # what the other left is gone


def test_a_mapped_entry_outlives_its_removal(mine: Mine) -> None:
    expected = mine.prepare().adj.value.clone()
    problem = mine.prepare()
    shutil.rmtree(mine.cache)
    assert torch.equal(problem.adj.value, expected)
