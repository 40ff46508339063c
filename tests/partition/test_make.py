from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject, SearchStrategy

from gas_cli.config.partitioner import PartitionerConfig
from gas_cli.errors import UserError
from gas_cli.ops.csr import CSR
from gas_cli.partition.make import assign_parts, make_partition
from gas_cli.partition.quality import measure_quality


@given(st.data())
def test_parts_hold_every_node_once(graphs: SearchStrategy[CSR], data: DataObject) -> None:
    adj = data.draw(graphs)
    name = data.draw(st.sampled_from(["random", "range"]))
    num_parts, seed = data.draw(st.integers(1, adj.num_rows)), data.draw(st.integers(0, 3))
    config = PartitionerConfig(name=name, num_parts=num_parts, seed=seed, cache=None)

    partition = make_partition(adj, config)

    assert partition.num_parts == config.num_parts
    assert partition.node_perm.dtype == partition.part_ptr.dtype == torch.int64
    assert partition.node_perm.sort().values.tolist() == list(range(adj.num_rows))
    parts = assign_parts(adj, config)
    for p in range(partition.num_parts):
        start, stop = partition.part_ptr[p : p + 2].tolist()
        nodes = partition.node_perm[start:stop]
        assert nodes.sort().values.tolist() == np.flatnonzero(parts == p).tolist()
    assert partition.quality == measure_quality(adj, parts.astype(np.int32))


def test_metis_cuts_less_than_partitions_that_ignore_the_edges(ring: CSR, config: PartitionerConfig) -> None:
    order = torch.arange(60) * 7 % 60  # neighbours on the ring have distant ids
    shuffled = CSR.from_scipy(ring.to_dense()[order][:, order].numpy())
    cuts = {name: make_partition(shuffled, replace(config, name=name)).quality.edge_cut for name in ("metis", "range", "random")}
    assert cuts["metis"] < 0.3 < min(cuts["range"], cuts["random"])


def test_the_seed_decides(ring: CSR, config: PartitionerConfig) -> None:
    random = replace(config, name="random")
    prints = [make_partition(ring, replace(random, seed=seed)).fingerprint() for seed in (0, 0, 1)]
    assert prints[0] == prints[1] != prints[2]


def test_parts_from_a_file(ring: CSR, config: PartitionerConfig, tmp_path: Path) -> None:
    parts = np.arange(60) % 3
    np.save(tmp_path / "parts.npy", parts)
    partition = make_partition(ring, replace(config, name="file", file=str(tmp_path / "parts.npy"), num_parts=40))
    assert partition.num_parts == 3  # the file decides, not partitioner.num_parts
    assert partition.node_perm.view(3, 20).sort(1).values.tolist() == [list(range(first, 60, 3)) for first in range(3)]


def test_empty_parts_are_dropped_with_a_notice(
    ring: CSR, config: PartitionerConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    np.save(tmp_path / "parts.npy", np.repeat([1, 5, 4], 20))
    of_file = replace(config, name="file", file=str(tmp_path / "parts.npy"))
    with caplog.at_level(logging.WARNING, logger="gas_cli"):
        partition = make_partition(ring, of_file)
    assert partition.part_ptr.tolist() == [0, 20, 40, 60] and partition.dropped == 3
    assert partition.node_perm.view(3, 20).sort(1).values.tolist() == [list(range(first, first + 20)) for first in (0, 40, 20)]
    assert "3 of 6 parts are empty and were dropped: continuing with 3 parts." in caplog.text


def test_metis_with_a_node_per_part_leaves_no_part_empty(ring: CSR, config: PartitionerConfig) -> None:
    partition = make_partition(ring, replace(config, num_parts=60))
    assert (partition.part_ptr.diff() > 0).all()
    assert partition.num_nodes == 60


@pytest.mark.parametrize("name", ["metis", "random", "range"])
def test_more_parts_than_nodes_is_an_error(ring: CSR, config: PartitionerConfig, name: str) -> None:
    with pytest.raises(UserError, match=r"partitioner.num_parts=61 is larger than the number of nodes: expected 1 to 60"):
        make_partition(ring, replace(config, name=name, num_parts=61))
    assert make_partition(ring, replace(config, name="range", num_parts=60)).num_parts == 60


def test_one_part_holds_all_nodes(ring: CSR, config: PartitionerConfig) -> None:
    partition = make_partition(ring, replace(config, num_parts=1))
    assert partition.node_perm.sort().values.tolist() == list(range(60))
    assert partition.quality.edge_cut == 0
