"""Groups and the building thread."""

import gc
import threading

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gas_cli.batch import loader as module
from gas_cli.batch.batch import tensors
from gas_cli.batch.builder import BatchBuilder
from gas_cli.batch.loader import BatchLoader, DerivedLoader
from gas_cli.config.model import GCNConfig
from gas_cli.partition.groups import Units, epoch_groups, groups_of
from tests.builders import make_graph, make_problem, random_adjacency


def loader(prefetch: int) -> BatchLoader:
    problem = make_problem(make_graph(random_adjacency(60, 4, 0)), 12, GCNConfig())
    return BatchLoader(BatchBuilder(problem.graph, problem.adj, problem.partition, problem.graph.splits[0], 2), prefetch)


@given(st.integers(0, 40), st.integers(1, 50), st.booleans(), st.integers(0, 3), st.integers(1, 5))
def test_groups_are_the_sorted_pieces_of_the_epochs_permutation(count, per_step, shuffle, seed, epoch):
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    order = torch.randperm(count, generator=generator).tolist() if shuffle else list(range(count))
    expected = [sorted(order[i : i + per_step]) for i in range(0, count, per_step)]
    assert groups_of(Units(count, per_step), shuffle, seed, epoch) == expected
    visits = [[epoch * count + unit for unit in group] for group in expected]
    assert groups_of(Units(count, per_step, drawn=True), shuffle, seed, epoch) == visits


@given(st.integers(1, 40), st.integers(1, 40), st.booleans(), st.integers(0, 3), st.integers(1, 5))
def test_groups_hold_every_part_once(parts, batch_parts, shuffle, seed, epoch):
    groups = epoch_groups(parts, batch_parts, shuffle, seed, epoch)
    assert sorted(part for group in groups for part in group) == list(range(parts))
    assert all(len(group) == batch_parts for group in groups[:-1])


def test_groups_are_a_function_of_seed_and_epoch():
    assert epoch_groups(40, 10, True, 0, 1) == epoch_groups(40, 10, True, 0, 1)
    assert epoch_groups(40, 10, True, 0, 1) != epoch_groups(40, 10, True, 0, 2)
    assert epoch_groups(40, 10, True, 0, 1) != epoch_groups(40, 10, True, 1, 1)


@pytest.mark.parametrize("prefetch", [1, 3])
def test_prefetched_batches_equal_batches_built_in_place(prefetch):
    groups = epoch_groups(12, 5, True, 0, 1)
    ahead, here = list(loader(prefetch).batches(groups, keep=False)), list(loader(0).batches(groups, keep=False))
    assert [a.parts for a in ahead] == [b.parts for b in here]
    for a, b in zip(ahead, here, strict=True):
        assert torch.equal(a.blocks[-1].halo, b.blocks[-1].halo)
        assert torch.equal(a.blocks[-1].inner.value, b.blocks[-1].inner.value)


@pytest.mark.parametrize("prefetch", [1, 3])
def test_no_more_batches_are_built_than_were_taken_and_have_a_place(prefetch):
    served, started = loader(prefetch), threading.Semaphore(0)
    build = served.builder.build

    def counted(parts, inputs):
        started.release()
        return build(parts, inputs)

    served.builder.build = counted
    batches = served.batches([[part] for part in range(12)], keep=False)
    for _ in range(2):
        next(batches)
    for _ in range(2 + prefetch):
        assert started.acquire(timeout=10)
    assert not started.acquire(timeout=0.3)
    batches.close()


def test_batches_that_nobody_holds_are_built_no_further():
    batches = loader(1).batches([[part] for part in range(12)], keep=False)
    next(batches)
    thread = batches._thread
    del batches
    gc.collect()
    thread.join(timeout=10)
    assert not thread.is_alive()


def test_an_error_while_building_reaches_the_consumer():
    with pytest.raises(IndexError):
        list(loader(2).batches([[0], [99]], keep=False))


def test_a_consumer_that_stops_early_leaves_no_thread():
    batches = loader(1).batches([[part] for part in range(12)], keep=False)
    next(batches)
    batches.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "batch-builder"]


def test_features_that_a_batch_owns_count_for_what_is_kept(monkeypatch):
    """Ranges cut out of the graph's own table are views; gathered rows are copies, and a table larger than memory must not pile up."""
    problem = make_problem(make_graph(random_adjacency(60, 4, 0), num_features=200), 12, GCNConfig())
    builder = BatchBuilder(problem.graph, problem.adj, problem.partition, problem.graph.splits[0], 2)
    one, two = builder.build([3]), builder.build([3, 7])
    assert one.nbytes == one.blocks[-1].nbytes + 4 * one.x.halo.numel()
    assert two.nbytes == two.blocks[-1].nbytes + 4 * (two.x.halo.numel() + two.x.target.numel())
    monkeypatch.setattr(module, "CACHE_BYTES", one.nbytes + 1)
    served = BatchLoader(builder, 0)
    groups = [[3], [0, 2]]
    first, second = list(served.batches(groups, keep=True)), list(served.batches(groups, keep=True))
    assert [a is b for a, b in zip(first, second, strict=True)] == [True, False]


def test_kept_batches_are_built_once():
    served = loader(0)
    groups = epoch_groups(12, 4, False, 0, 0)
    first, second = list(served.batches(groups, keep=True)), list(served.batches(groups, keep=True))
    assert all(a is b for a, b in zip(first, second, strict=True))
    fresh = list(served.batches([[0, 2]], keep=False)), list(served.batches([[0, 2]], keep=False))
    assert fresh[0][0] is not fresh[1][0]


def test_derived_batches_share_what_they_do_not_change(monkeypatch):
    """Kept once each, and only what a derived one has of its own counts towards the limit."""
    whole = loader(0)
    derived = DerivedLoader(whole, lambda batch: batch.last_block(batch.blocks[-1].without_messages()))
    groups = [[0, 1], [2, 3]]
    for one, other in zip(derived.batches(groups, keep=True), whole.batches(groups, keep=True), strict=True):
        assert one.blocks[0] is other.blocks[0] and one.x is other.x and one.blocks[-1].num_edges == 0 < other.blocks[-1].num_edges
    assert [a is b for a, b in zip(derived.batches(groups, keep=True), derived.batches(groups, keep=True), strict=True)] == [True, True]
    assert derived._cached_bytes == sum(batch.blocks[-1].nbytes for batch in derived.batches(groups, keep=True))
    assert DerivedLoader(whole, lambda batch: batch).get([0, 1], keep=True) is whole.get([0, 1], keep=True)


def test_batches_that_are_not_kept_have_features_only_where_they_are_read(monkeypatch):
    served = loader(0)
    bare, whole = served.get([1, 2], keep=False, inputs=False), served.get([1, 2], keep=False)
    assert bare.x.target.shape[0] == bare.x.halo.shape[0] == 0 < whole.x.target.shape[0]
    for one, other in zip(tensors(bare.blocks), tensors(whole.blocks), strict=True):
        assert torch.equal(one, other)
    assert served.get([3], keep=True, inputs=False).x.target.shape[0] > 0, "whoever asks next may read them"
    monkeypatch.setattr(module, "CACHE_BYTES", 1)
    full = loader(0)
    first, second = full.get([0], keep=True, inputs=False), full.get([1], keep=True, inputs=False)
    assert first.x.target.shape[0] > 0 == second.x.target.shape[0], "built to be kept, until nothing more fits"
