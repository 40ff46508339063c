"""The batches of an epoch, and those of the next one that are built meanwhile."""

import queue
import threading

import pytest
import torch

from gas_cli.batch.builder import BatchBuilder
from gas_cli.batch.loader import BatchLoader
from gas_cli.config.model import GCNConfig
from gas_cli.config.training import TrainerConfig
from gas_cli.measure.clock import Clock
from gas_cli.partition.groups import Units, groups_of
from gas_cli.training.epoch import EpochBatches
from tests.builders import make_graph, make_problem, random_adjacency


def epoch_batches(prefetch: int, epochs: int = 3, **settings) -> EpochBatches:
    problem = make_problem(make_graph(random_adjacency(60, 4, 0)), 12, GCNConfig())
    loader = BatchLoader(BatchBuilder(problem.graph, problem.adj, problem.partition, problem.graph.splits[0], 2), prefetch)
    return EpochBatches(TrainerConfig(epochs=epochs, batch_parts=5, **settings), loader, Units(12, 5), 0, torch.device("cpu"), Clock())


def builders() -> int:
    return sum(thread.name == "batch-builder" for thread in threading.enumerate())


@pytest.mark.parametrize("prefetch", [0, 1, 3])
def test_epochs_bring_their_groups_in_order_whatever_was_built_ahead(prefetch):
    """From the start, after an interruption in the middle, and with settings that change in between."""
    subject = epoch_batches(prefetch)

    def parts(epoch: int, first: int = 0) -> list[list[int]]:
        return [list(batch.parts) for batch, _ in subject.batches(epoch, first)]

    assert parts(1) == subject.groups(1)
    assert parts(2, first=1) == subject.groups(2)[1:]
    assert parts(2) == subject.groups(2)
    subject.config.max_steps = 2
    assert parts(3) == subject.groups(3) and len(subject.groups(3)) == 2
    assert builders() == 0  # no epoch follows


def test_an_epoch_is_grouped_once(monkeypatch):
    """However often its groups are asked for: a million seeds take a while."""
    grouped = []
    monkeypatch.setattr("gas_cli.training.epoch.groups_of", lambda *given: grouped.append(given[-1]) or groups_of(*given))
    subject = epoch_batches(prefetch=1)
    for epoch in (1, 2, 3):
        subject.groups(epoch)
        assert len(list(subject.batches(epoch))) == len(subject.all_groups(epoch)) == 3
    assert grouped == [1, 2, 3]


def test_the_next_epoch_is_built_before_it_is_asked_for_until_it_is_closed():
    subject, built = epoch_batches(prefetch=1), queue.SimpleQueue()
    build = subject.loader.builder.build
    subject.loader.builder.build = lambda parts, inputs: built.put(parts) or build(parts, inputs)
    for _ in subject.batches(1):
        pass
    expected = [*subject.groups(1), subject.groups(2)[0]]
    assert [built.get(timeout=10) for _ in expected] == expected
    subject.close()
    assert builders() == 0 and built.empty()
