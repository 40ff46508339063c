"""`gas-data clean` lists and removes prepared graphs, and nothing else."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from gas_cli.cli.data import command_line
from gas_cli.config.compose import compose_config
from gas_cli.prepared import entry, graph_layer, inventory
from gas_cli.run import prepare_training

Run = Callable[..., tuple[int, str, str]]
DAY = 86400


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two own graphs, `ring` and `path`, whose edges differ; each in two divisions."""
    monkeypatch.setattr(graph_layer, "SMALL", 0)
    nodes = np.arange(9)
    for name, ends in (("ring", (nodes + 1) % 9), ("path", np.minimum(nodes + 1, 8))):
        tables = {"edges": np.stack([nodes, ends]), "features": np.eye(9), "labels": nodes % 3}
        tables |= {f"{part}_mask": nodes // 3 == number for number, part in enumerate(("train", "val", "test"))}
        (tmp_path / name).mkdir()
        for stem, values in tables.items():
            np.save(tmp_path / name / f"{stem}.npy", values)
        for parts in (2, 3):
            prepare_training(config(tmp_path, name, parts))
    return tmp_path / "cache"


def config(folder: Path, name: str, parts: int = 2):  # type: ignore[no-untyped-def]
    words = [
        "model=gcn",
        "model.drop_input=false",
        "dataset=folder",
        f"dataset.path={folder / name}",
        f"partitioner.cache={folder / 'cache'}",
    ]
    return compose_config([*words, "partitioner=random", f"partitioner.num_parts={parts}", "trainer.batch_parts=1"])


@pytest.fixture
def clean(cache: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = command_line(["clean", *arguments, f"partitioner.cache={cache}"])
        return (code, *capsys.readouterr())

    return run


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def layers(cache: Path) -> dict[str, int]:
    return {layer: len(list((cache / layer).iterdir())) for layer in inventory.LAYERS if (cache / layer).is_dir()}


BOTH = {"graph": 2, "partition": 4, "edges": 4, "weights": 4, "sums": 4}


def test_the_list_says_what_is_there_and_removes_nothing(cache: Path, clean: Run) -> None:
    assert layers(cache) == BOTH
    before = content(cache)
    np.save(cache.parent / "path" / "labels.npy", np.arange(9) % 2)
    code, out, _ = clean()
    lines = out.splitlines()
    assert code == 0 and content(cache) == before and len(lines) == 1 + 18 + 1
    (ring,) = [line for line in lines if line.startswith("graph/") and " ring " in line]
    (path,) = [line for line in lines if line.startswith("graph/") and " path " in line]
    assert ring.endswith(f"files in {cache.parent / 'ring'} unchanged") and path.endswith(f"files in {cache.parent / 'path'} have changed")
    assert "undirected=false" in ring and time.strftime("%Y-%m-%d") in ring
    assert sum("partitioner=random, num_parts=3, seed=0, order=bfs" in line for line in lines) == 2
    total = sum(len(held) for held in before.values())
    assert lines[-1] == f"18 entries, {total / 1024:.1f} KiB in {cache}"
    shutil.rmtree(cache.parent / "ring")
    assert f"files in {cache.parent / 'ring'} are gone" in clean()[1]


def test_all(cache: Path, clean: Run) -> None:
    size = sum(len(held) for held in content(cache).values())
    code, out, _ = clean("--all")
    assert code == 0 and content(cache) == {} and layers(cache) == dict.fromkeys(BOTH, 0)
    assert out.splitlines()[-1] == f"18 entries removed, {size / 1024:.1f} KiB freed in {cache}"
    assert clean()[1] == f"{cache}: no entries.\n"


def test_a_dataset_by_the_beginning_of_its_name(cache: Path, clean: Run) -> None:
    code, out, _ = clean("ri")
    assert code == 0 and out.splitlines()[-1].startswith("9 entries removed, ")
    assert layers(cache) == {layer: count // 2 for layer, count in BOTH.items()}
    assert " ring " not in clean()[1]


def test_an_entry_goes_with_what_is_of_no_use_without_it(cache: Path, clean: Run) -> None:
    (name,) = [
        line.split()[0] for line in clean()[1].splitlines() if line.startswith("partition/") and " ring " in line and "num_parts=2" in line
    ]
    assert clean(name)[0] == 0
    assert layers(cache) == {"graph": 2, "partition": 3, "edges": 3, "weights": 3, "sums": 3}
    (graph,) = [line.split()[0] for line in clean()[1].splitlines() if line.startswith("graph/") and " ring " in line]
    assert clean(graph)[0] == 0
    assert layers(cache) == {"graph": 1, "partition": 3, "edges": 3, "weights": 3, "sums": 3}  # found again by the edges' content


def test_older(cache: Path, clean: Run) -> None:
    for item in inventory.inventory(cache):
        if item.dataset == "ring":
            os.utime(item.path / entry.MANIFEST, (0, time.time() - 29 * DAY))
    assert clean("older=30d")[1].startswith("0 entries removed")
    assert clean("older=5w")[1].startswith("0 entries removed")
    assert clean("older=4w")[1].splitlines()[-1].startswith("9 entries removed")
    assert " ring " not in clean()[1] and " path " in clean()[1]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["nothing"], "neither a dataset nor an entry"),
        (["random"], "matches 4 names"),
        (["--al"], "is not valid"),
        (["older=30"], "older=30 is not valid"),
        (["older=-1d"], "is not valid"),
        (["older="], "is not valid"),
        (["--all", "ring"], "is not valid"),
        (["ring", "older=1d"], "is not valid"),
        (["dataset=ring"], "is not valid"),
        ([""], "is not valid"),
        (["ring", "nothing"], "neither a dataset nor an entry"),
        (["partitioner.cache=null"], ""),
    ],
)
def test_wrong_arguments_remove_nothing(cache: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], part: str) -> None:
    before = content(cache)
    capsys.readouterr()
    assert command_line(["clean", f"partitioner.cache={cache}", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and part in err and content(cache) == before


def test_what_is_not_the_cache_s_own_is_neither_listed_nor_touched(cache: Path, clean: Run) -> None:
    hexadecimal = "0123456789abcdef" * 2
    target = cache.parent / "target"
    (target / "inner").mkdir(parents=True)
    (target / "inner" / "notes.txt").write_text("mine")
    for place in ("notes.txt", "graph/notes.txt", f"mine/holiday-{hexadecimal}/x.npy", f"graph/holiday-{hexadecimal}/photo.jpg"):
        (cache / place).parent.mkdir(exist_ok=True, parents=True)
        (cache / place).write_text("mine")
    first = next((cache / "edges").iterdir())
    (first / "notes.txt").write_text("mine")  # next to an entry's own files
    (cache / "graph" / f"link-{hexadecimal}").symlink_to(target)
    (cache / "graph" / f".tmp-{hexadecimal}").mkdir()
    kept = {name: held for name, held in content(cache).items() if held == b"mine" or name.startswith(f"edges/{first.name}/")}
    assert "holiday" not in (listed := clean()[1]) and "link-" not in listed and first.name[:14] not in listed
    assert clean("--all")[0] == 0
    assert content(cache) == kept and (target / "inner" / "notes.txt").read_text() == "mine"
    assert (cache / "graph" / f"link-{hexadecimal}").is_symlink() and (cache / "graph" / f".tmp-{hexadecimal}").is_dir()


def test_tables_that_an_entry_refers_to_stay(tmp_path: Path, cache: Path, clean: Run) -> None:
    np.save(tmp_path / "ring" / "features.npy", np.eye(9, dtype=np.float32))
    prepare_training(config(tmp_path, "ring"))
    before = content(tmp_path / "ring")
    assert clean("ring")[0] == 0
    assert content(tmp_path / "ring") == before


def test_what_is_damaged_half_written_or_of_another_format_is_listed_and_removed(cache: Path, clean: Run) -> None:
    items = inventory.inventory(cache)
    (items[0].path / entry.MANIFEST).write_text("{")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(entry, "FORMAT", 1)
        entry.write_entry(items[1].path, {"a": torch.arange(3)}, {}, cache / "none")
    half = cache / "graph" / f".{items[2].key}.ab_12cde"
    (half / "entry").mkdir(parents=True)
    (half / "entry" / "x.npy").write_bytes(b"1" * 100)
    out = clean()[1]
    for words, name in (("damaged", items[0].name), ("of another version's format", items[1].name), ("half-written", f"graph/{half.name}")):
        (line,) = [line for line in out.splitlines() if line.startswith(name)]
        assert line.endswith(words)
    assert clean(half.name)[1].splitlines()[-1].startswith("1 entry removed, 100 B")
    assert not half.exists()
    assert clean("--all")[0] == 0 and content(cache) == {}


def test_what_another_process_is_writing_is_left_alone(cache: Path, clean: Run) -> None:
    item = inventory.inventory(cache)[0]
    half = item.path.with_name(f".{item.key}.ab_12cde")
    half.mkdir()
    with item.path.with_name(f"{item.key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "being written by a process" in clean()[1]
        assert "not removed: " in clean("--all")[1] and half.is_dir() and item.path.is_dir()
    assert clean("--all")[0] == 0 and not half.exists() and not item.path.exists()


def test_a_run_that_has_an_entry_mapped_goes_on(tmp_path: Path, cache: Path, clean: Run) -> None:
    problem = prepare_training(config(tmp_path, "ring"))
    again = prepare_training(config(tmp_path, "ring"))
    expected = [again.adj.value.clone(), again.graph.x.clone(), again.graph.adj.col.clone()]
    assert clean("--all")[0] == 0
    for found, value in zip((problem.adj.value, problem.graph.x, problem.graph.adj.col), expected, strict=True):
        assert torch.equal(found, value)


def test_no_folder_is_nothing_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["--all"]):
        assert command_line(["clean", f"partitioner.cache={tmp_path / 'none'}", *arguments]) == 0
    assert "no entries" in capsys.readouterr().out and not (tmp_path / "none").exists()
