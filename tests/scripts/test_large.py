"""The large-graph table: every cell can be composed, twins are marked and never compared with the paper."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from gas_cli.config.compose import compose_config
from gas_cli.config.dataset import GeneratedConfig
from scripts import large

CELLS = [(model, dataset) for model in large.PUBLISHED for dataset in large.DATASETS]


def arguments(root: Path, **changes: Any) -> argparse.Namespace:
    return argparse.Namespace(**{"root": str(root), "scale": 0.02, "epochs": 3, "runs": 2, **changes})


def test_every_cell_has_runs_of_its_own(tmp_path: Path) -> None:
    trials = [trial for model, dataset in CELLS for trial in large.cell(model, dataset, arguments(tmp_path))]
    assert len({trial.name for trial in trials}) == len({trial.settings for trial in trials}) == len(trials)
    there = sum(large.is_there(large.JUMPING.get(cell, cell[0]), cell[1]) for cell in CELLS)
    assert len(trials) == 2 * there >= 2 * 12


@pytest.mark.parametrize(("model", "dataset"), [("gcn", "yelp"), ("gcnii", "ogbn-products"), ("pna", "reddit2")])
def test_without_files_a_twin_is_trained_with_the_published_hyper_parameters(model: str, dataset: str, tmp_path: Path) -> None:
    trial = large.cell(model, dataset, arguments(tmp_path))[1]
    config = compose_config(trial.settings)
    published = compose_config([f"dataset={dataset}", f"model={large.JUMPING.get((model, dataset), model)}"])
    assert isinstance(config.dataset, GeneratedConfig) and (config.seed, config.trainer.epochs) == (1, 3)
    assert (config.model, config.optimizer, config.partitioner) == (published.model, published.optimizer, published.partitioner)
    assert config.trainer.batch_parts == published.trainer.batch_parts


def test_a_graph_that_is_there_is_trained_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large, "at_root", lambda dataset, root: True)
    (trial,) = large.cell("gcn", "flickr", arguments(tmp_path, runs=1, epochs=0))
    config = compose_config(trial.settings)
    assert config == compose_config(["dataset=flickr", "model=gcn", "trainer.checkpoint_every=10"])
    assert trial.name == "gcn-flickr-0"


def test_a_model_that_is_not_there_is_a_line_without_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large, "is_there", lambda model, dataset: False)
    trials = large.cell("pna", "ppi", arguments(tmp_path))
    row = large.row_of("pna", "ppi", trials, {}, tmp_path)
    assert trials == [] and row["paper"] == 99.4 and row["graph"].startswith("not there")


@pytest.mark.parametrize("is_twin", [False, True])
def test_only_a_real_graph_is_compared_with_the_paper(is_twin: bool, tmp_path: Path) -> None:
    trials = large.cell("gcn", "flickr", arguments(tmp_path))
    summary = {
        "dataset": "generated" if is_twin else "flickr", "num_nodes": 9, "num_edges": 20, "val": 0.5, "test": 0.53,
        "seconds_per_epoch": {"train": 1.0}, "peak_memory": 2**20, "history_bytes": 0,
    }  # fmt: skip
    (tmp_path / trials[1].name).mkdir()
    lines = [json.dumps({"epoch": epoch, "loss": 2.0 / epoch}) for epoch in (1, 2)]
    (tmp_path / trials[1].name / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    row = large.row_of("gcn", "flickr", trials, {trials[1].name: summary}, tmp_path)
    assert (row["paper"], row["test"], row["runs"], row["loss first → last"]) == (54.0, 53.0, 1, "2.000 → 1.000")
    assert ("difference" in row, row["graph"].startswith("generated twin")) == (not is_twin, is_twin)
    assert is_twin or (row["ours"], row["difference"]) == (53.0, "-1.00")
    assert large.row_of("gcn", "flickr", trials, {}, tmp_path)["graph"] == "not finished"
