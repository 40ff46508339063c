"""How often each class was right: the counts behind precision, recall and the confusion matrix."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from gas_cli.saved import check_keys, check_tensor, misfit

MOST_IN_MATRIX = 200
"""Classes up to which the confusion matrix is kept; its size is their square."""


@dataclass(frozen=True, eq=False)
class ClassCounts:
    """Counts of n nodes by class, int64 on the CPU.

    nodes      [C] nodes of the class; with several labels per node, nodes that have the label
    predicted  [C] nodes that were predicted to be of it
    correct    [C] nodes of which both is true
    confusion  [C, C] nodes by true class (row) and predicted class (column); None with several labels, or above MOST_IN_MATRIX classes
    """

    nodes: Tensor
    predicted: Tensor
    correct: Tensor
    confusion: Tensor | None = None
    multilabel: bool = False

    @property
    def num_classes(self) -> int:
        return self.nodes.numel()

    @property
    def left_out(self) -> str:
        """Why there is no confusion matrix; empty where there is one."""
        if self.confusion is not None:
            return ""
        return "several labels per node" if self.multilabel else f"{self.num_classes} classes, more than {MOST_IN_MATRIX}"

    @classmethod
    def from_state_dict(cls, state: Any, num_classes: int) -> ClassCounts:
        """The counts in a checkpoint. Raises UserError where they are not of `num_classes` classes, or contradict each other."""
        check_keys("the counts of the classes", state, [field.name for field in fields(cls)])
        for name in ("nodes", "predicted", "correct"):
            check_tensor(f"{name} of the classes", state[name], torch.empty(num_classes, dtype=torch.int64))
        if state["confusion"] is not None:
            check_tensor("the confusion matrix", state["confusion"], torch.empty(num_classes, num_classes, dtype=torch.int64))
        if type(state["multilabel"]) is not bool:
            misfit(f"multilabel of the classes is a {type(state['multilabel']).__name__}", "true or false")
        counts = cls(**state)
        if not counts._agree():
            misfit("the counts of the classes contradict each other", "those of one evaluation")
        return counts

    def _agree(self) -> bool:
        if bool((self.correct < 0).any()) or bool((self.correct > torch.minimum(self.nodes, self.predicted)).any()):
            return False
        matrix = self.confusion
        if matrix is None:
            return True
        sums = ((matrix.sum(1), self.nodes), (matrix.sum(0), self.predicted), (matrix.diagonal(), self.correct))
        return bool((matrix >= 0).all()) and all(torch.equal(found, expected) for found, expected in sums)


def count_classes(scores: Tensor, y: Tensor) -> ClassCounts:
    """Counts of scores [n, C] against y int64 [n], or y [n, C] of zeros and ones; predicted is what the metrics take as predicted."""
    if y.dim() == 2:
        predicted, true = scores > 0, y > 0.5
        nodes, found, both = (marks.sum(0).cpu() for marks in (true, predicted, true & predicted))
        return ClassCounts(nodes, found, both, multilabel=True)
    predicted, num_classes = scores.argmax(1), scores.shape[1]
    if num_classes <= MOST_IN_MATRIX:
        matrix = _occurrences(y * num_classes + predicted, num_classes**2).view(num_classes, num_classes)
        return ClassCounts(matrix.sum(1), matrix.sum(0), matrix.diagonal().clone(), matrix)
    nodes, found, both = (_occurrences(classes, num_classes) for classes in (y, predicted, y[predicted == y]))
    return ClassCounts(nodes, found, both)


def _occurrences(numbers: Tensor, count: int) -> Tensor:
    """How often each of 0 to `count` - 1 occurs: int64 [count]."""
    return torch.bincount(numbers.cpu(), minlength=count)
