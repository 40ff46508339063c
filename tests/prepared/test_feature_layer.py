"""Features that settings change, of a graph in the cache."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from gas_cli.config.root import Config
from gas_cli.graph.sources.npy_format import file_of
from gas_cli.partition import permute
from tests.prepared.conftest import Mine


def config_of(mine: Mine, **settings: Any) -> Config:
    config = mine.config()
    return replace(config, dataset=replace(config.dataset, **settings))


def test_all_settings_share_the_graph_as_it_was_loaded(mine: Mine) -> None:
    """Each has features of its own, and A x with them."""
    settings = (
        {},
        {"features": "degree"},
        {"normalize": "row"},
        {"normalize": "standard"},
        {"features": "degree", "normalize": "standard"},
    )
    first, again = ([mine.prepare(config_of(mine, **each)) for each in settings] for _ in range(2))
    assert mine.loaded == 1 and len(mine.entries("graph")) == 1
    for one, other in zip(first, again, strict=True):
        assert one.fingerprints == other.fingerprints and torch.equal(one.graph.x, other.graph.x)
        assert torch.equal(one.feature_sums, other.feature_sums)
        assert torch.allclose(one.feature_sums, one.adj.to_dense() @ one.graph.x, atol=1e-5)
    assert len({problem.fingerprints["features"] for problem in first}) == len(settings)
    assert [problem.graph.num_features for problem in first] == [5, 2, 5, 5, 2]


@pytest.mark.parametrize("kind", ["row", "standard"])
def test_features_too_large_for_memory_are_written_once(
    mine: Mine, kind: str, monkeypatch: pytest.MonkeyPatch, forbid: Callable[..., None]
) -> None:
    config = config_of(mine, normalize=kind)
    expected = mine.prepare(config)
    monkeypatch.setattr(permute, "COPIED_BYTES", 0)
    large = mine.prepare(config)
    assert large.graph.x_row is not None and torch.equal(large.graph.x[large.graph.x_row], expected.graph.x)
    (entry,) = mine.entries("features")
    assert large.fingerprints == expected.fingerprints and large.graph.schema == expected.graph.schema
    forbid("gas_cli.prepared.feature_layer.scaled")
    again = mine.prepare(config)
    assert file_of(again.graph.x.numpy()) == entry / "x.npy" and torch.equal(again.graph.x, large.graph.x)
    assert again.graph.schema == large.graph.schema and mine.left() == []


def test_without_a_cache_they_are_a_temporary_file(mine: Mine, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of(mine, normalize="row")
    config = replace(config, partitioner=replace(config.partitioner, cache=None))
    expected = mine.prepare(config)
    monkeypatch.setattr(permute, "COPIED_BYTES", 0)
    large = mine.prepare(config)
    path = file_of(large.graph.x.numpy())
    assert path is not None and not path.exists() and torch.equal(large.graph.x[large.graph.x_row], expected.graph.x)
