"""Precision, recall and F1 by class: the numbers, their table, and several runs together."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_fscore_support

from gas_cli.passes.class_counts import ClassCounts, count_classes
from gas_cli.report.classes import class_scores, class_table, pooled_classes
from gas_cli.report.results import results_table
from gas_cli.report.summary import write_summary

TRUE, PREDICTED = [0, 0, 0, 1, 1, 3], [0, 0, 1, 1, 2, 0]


def counted(true: list[int], predicted: list[int], classes: int) -> ClassCounts:
    return count_classes(torch.eye(classes)[predicted], torch.tensor(true))


def entries(scores: dict[str, Any], key: str) -> list[Any]:
    return [entry[key] for entry in scores["test_classes"]]


def test_numbers_by_hand() -> None:
    scores = class_scores(counted(TRUE, PREDICTED, 4), ("a", "b", "c", "d"))
    assert entries(scores, "name") == ["a", "b", "c", "d"] and entries(scores, "nodes") == [3, 2, 0, 1]
    assert entries(scores, "precision") == [2 / 3, 1 / 2, None, None]  # no node is of c; d was never predicted
    assert entries(scores, "recall") == [2 / 3, 1 / 2, None, 0.0]
    assert entries(scores, "f1") == [2 / 3, 1 / 2, None, 0.0]
    assert scores["confusion"] == [[2, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0], [1, 0, 0, 0]]


@given(st.integers(1, 60), st.integers(2, 9), st.booleans(), st.integers(0, 999))
def test_classes_with_nodes_score_what_scikit_learn_says(nodes: int, classes: int, several: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = torch.from_numpy(rng.standard_normal((nodes, classes)))
    y = torch.from_numpy(rng.integers(0, 2, (nodes, classes))).float() if several else torch.from_numpy(rng.integers(0, classes, nodes))
    predicted = scores > 0 if several else scores.argmax(1)
    expected = precision_recall_fscore_support(y, predicted, labels=range(classes), zero_division=np.nan)
    found = class_scores(count_classes(scores, y), ())
    assert entries(found, "nodes") == expected[3].tolist()
    for key, values in zip(("precision", "recall", "f1"), expected, strict=False):
        for entry, value in zip(found["test_classes"], values.tolist(), strict=True):
            wanted = None if math.isnan(value) or not entry["nodes"] else pytest.approx(value)
            assert entry[key] == wanted


def test_a_table_of_few_classes_has_all_of_them_and_the_matrix() -> None:
    assert class_table(class_scores(counted(TRUE, PREDICTED, 4), ("a", "b", "quite a long name", "d"))).splitlines() == [
        "class         test nodes  precision  recall      F1  predicted:  a  b  quite a lon…  d",
        "a                      3     0.6667  0.6667  0.6667              2  1             0  0",
        "b                      2     0.5000  0.5000  0.5000              0  1             1  0",
        "quite a lon…           0          -       -       -              0  0             0  0",
        "d                      1          -  0.0000  0.0000              1  0             0  0",
    ]


def test_a_table_of_many_classes_has_the_ten_worst_and_says_where_the_others_are() -> None:
    true = list(range(30)) * 2
    wrong = [(number + 1) % 30 if number in (3, 7) or (place < 30 and 10 <= number < 20) else number for place, number in enumerate(true)]
    lines = class_table(class_scores(counted(true, wrong, 30), ())).splitlines()
    assert len(lines) == 12 and [line.split()[0] for line in lines[1:3]] == ["3", "7"]
    assert {line.split()[0] for line in lines[3:11]} <= {*map(str, range(8, 21))} and lines[3].split()[-1] != "1.0000"
    assert lines[-1] == "The 10 classes of lowest F1 among 30; all of them are in summary.json."


def test_classes_without_test_nodes_are_not_among_the_worst() -> None:
    lines = class_table(class_scores(counted([0, 1, 1], [0, 1, 2], 25), ())).splitlines()
    assert [line.split()[0] for line in lines] == ["class", "1", "0", "The"]
    assert lines[-1].startswith("The 2 classes")


def test_several_runs_are_one_with_all_their_nodes() -> None:
    parts = [(TRUE, PREDICTED), ([2, 1], [2, 1])]
    together = class_scores(counted([*TRUE, 2, 1], [*PREDICTED, 2, 1], 4), ())
    assert pooled_classes([class_scores(counted(*part, 4), ()) for part in parts]) == together
    several = [count_classes(torch.randn(5, 3), torch.ones(5, 3)) for _ in range(2)]
    pooled = pooled_classes([class_scores(counts, ()) for counts in several])
    assert entries(pooled, "correct") == (several[0].correct + several[1].correct).tolist()
    assert pooled["confusion"] is None and pooled["confusion_left_out"] == "several labels per node"
    assert pooled_classes([class_scores(several[0], ()), {"test_classes": None}]) == {}


def test_the_table_follows_that_of_the_metrics_where_there_are_counts() -> None:
    summary = {"metric": "accuracy", "best_epoch": 1, "train": 1.0, "val": 1.0, "test": 1.0, "last": {"epoch": 1, "train": 1.0}}
    scores = class_scores(counted(TRUE, PREDICTED, 4), ())
    assert results_table(summary | scores) == results_table(summary) + class_table(scores)
    assert results_table(summary | {"test_classes": None}) == results_table(summary)


def test_a_row_of_the_matrix_is_a_line_of_the_file_and_text_stays_as_it_is(tmp_path: Path) -> None:
    summary = {"confusion": [[1, 2], [3, 4]], "text": "[\n1,\n2]", "names": ["[", "1", "]"], "empty": [], "null": [None, 0.5]}
    write_summary(tmp_path / "summary.json", summary)
    text = (tmp_path / "summary.json").read_text()
    assert json.loads(text) == summary
    assert {"[ 1, 2 ],", "[ 3, 4 ]"} <= {line.strip() for line in text.splitlines()}
