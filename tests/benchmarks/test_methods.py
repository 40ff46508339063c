"""The cost of methods: every variant is another training, and the page is that of the numbers."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from benchmarks import methods
from scripts.lib.report import RESULTS, page, read

SMALL = (
    "dataset=generated", "dataset.num_nodes=300", "dataset.average_degree=6", "dataset.num_features=8", "dataset.num_communities=4",
    "partitioner=random", "partitioner.num_parts=6", "partitioner.cache=null", "trainer.batch_parts=2", "model=gcn", "model.num_layers=3",
    "model.hidden_channels=16",
)  # fmt: skip


def test_histories_of_gradients_have_tables_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(methods.CASES, "small", SMALL)
    rows = methods.compare("small", argparse.Namespace(root=Path(), device="cpu", rounds=1))
    assert [row["method"] for row in rows] == list(methods.VARIANTS)
    gas, *others = rows
    assert gas["ratio"] == gas["step_ratio"] == 1 and gas["step_bytes"] > 0
    assert gas["table_bytes"] == 300 * (16 + 16) * 4
    assert {row["table_bytes"] for row in others} == {300 * (16 + 16 + 16 + 4) * 4}  # the last layer sums up classes


def test_the_page_is_that_of_the_numbers() -> None:
    assert (RESULTS / "methods-cpu.md").read_text(encoding="utf-8") == page(methods.table, read("methods-cpu"))
