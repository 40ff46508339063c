"""A x is kept for models that read it; who reads nothing else is spared the features."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from gas_cli.config.model import GATConfig, GCNConfig, SAGEConfig
from gas_cli.config.root import Config
from gas_cli.config.schemas import METHOD_SCHEMAS
from gas_cli.ops.spmm import row_sums
from gas_cli.partition import permute
from gas_cli.prepared import graph_layer
from gas_cli.run import prepare, prepare_training
from tests.prepared.test_cache import cut_in_half
from tests.prepared.test_prepare import GRAPHS, MAKING, assert_same, inductive

if TYPE_CHECKING:
    from tests.prepared.conftest import Mine

ALONE, BESIDE = GCNConfig(drop_input=False), SAGEConfig(drop_input=False)


def spoil(path: Path) -> None:
    """Other content under the same size and times."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(-64, os.SEEK_END)
        file.write(b"\x7f" * 64)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("kind", ["dense", "directed", "weighted", "inductive", "no edges"])
def test_a_second_start_has_the_same_sums_and_neither_reads_nor_permutes_features(
    mine: Mine, forbid: Callable[..., None], kind: str
) -> None:
    mine.graph = GRAPHS[kind]
    config = mine.config(ALONE)
    whole = prepare(replace(config, partitioner=replace(config.partitioner, cache=None)))
    expected = row_sums([(whole.adj, whole.graph.x)])
    first = prepare_training(config)
    (features,) = mine.cache.glob("graph/*/x.npy")
    spoil(features)
    forbid(
        *MAKING, "gas_cli.prepared.problem.row_sums", "gas_cli.prepared.problem.order_features", "gas_cli.prepared.prepare.order_features"
    )
    second = prepare_training(config)
    for problem in (first, second):
        assert problem.x_summed and torch.equal(problem.graph.x, expected) and problem.feature_sums is problem.graph.x
    assert_same(second, first)
    assert mine.left() == []


def test_a_model_that_reads_features_beside_their_sums_maps_the_sums(mine: Mine, forbid: Callable[..., None]) -> None:
    config = mine.config(BESIDE)
    first = prepare_training(config)
    assert not first.x_summed and mine.entries("sums") == []  # nobody has asked
    expected = first.feature_sums
    forbid("gas_cli.prepared.problem.row_sums")
    second = prepare_training(config)
    assert expected is not None and second.feature_sums is not None and torch.equal(second.feature_sums, expected)
    assert_same(second, first)


def test_everything_is_there_for_who_does_not_say_what_is_read(mine: Mine) -> None:
    config = mine.config(ALONE)
    before = prepare(config)
    prepare_training(config)
    assert_same(prepare(config), before)
    assert before.graph.x_row is None


@pytest.mark.parametrize(
    ("change", "count"),
    [
        (lambda config: replace(config, model=GATConfig(drop_input=False)), 1),
        (lambda config: replace(config, method=METHOD_SCHEMAS["cluster_gcn"]()), 1),
        (lambda config: replace(config, model=replace(config.model, dropout=0.7)), 1),
        (lambda config: replace(config, model=replace(config.model, normalization=None)), 2),
        (lambda config: replace(config, partitioner=replace(config.partitioner, num_parts=2)), 2),
    ],
    ids=["attention", "edges that are dropped", "same sums", "other weights", "other order"],
)
def test_sums_belong_to_weights_and_order(mine: Mine, change: Callable[[Config], Config], count: int) -> None:
    config = mine.config(ALONE)
    prepare_training(config)
    changed = change(config)
    found = prepare_training(changed)
    without = prepare_training(replace(changed, partitioner=replace(changed.partitioner, cache=None)))
    assert_same(found, without)
    assert len(mine.entries("sums")) == count


def test_other_features_have_other_sums(mine: Mine) -> None:
    prepare_training(mine.config(ALONE))
    mine.file.write_bytes(b"other")
    mine.graph = replace(mine.graph, x=mine.graph.x + 1)
    config = mine.config(ALONE)
    found = prepare_training(config)
    assert_same(found, prepare_training(replace(config, partitioner=replace(config.partitioner, cache=None))))


@pytest.mark.parametrize("why", ["small", "sparse", "beyond memory"])
def test_nothing_is_kept(mine: Mine, monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    if why == "small":
        monkeypatch.setattr(graph_layer, "SMALL", 1 << 20)
    if why == "sparse":
        mine.graph = GRAPHS["sparse features"]
    if why == "beyond memory":
        monkeypatch.setattr(permute, "COPIED_BYTES", 0)
    for _ in range(2):
        problem = prepare_training(mine.config(ALONE))
        assert problem.x_summed == (why == "small")
        assert (problem.graph.x_row is not None) == (why == "beyond memory")
    assert mine.entries("sums") == []


def test_damaged_sums_are_made_again(mine: Mine, caplog: pytest.LogCaptureFixture) -> None:
    mine.graph = inductive(mine.graph)
    first = prepare_training(mine.config(ALONE))
    (path,) = mine.cache.glob("sums/*/sums.npy")
    cut_in_half(path)
    assert_same(prepare_training(mine.config(ALONE)), first)
    assert caplog.text.count("preparing it again") == 1
    caplog.clear()
    assert_same(prepare_training(mine.config(ALONE)), first)
    assert caplog.text.count("preparing it again") == 0
