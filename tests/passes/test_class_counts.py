"""The counts of the classes equal scikit-learn's, and a checkpoint's are looked at before they are used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, multilabel_confusion_matrix

from gas_cli.errors import UserError
from gas_cli.passes import class_counts
from gas_cli.passes.class_counts import ClassCounts, count_classes


@given(st.integers(0, 60), st.integers(1, 9), st.integers(0, 999))
def test_one_label_equals_scikit_learn_with_and_without_the_matrix(nodes: int, classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, y = torch.from_numpy(rng.standard_normal((nodes, classes))), torch.from_numpy(rng.integers(0, classes, nodes))
    expected = np.zeros((classes, classes), int)
    if nodes:
        expected = confusion_matrix(y, scores.argmax(1), labels=range(classes))
    found = count_classes(scores, y)
    assert found.confusion is not None and (found.confusion.numpy() == expected).all() and found.left_out == ""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(class_counts, "MOST_IN_MATRIX", 0)
        without = count_classes(scores, y)
        assert without.confusion is None and without.left_out == f"{classes} classes, more than 0"
    for counts in (found, without):
        assert counts.nodes.tolist() == expected.sum(1).tolist() and counts.predicted.tolist() == expected.sum(0).tolist()
        assert counts.correct.tolist() == expected.diagonal().tolist()


@given(st.integers(1, 60), st.integers(2, 9), st.integers(0, 999))
def test_several_labels_equal_scikit_learn(nodes: int, labels: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, y = rng.standard_normal((nodes, labels)), rng.integers(0, 2, (nodes, labels))
    expected = multilabel_confusion_matrix(y, scores > 0)  # [labels, 2, 2]: of each label, true (row) and predicted (column)
    found = count_classes(torch.from_numpy(scores), torch.from_numpy(y).float())
    assert found.confusion is None and found.left_out == "several labels per node"
    assert found.nodes.tolist() == expected[:, 1].sum(1).tolist() and found.predicted.tolist() == expected[:, :, 1].sum(1).tolist()
    assert found.correct.tolist() == expected[:, 1, 1].tolist()


def saved() -> dict[str, Any]:
    return asdict(count_classes(torch.eye(3)[[0, 1, 2, 2]], torch.tensor([0, 1, 1, 2])))


def test_a_saved_state_comes_back() -> None:
    state = asdict(ClassCounts.from_state_dict(saved(), 3))
    assert all(torch.equal(state[key], value) if isinstance(value, torch.Tensor) else state[key] == value for key, value in saved().items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("nodes"), "lack nodes"),
        (lambda s: s.update(nodes=[1, 2, 1]), "nodes of the classes is a list"),
        (lambda s: s.update(correct=torch.ones(4, dtype=torch.int64)), "correct of the classes is int64 [4]"),
        (lambda s: s.update(predicted=torch.ones(3)), "is float32 [3]"),
        (lambda s: s.update(confusion=torch.ones(3, dtype=torch.int64)), "the confusion matrix is int64 [3]"),
        (lambda s: s.update(multilabel=1), "multilabel of the classes is a int"),
        (lambda s: s["correct"].add_(1), "contradict each other"),
        (lambda s: s["confusion"].add_(1), "contradict each other"),
        (lambda s: s.update(correct=s["correct"] - 2, confusion=None), "contradict each other"),
    ],
)
def test_a_saved_state_that_does_not_fit_is_refused(change: Callable[[dict[str, Any]], object], message: str) -> None:
    state = saved()
    change(state)
    with pytest.raises(UserError) as caught:
        ClassCounts.from_state_dict(state, 3)
    assert message in str(caught.value)
