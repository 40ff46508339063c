from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gas_cli.config.partitioner import PartitionerConfig
from gas_cli.ops.csr import CSR
from gas_cli.partition import cache as cache_module
from gas_cli.partition import make
from gas_cli.partition.cache import CachedParts, PartitionCache, partition_key
from gas_cli.partition.make import make_partition
from gas_cli.partition.partition import Partition, Quality

QUALITY = Quality(0.25, 0.1 + 0.2, 1.0)
ENTRY = CachedParts(np.zeros(3, np.int32), np.arange(3, dtype=np.int32), QUALITY)


@pytest.fixture
def cached(config: PartitionerConfig, tmp_path: Path) -> PartitionerConfig:
    return replace(config, cache=str(tmp_path / "cache"))


@pytest.fixture
def no_metis(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From the call on, running METIS is an error."""

    def forbid() -> None:
        def called(*_: object) -> None:
            raise AssertionError("METIS was called")

        monkeypatch.setattr(make, "metis_parts", called)

    return forbid


def assert_equal(one: Partition, two: Partition) -> None:
    assert torch.equal(one.node_perm, two.node_perm)
    assert torch.equal(one.part_ptr, two.part_ptr)
    assert one.quality == two.quality
    assert one.fingerprint() == two.fingerprint()


def test_a_hit_equals_the_result_and_does_not_call_metis(ring: CSR, cached: PartitionerConfig, no_metis: Callable[[], None]) -> None:
    first = make_partition(ring, cached)
    no_metis()
    assert_equal(make_partition(ring, cached), first)


def test_another_graph_of_the_same_size_does_not_hit(ring: CSR, other_ring: CSR, cached: PartitionerConfig) -> None:
    assert (ring.num_rows, ring.nnz) == (other_ring.num_rows, other_ring.nnz)
    first = make_partition(ring, cached)
    second = make_partition(other_ring, cached)
    assert_equal(second, make_partition(other_ring, replace(cached, cache="")))
    assert first.quality != second.quality


def test_every_option_that_matters_changes_the_key(
    ring: CSR, other_ring: CSR, config: PartitionerConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    variants = [
        config,
        replace(config, num_parts=5),
        replace(config, seed=1),
        replace(config, recursive=True),
        replace(config, order="ids"),
        replace(config, name="random"),
        replace(config, name="random", seed=1),
        replace(config, name="random", num_parts=5),
        replace(config, name="range"),
        replace(config, name="range", num_parts=5),
    ]
    keys = [partition_key(ring, variant) for variant in variants]
    keys.append(partition_key(other_ring, config))
    monkeypatch.setattr(cache_module, "metis_version", lambda: "another version")
    keys.append(partition_key(ring, config))
    assert len(set(keys)) == len(keys)


def test_what_does_not_matter_leaves_the_key(ring: CSR, config: PartitionerConfig) -> None:
    weighted = CSR(ring.rowptr, ring.col, ring.value * 2, ring.num_cols)
    assert partition_key(weighted, config) == partition_key(ring, config)
    assert partition_key(ring, replace(config, cache="elsewhere", file="unused.npy")) == partition_key(ring, config)
    ranged = replace(config, name="range")
    assert partition_key(ring, replace(ranged, seed=5, recursive=True)) == partition_key(ring, ranged)


def test_an_edited_file_changes_the_key_and_its_name_does_not(ring: CSR, tmp_path: Path, config: PartitionerConfig) -> None:
    def key(name: str, content: str) -> str:
        (tmp_path / name).write_text(content)
        return partition_key(ring, replace(config, name="file", file=str(tmp_path / name)))

    assert key("a.txt", "0\n1\n") == key("b.txt", "0\n1\n")
    assert key("a.txt", "0\n1\n") != key("a.txt", "1\n0\n")


def test_a_graph_without_edges_has_a_key(config: PartitionerConfig) -> None:
    def key(n: int) -> str:
        return partition_key(CSR(torch.zeros(n + 1, dtype=torch.int64), torch.empty(0, dtype=torch.int32), torch.empty(0), n), config)

    assert key(5) != key(6)


def test_entries_come_back_exactly_and_nothing_else_is_left(tmp_path: Path) -> None:
    cache = PartitionCache(str(tmp_path / "a" / "b"))
    cache.store("key", CachedParts(np.array([0, 2, 1], np.int32), np.array([0, 2, 1], np.int32)[::-1], QUALITY))
    entry = cache.load("key", 3)
    assert entry is not None
    assert entry.parts.tolist() == [0, 2, 1] and entry.node_perm.tolist() == [1, 2, 0]
    assert entry.parts.dtype == entry.node_perm.dtype == np.int32
    assert entry.quality == QUALITY
    assert sorted(path.name for path in cache.folder.iterdir()) == ["key.json", "key.npy"]
    assert cache.load("another", 3) is None


def flip_last_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def change_quality(path: Path) -> None:
    path.write_text(path.read_text().replace('"balance": 1.0', '"balance": 1.5'))


def wrong_type(path: Path) -> None:
    path.write_text("[1, 2]")


def half_a_json(path: Path) -> None:
    path.write_text('{"quality": {"edge_cut": 0.5}, "checksum": ""}')


def another_length(path: Path) -> None:
    np.save(path, np.zeros((2, 59), np.int32))


def another_format(path: Path) -> None:
    """Part ids alone, as the first format had them."""
    np.save(path, np.load(path)[0])


@pytest.mark.parametrize(
    ("suffix", "damage"),
    [
        (".npy", flip_last_byte),
        (".npy", cut_in_half),
        (".npy", empty),
        (".npy", Path.unlink),
        (".npy", another_length),
        (".npy", another_format),
        (".json", cut_in_half),
        (".json", empty),
        (".json", change_quality),
        (".json", wrong_type),
        (".json", half_a_json),
    ],
)
def test_a_damaged_entry_is_reported_computed_again_and_mended(
    ring: CSR,
    cached: PartitionerConfig,
    suffix: str,
    damage: Callable[[Path], None],
    no_metis: Callable[[], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    cached = replace(cached, num_parts=2)
    first = make_partition(ring, cached)
    path = PartitionCache(cached.cache).path(partition_key(ring, cached)).with_suffix(suffix)
    before = path.read_bytes()
    damage(path)
    assert not path.exists() or path.read_bytes() != before

    assert_equal(make_partition(ring, cached), first)
    assert "computing it again" in caplog.text
    no_metis()
    assert_equal(make_partition(ring, cached), first)


def test_pickles_in_the_cache_are_not_run(ring: CSR, cached: PartitionerConfig, tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
            return os.mkdir, (str(tmp_path / "owned"),)

    first = make_partition(ring, cached)
    path = PartitionCache(cached.cache).path(partition_key(ring, cached))
    np.save(path, np.array([Payload()], object), allow_pickle=True)
    assert_equal(make_partition(ring, cached), first)
    assert not (tmp_path / "owned").exists()


def test_a_folder_that_cannot_be_made_is_a_warning(
    ring: CSR, config: PartitionerConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    partition = make_partition(ring, replace(config, cache=str(tmp_path / "file" / "cache")))
    assert_equal(partition, make_partition(ring, config))
    assert "partitioner.cache" in caplog.text


def test_a_full_disk_is_a_warning_and_leaves_no_half_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    cache = PartitionCache(str(tmp_path))
    monkeypatch.setattr(os, "fsync", full)
    cache.store("key", ENTRY)
    assert "No space left on device" in caplog.text
    assert list(tmp_path.iterdir()) == []
    assert cache.load("key", 3) is None


def test_an_unreadable_entry_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = PartitionCache(str(tmp_path))
    cache.store("key", ENTRY)
    cache.path("key").unlink()
    cache.path("key").mkdir()
    assert cache.load("key", 3) is None
    assert "cannot be read" in caplog.text


def test_an_empty_name_turns_the_cache_off(ring: CSR, config: PartitionerConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_partition(ring, replace(config, cache=""))
    assert list(tmp_path.iterdir()) == []


def test_the_home_folder_is_expanded(ring: CSR, config: PartitionerConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    make_partition(ring, replace(config, name="range", cache="~/partitions"))
    assert len(list((tmp_path / "partitions").glob("range-*.npy"))) == 1


def test_a_hit_is_logged(ring: CSR, cached: PartitionerConfig, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="gas_cli"):
        make_partition(ring, cached)
        assert "taken from the cache" not in caplog.text
        make_partition(ring, cached)
    assert "taken from the cache" in caplog.text
