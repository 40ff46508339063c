"""Parts of an inductive graph: seen nodes by themselves and first, and nothing of the others decides them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st

from gas_cli.config.partitioner import PartitionerConfig
from gas_cli.errors import UserError
from gas_cli.ops.csr import CSR
from gas_cli.partition.inductive import induced, make_inductive_partition
from gas_cli.partition.make import make_partition
from tests.builders import adjacencies, random_adjacency


def config(name: str = "random", num_parts: int = 4, file: str = "") -> PartitionerConfig:
    return PartitionerConfig(name=name, num_parts=num_parts, file=file, cache=None)


@given(adjacencies(), st.data())
def test_the_induced_graph_is_that_of_scipy(drawn: tuple[sp.csr_array, bool], data: st.DataObject) -> None:
    matrix, _ = drawn
    n = matrix.shape[0]
    nodes = np.flatnonzero(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    cut = induced(CSR.from_scipy(matrix), torch.from_numpy(nodes))
    assert cut.shape == (len(nodes), len(nodes))
    np.testing.assert_array_equal(cut.to_dense().numpy(), matrix.toarray()[np.ix_(nodes, nodes)])


@pytest.mark.parametrize("name", ["metis", "random", "range"])
def test_seen_nodes_come_first_and_are_divided_like_a_graph_of_their_own(name: str) -> None:
    adj = CSR.from_scipy(random_adjacency(50, 4, 0))
    seen = torch.from_numpy(np.random.default_rng(1).random(50) < 0.6)
    partition = make_inductive_partition(adj, seen, config(name))
    alone = make_partition(induced(adj, seen.nonzero().view(-1)), config(name))
    assert sorted(partition.node_perm.tolist()) == list(range(50))
    assert torch.equal(partition.part_ptr[: alone.num_parts + 1], alone.part_ptr)
    assert torch.equal(partition.node_perm[: alone.num_nodes], seen.nonzero().view(-1)[alone.node_perm])
    assert not seen[partition.node_perm[alone.num_nodes :]].any()


def test_the_others_get_parts_of_about_the_same_size() -> None:
    adj, seen = CSR.from_scipy(random_adjacency(50, 4, 0)), torch.arange(50) < 40
    assert make_inductive_partition(adj, seen, config("range", 4)).part_ptr.tolist() == [0, 10, 20, 30, 40, 50]
    assert make_inductive_partition(adj, seen, config("range", 3)).num_parts == 4
    assert make_inductive_partition(adj, torch.ones(50, dtype=torch.bool), config("range", 4)).num_parts == 4


def test_a_file_may_use_an_id_on_both_sides(tmp_path: Path) -> None:
    np.save(tmp_path / "parts.npy", np.array([5, 5, 0, 5, 0, 7]))
    seen = torch.tensor([True, True, True, False, False, False])
    partition = make_inductive_partition(CSR.from_scipy(sp.csr_array((6, 6))), seen, config("file", file=str(tmp_path / "parts.npy")))
    assert partition.node_perm.tolist() == [2, 0, 1, 4, 3, 5] and partition.part_ptr.tolist() == [0, 1, 3, 4, 5, 6]


def test_more_parts_than_seen_nodes_are_refused() -> None:
    with pytest.raises(UserError, match=r"num_parts=4 is larger than the number of nodes: expected 1 to 3"):
        make_inductive_partition(CSR.from_scipy(random_adjacency(9, 2, 0)), torch.arange(9) < 3, config())
