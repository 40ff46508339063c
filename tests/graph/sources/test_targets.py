"""Targets of a regression, from folders, node tables and programs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gas_cli.config.dataset import FolderConfig
from gas_cli.errors import UserError
from gas_cli.graph.describe import describe
from gas_cli.graph.graph import Graph
from tests.graph.sources.own_folder import N, Write, arrays, load

Y = np.random.default_rng(3).standard_normal(N).astype(np.float32) * 100
OUTSIDE = int(np.flatnonzero(~(arrays()["train_mask"] | arrays()["val_mask"]))[0])
"""A node that is in no part once it is taken out of the test nodes."""


def without(**tables: Any) -> dict[str, Any]:
    return {"test_mask": arrays()["test_mask"] & (np.arange(N) != OUTSIDE), **tables}


@pytest.mark.parametrize("y", [Y, Y.astype(np.float64)[:, None], np.stack([Y, -Y], 1), np.arange(N) - 3, np.arange(N) % 2])
def test_numbers_come_back_as_they_were_written(write: Write, y: np.ndarray) -> None:
    graph = load(write(labels=y), task="regression").validate()
    expected = torch.from_numpy(y.astype(np.float32)).squeeze(-1 if y.shape[-1] == 1 else 0) if y.ndim == 2 else torch.from_numpy(y).float()
    assert torch.equal(graph.y, expected) and graph.y.dtype == torch.float32
    assert (graph.task, graph.metric, graph.num_classes) == ("regression", "mae", 2 if graph.y.dim() == 2 else 1)
    assert "target" in describe(graph) and "standard deviation" in describe(graph)


def test_a_target_is_unknown_where_no_part_has_the_node(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "gas_cli")
    y = np.where(np.arange(N) == OUTSIDE, np.nan, Y)
    graph = load(write(**without(labels=y)), task="regression", metric="r2")
    assert bool(graph.y[OUTSIDE].isnan()) and int(graph.y.isnan().sum()) == 1 and graph.metric == "r2"
    assert "1 node(s) have an unknown target" in caplog.text
    with pytest.raises(UserError, match=rf"node {OUTSIDE} has an unknown target, but is in a split. Add it, or remove the node"):
        load(write(labels=y, test_mask=arrays()["test_mask"] | (np.arange(N) == OUTSIDE)), task="regression")
    with pytest.raises(UserError, match=r"has a NaN or infinite target at node \d+, which is in a split"):
        replace(graph, y=torch.full_like(graph.y, torch.nan)).validate()


@pytest.mark.parametrize("value", [np.inf, 1e39])
def test_infinite_targets_are_refused(write: Write, value: float) -> None:
    with pytest.raises(UserError, match=r"labels.npy, row 4: a target is infinite, or larger than float32 can hold"):
        load(write(labels=np.where(np.arange(N) == 4, value, Y.astype(np.float64))), task="regression")


def test_fractions_without_the_setting_name_it(write: Write) -> None:
    with pytest.raises(UserError, match=r"this looks like a regression target.*type dataset.task=regression"):
        load(write(labels=Y))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"task": "regression", "metric": "accuracy"}, "dataset.metric=accuracy is not valid: expected one of mae, rmse, r2 with"),
        ({"task": "regression", "num_classes": 3}, "dataset.num_classes=3 is not valid: expected 0 with dataset.task=regression"),
        ({"metric": "rmse"}, "dataset.metric=rmse is not valid: expected a metric of classes, or dataset.task=regression"),
        ({"task": "classes"}, "dataset.task=classes is not valid: expected one of auto, regression"),
    ],
)
def test_settings_that_contradict_the_task_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        FolderConfig(**settings)


def test_a_column_of_numbers_is_the_target_and_an_empty_cell_is_unknown(tmp_path: Path) -> None:
    split = ["train", "val", "test", ""] * 5
    rows = [f"{i},{'' if i == 3 else i - 2},{0.5 * i},{split[i]}" for i in range(20)]
    (tmp_path / "nodes.csv").write_text("\n".join(["id,label,age,split", *rows]) + "\n")
    (tmp_path / "edges.csv").write_text("source,target\n0,1\n1,2\n5,7\n")
    graph = load(tmp_path, task="regression")
    expected = torch.arange(20.0) - 2
    assert bool(graph.y[3].isnan()) and torch.equal(graph.y.nan_to_num(1.0), expected)  # -1 is a number like others
    (tmp_path / "nodes.csv").write_text("\n".join(["id,label,age,split", *(row.replace(",", ",a", 1) for row in rows)]) + "\n")
    with pytest.raises(UserError, match=r"column 'label', read as the target, holds words. Expected a column of numbers"):
        load(tmp_path, task="regression")


def test_arrays_of_a_program() -> None:
    edges, masks = np.array([[0, 1, 2], [1, 2, 3]]), {"train": [0, 1], "val": [2], "test": [3]}
    graph = Graph.from_edges(edges, np.eye(4), [0.5, -1.0, 2.0, 7.25], **masks, task="regression", metric="rmse")
    assert graph.y.tolist() == [0.5, -1.0, 2.0, 7.25] and (graph.task, graph.metric) == ("regression", "rmse")
    with pytest.raises(UserError, match="y holds texts such as 'a': expected numbers with task=regression"):
        Graph.from_edges(edges, np.eye(4), ["a", "b", "a", "b"], **masks, task="regression")


def test_the_same_numbers_as_classes_have_another_fingerprint(write: Write) -> None:
    folder = write(labels=np.arange(N) % 2)
    assert load(folder, task="regression").fingerprints()["task"] == "regression" and "task" not in load(folder).fingerprints()
