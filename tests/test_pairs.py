"""Every pair with published hyper-parameters trains: only `dataset=X model=Y`, from raw files of X's format, for two steps."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from gas_cli.config.compose import compose_config, config_directory, load_config
from gas_cli.config.root import Config
from gas_cli.graph.sources.planetoid import FOLDERS
from gas_cli.partition.groups import epoch_groups
from gas_cli.run import run
from gas_cli.tables.ages import Ages
from gas_cli.training.checkpoint import load_checkpoint
from tests.end_to_end.runs import differences, lines
from tests.graph.conftest import fake_npz, fake_ogb, fake_planetoid
from tests.graph.sources.test_graphsaint import fake_graphsaint
from tests.graph.sources.test_ppi import fake_ppi
from tests.graph.sources.test_reddit import fake_reddit
from tests.graph.sources.test_wikics import fake_wikics

__all__ = ["fake_graphsaint", "fake_npz", "fake_ogb", "fake_planetoid", "fake_ppi", "fake_reddit", "fake_wikics"]

Write = Callable[..., Any]

FAKES = {
    **dict.fromkeys(FOLDERS, "fake_planetoid"),
    **dict.fromkeys(("coauthor-cs", "coauthor-physics", "amazon-computers", "amazon-photo"), "fake_npz"),
    **dict.fromkeys(("flickr", "yelp", "reddit2"), "fake_graphsaint"),
    **dict.fromkeys(("ogbn-arxiv", "ogbn-products"), "fake_ogb"),
    "reddit": "fake_reddit",
    "ppi": "fake_ppi",
    "wiki-cs": "fake_wikics",
}
"""The fixture that writes a dataset's raw files."""

DRAWN = {"cluster": ["dataset.num_train_graphs=3", "dataset.num_val_graphs=1", "dataset.num_test_graphs=1"]}
"""Settings that make a dataset small which needs no files."""

MOST_PARTS, WIDEST = 6, 256
"""A published pair keeps all but these: more parts than a tiny graph can have, and widths whose checkpoints take seconds to write."""

PAIRS = sorted((path.parent.name, path.stem) for path in (config_directory() / "tuned").rglob("*.yaml"))


def write_raw_files(dataset: str, request: pytest.FixtureRequest) -> None:
    if dataset in DRAWN:
        return
    write: Write = request.getfixturevalue(FAKES[dataset])
    match FAKES[dataset]:
        case "fake_planetoid":
            write(dataset, FOLDERS[dataset])
        case "fake_npz" | "fake_graphsaint":
            write(dataset)
        case "fake_ogb":
            write(dataset.removeprefix("ogbn-"))
        case _:
            write()


def shrunk(published: Config) -> list[str]:
    """Overrides for a tiny graph: fewer parts in batches of the same share, narrower where that is very wide, two steps of one epoch."""
    parts = min(MOST_PARTS, published.partitioner.num_parts)
    batch_parts = max(1, published.trainer.batch_parts * parts // published.partitioner.num_parts)
    sizes = [f"partitioner.num_parts={parts}", f"trainer.batch_parts={batch_parts}"]
    sizes += [f"model.hidden_channels={min(WIDEST, published.model.hidden_channels)}"]
    return [*sizes, "trainer.epochs=1", "trainer.max_steps=2", "partitioner=random", "partitioner.cache=null", "dataset.download=false"]


@pytest.fixture
def pushes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[int], int]]:
    """Which parts had their histories written, and at which step, in order."""
    noted: list[tuple[list[int], int]] = []
    mark, mark_all = Ages.mark, Ages.mark_all

    def note(ages: Ages, parts: Sequence[int], step: int) -> None:
        noted.append((list(parts), step))
        mark(ages, parts, step)

    def note_all(ages: Ages, step: int) -> None:
        noted.append((list(range(ages.written_at.numel())), step))
        mark_all(ages, step)

    monkeypatch.setattr(Ages, "mark", note)
    monkeypatch.setattr(Ages, "mark_all", note_all)
    monkeypatch.setattr("gas_cli.run.plot_curves", lambda metrics, out: False)
    return noted


@pytest.mark.parametrize(("dataset", "model"), PAIRS)
def test_a_published_pair_trains_two_steps(
    dataset: str, model: str, tmp_path: Path, request: pytest.FixtureRequest, pushes: list[tuple[list[int], int]]
) -> None:
    write_raw_files(dataset, request)
    pair = [f"dataset={dataset}", f"model={model}", f"dataset.root={tmp_path}", *DRAWN.get(dataset, []), "device=cpu"]
    published = compose_config(pair)
    smaller = shrunk(published)
    config = compose_config([*pair, *smaller])
    folder = tmp_path / "run"
    summary = run(config, folder)

    assert summary["status"] == "finished" and math.isfinite(summary["train"])
    (record,) = lines(folder)
    assert record["step"] == 2 and math.isfinite(record["loss"])
    everything = list(range(summary["partition"]["train_parts"]))
    first, second = epoch_groups(len(everything), config.trainer.batch_parts, True, config.seed, 1)[:2]
    assert pushes == [(everything, 0), (first, 0), (second, 1), (everything, 2)], "filled, two batches, refreshed"
    tables = load_checkpoint(folder / "checkpoints" / "last.pt")["method"]["histories"]["tables"]
    assert len(tables) == published.model.num_layers - 1
    assert all(torch.isfinite(table).all() and table.any() for table in tables)
    changed = {setting.partition("=")[0] for setting in smaller}
    assert differing(published, load_config(folder / "config.yaml")) <= changed, "the rest is as published"


def differing(one: Config, other: Config) -> set[str]:
    """The settings in which two configurations differ, by their dotted names; the choice of a group by the group's."""
    found = differences(dataclasses.asdict(one), dataclasses.asdict(other))
    return {entry.partition(":")[0].strip("/").replace("/", ".").removesuffix(".name") for entry in found}
