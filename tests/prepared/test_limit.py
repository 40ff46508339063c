"""partitioner.cache_limit: what was not used for longest goes, nothing that is in use, and nothing stays without what it needs."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given, settings, strategies

from gas_cli.config.model import GCNConfig
from gas_cli.config.partitioner import PartitionerConfig
from gas_cli.config.root import Config
from gas_cli.errors import UserError
from gas_cli.prepared.cache import Cache
from gas_cli.prepared.entry import MANIFEST
from gas_cli.prepared.inventory import LAYERS, Item, beyond, inventory, with_dependents
from gas_cli.run import prepare_training
from tests.prepared.test_prepare import MAKING, assert_same

if TYPE_CHECKING:
    from tests.prepared.conftest import Mine


def config_of(mine: Mine, parts: int, limit: str | None = None) -> Config:
    config = mine.config(GCNConfig(drop_input=False))
    return replace(config, partitioner=replace(config.partitioner, num_parts=parts, cache_limit=limit))


def names(mine: Mine) -> set[str]:
    return {f"{item.layer}/{item.key}" for item in inventory(mine.cache)}


def age(names: set[str], mine: Mine, days: float) -> None:
    """As if they had been used that long ago, at one moment."""
    moment = time.time() - days * 86400
    for name in names:
        os.utime(mine.cache / name / MANIFEST, (moment, moment))


def size(mine: Mine) -> int:
    return sum(item.nbytes for item in inventory(mine.cache))


def test_what_was_not_used_for_longest_goes_first(mine: Mine, caplog: pytest.LogCaptureFixture) -> None:
    prepare_training(config_of(mine, 2))
    first = names(mine)
    prepare_training(config_of(mine, 3))
    second = names(mine) - first
    graph = {name for name in first if name.startswith("graph/")}
    age(first - graph, mine, 2)
    age(second, mine, 1)
    limit = f"{size(mine) + 100}B"  # a further part is a further number in the new entry
    with caplog.at_level(logging.INFO, "gas_cli"):
        prepare_training(config_of(mine, 4, limit))
    assert size(mine) <= int(limit[:-1])
    assert second <= names(mine) and len(first & names(mine)) < len(first) and graph <= names(mine)
    assert caplog.text.count("partitioner.cache_limit") == len(first - names(mine))


def test_a_start_keeps_all_that_it_uses_however_small_the_limit(mine: Mine, forbid: Callable[..., None]) -> None:
    prepare_training(config_of(mine, 2))
    before = names(mine)
    problem = prepare_training(config_of(mine, 3, "0B"))
    kept = names(mine)
    made = set(LAYERS) - {"features"}  # those are of scaled features above 1 GiB
    assert {name.partition("/")[0] for name in kept} == made and len(kept) == len(made)
    assert before & kept == {name for name in before if name.startswith("graph/")}
    forbid(*MAKING)
    assert_same(prepare_training(config_of(mine, 3, "0B")), problem)


def test_a_second_start_removes_nothing(mine: Mine) -> None:
    for parts in (2, 3):
        prepare_training(config_of(mine, parts))
    before = names(mine)
    prepare_training(config_of(mine, 2, "0B"))  # it writes nothing
    assert names(mine) == before


def test_without_a_limit_nothing_goes(mine: Mine) -> None:
    for parts in (2, 3, 4):
        prepare_training(config_of(mine, parts))
    assert len(names(mine)) == 1 + 4 * 3


def test_what_is_mapped_by_another_run_outlives_its_removal(mine: Mine) -> None:
    prepare_training(config_of(mine, 2))
    mapped, read = (prepare_training(config_of(mine, 2)) for _ in range(2))
    expected = [read.adj.value.clone(), read.graph.x.clone()]
    prepare_training(config_of(mine, 3, "0B"))
    assert mine.entries("sums") and len(mine.entries("sums")) == 1
    assert torch.equal(mapped.adj.value, expected[0]) and torch.equal(mapped.graph.x, expected[1])


def test_use_makes_young(mine: Mine) -> None:
    """A start that only maps notes the use of all that it maps, at one time."""
    prepare_training(config_of(mine, 2))
    age(names(mine), mine, 9)
    prepare_training(config_of(mine, 2))
    times = {item.used for item in inventory(mine.cache)}
    assert len(times) == 1 and times.pop() > time.time() - 60


def test_what_cannot_be_removed_costs_no_run(mine: Mine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def refused(*_: object) -> bool:
        raise PermissionError(13, "Permission denied")

    prepare_training(config_of(mine, 2))
    monkeypatch.setattr(Item, "remove", refused)
    with caplog.at_level(logging.INFO, "gas_cli"):
        prepare_training(config_of(mine, 3, "0B"))
    assert "Permission denied" in caplog.text and len(names(mine)) == 1 + 4 * 2


@strategies.composite
def histories(draw: strategies.DrawFn) -> list[Item]:
    """Entries of starts, each of which uses one per layer and everything that this one needs."""
    chains: dict[str, Item] = {}
    for moment in range(draw(strategies.integers(1, 8))):
        needed = ""
        for layer in LAYERS[1:]:
            key = draw(strategies.sampled_from("ab")) + needed.rpartition("/")[2]
            nbytes = chains[key + layer].nbytes if key + layer in chains else draw(strategies.integers(0, 9))
            about = {"needs": [needed] if needed else []}
            chains[key + layer] = Item(Path("/cache") / layer / key, key, "", nbytes, float(moment), about)
            needed = f"{layer}/{key}"
    return sorted(chains.values(), key=lambda item: LAYERS.index(item.layer))


@settings(max_examples=100)
@given(histories(), strategies.integers(0, 60))
def test_the_rest_fits_and_nothing_stays_without_what_it_needs(items: list[Item], limit: int) -> None:
    going = beyond(items, limit, ())
    paths = {item.path for item in going}
    stay = [item for item in items if item.path not in paths]
    assert sum(item.nbytes for item in stay) <= limit
    assert {item.path for item in with_dependents(going, items)} == paths
    assert not going or sum(item.nbytes for item in stay) + going[-1].nbytes > limit  # no more than has to


@pytest.mark.parametrize("limit", ["50", "GiB", "-1GiB", "50 gigabytes"])
def test_a_limit_that_is_no_size_is_refused(limit: str) -> None:
    with pytest.raises(UserError, match=r"partitioner\.cache_limit=.* is not valid: expected a size such as 50GiB, or null for no limit"):
        PartitionerConfig(cache_limit=limit)


def test_the_limit_is_that_of_the_settings() -> None:
    assert PartitionerConfig(cache_limit=None).cache_bytes is None and PartitionerConfig(cache_limit="2KiB").cache_bytes == 2048
    assert Cache(None).limit is None
