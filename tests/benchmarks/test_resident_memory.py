"""The floor is what it says it is, and rows are kept where they are not measured again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.lib.memory_floor import measure_floor
from benchmarks.resident_memory import NAME, kept, measure, table, total

NODES, CHANNELS, FEATURES = 600, 16, 8
SETTINGS = [
    "dataset=generated", f"dataset.num_nodes={NODES}", f"dataset.num_features={FEATURES}", "dataset.num_communities=4", "model=gcn",
    "model.num_layers=3", f"model.hidden_channels={CHANNELS}", "model.drop_input=false", "partitioner=range", "partitioner.num_parts=4",
    "trainer.batch_parts=1", "device=cpu",
]  # fmt: skip


def test_the_floor_counts_data_once_and_a_step_that_grows_with_its_targets_and_not_with_the_histories() -> None:
    floor, larger = measure_floor(SETTINGS), measure_floor([*SETTINGS, "trainer.batch_parts=2"])
    assert floor["features"] == NODES * FEATURES * 4
    assert floor["histories"] == larger["histories"] == NODES * 2 * CHANNELS * 4
    one_table = NODES // 4 * CHANNELS * 4
    assert 4 * one_table < floor["step"] < 30 * one_table  # two layers of targets and their gradients, halos three times as large, weights
    assert 1 < larger["step"] / floor["step"] < 2.2 and larger["batch"] > floor["batch"]


def test_one_measurement_has_every_stage_and_what_the_table_needs(tmp_path: Path) -> None:
    small = ["dataset.num_features=8", "model.hidden_channels=8", "partitioner=random", "partitioner.num_parts=4", "trainer.batch_parts=2"]
    row = measure("arxiv-size", 0.01, str(tmp_path), small)
    assert set(row["peaks"]) >= {"load", "partition", "permute", "setup", "refresh", "train", "evaluate", "checkpoint"}
    assert row["nodes"] == 1693 and row["libraries"] > 100 << 20 and row["total"] >= row["libraries"]
    assert "| arxiv-size, 0.01 of it | 1,693 |" in table({"rows": [json.loads(json.dumps(row))]})


def test_the_worst_moment_of_all_processes_may_be_that_of_metis() -> None:
    assert total(10, {"partition": 5, "train": 30}, {"metis": 20}) == 10 + 30
    assert total(10, {"partition": 15, "train": 30}, {"metis": 20}) == 10 + 35


@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_rows_of_other_cases_and_scales_stay(scale: float, tmp_path: Path) -> None:
    before = [{"case": "arxiv-size", "scale": 1.0}, {"case": "products-size", "scale": 0.1}]
    assert kept(before, tmp_path) == []
    (tmp_path / f"{NAME}.json").write_text(json.dumps({"machine": {}, "rows": before}))
    assert kept([{"case": "products-size", "scale": scale}], tmp_path) == (before if scale == 1 else before[:1])
