"""Stages inside one another: every stretch of the program has one account."""

from __future__ import annotations

import pytest

from gas_cli.measure.nesting import Nesting


class Ledger(Nesting):
    """Notes which account pays at every change."""

    def __init__(self) -> None:
        super().__init__()
        self.paid: list[str | None] = []

    def stage(self, name: str) -> None:
        with self._inside(name):
            pass

    def _charge(self) -> None:
        self.paid.append(self._innermost)


def test_the_innermost_pays_and_the_outer_one_before_and_after_it() -> None:
    ledger = Ledger()
    with ledger._inside("train"):
        ledger.stage("pull")
        ledger.stage("train")
    ledger.stage("evaluate")
    assert ledger.paid == [None, "train", "pull", "train", "train", "train", None, "evaluate"]


def test_a_stage_that_raises_pays_and_is_left() -> None:
    ledger = Ledger()
    with pytest.raises(ValueError, match="inside"), ledger._inside("train"), ledger._inside("pull"):
        raise ValueError("inside")
    assert ledger.paid == [None, "train", "pull", "train"]
    ledger.stage("evaluate")
    assert ledger.paid[4:] == [None, "evaluate"]


def test_a_stage_begins_where_it_is_entered_not_where_it_is_named() -> None:
    ledger = Ledger()
    stage = ledger._inside("train")
    assert ledger.paid == []
    with stage:
        assert ledger.paid == [None]
