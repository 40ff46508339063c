from __future__ import annotations

import numpy as np
import pytest
import torch

from gas_cli.errors import UserError
from gas_cli.graph.splits import per_class_splits, split_from_ids

Y = torch.arange(400) % 4


def test_counts_per_class_and_all_nodes_used_once() -> None:
    splits = per_class_splits(Y, 4)
    assert len(splits) == 20
    for split in splits:
        assert torch.bincount(Y[split.train]).tolist() == [20] * 4
        assert torch.bincount(Y[split.val]).tolist() == [30] * 4
        assert torch.equal(split.train.int() + split.val.int() + split.test.int(), torch.ones(400, dtype=torch.int32))


def test_draws_are_those_of_the_published_runs() -> None:
    """One stream seeded with 12345: for every class a permutation per split, stacked."""
    torch.manual_seed(12345)
    expected = torch.zeros(20, 400, dtype=torch.bool)
    for c in range(4):
        nodes = (c == Y).nonzero().view(-1)
        permutations = torch.stack([torch.randperm(100) for _ in range(20)], dim=1)
        expected.scatter_(1, nodes[permutations][:20].T, True)
    assert torch.equal(torch.stack([split.train for split in per_class_splits(Y, 4)]), expected)


def test_seed_decides_and_the_global_generator_is_left_alone() -> None:
    state = torch.get_rng_state()
    first, again, other = (per_class_splits(Y, 4, seed=seed)[0].train for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(state, torch.get_rng_state())


def test_splits_differ_among_themselves() -> None:
    splits = per_class_splits(Y, 4)
    assert len({tuple(split.train.nonzero().view(-1).tolist()) for split in splits}) == 20


def test_small_class_trains_first() -> None:
    split = per_class_splits(torch.tensor([0] * 60 + [1] * 25), 3)[0]
    assert int(split.train[60:].sum()) == 20 and int(split.val[60:].sum()) == 5 and not split.test[60:].any()


def test_split_from_ids() -> None:
    split = split_from_ids(5, np.array([4, 0]), np.array([1]), np.array([], np.int64), "here")
    assert split.train.tolist() == [True, False, False, False, True]
    assert split.val.tolist() == [False, True, False, False, False] and not split.test.any()


@pytest.mark.parametrize("bad", [-1, 5])
def test_split_with_an_id_out_of_range(bad: int) -> None:
    with pytest.raises(UserError, match=rf"folder: valid split has node id {bad} at position 1: expected ids from 0 to 4"):
        split_from_ids(5, np.array([0]), np.array([1, bad]), np.array([2]), "folder")
