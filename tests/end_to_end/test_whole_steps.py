"""GAS whose steps hold the whole graph: no table is made, no number changes, and what does read tables has them or is refused."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch

from gas_cli.config.compose import compose_config
from gas_cli.errors import UserError
from gas_cli.method.gas import GAS
from gas_cli.prediction import predict
from gas_cli.run import resume
from gas_cli.training.checkpoint import load_checkpoint
from tests.end_to_end.runs import SMALL, lines, train

ONE = ("partitioner.num_parts=1", "trainer.batch_parts=1")
ALL = ("partitioner.num_parts=6", "trainer.batch_parts=6")
OF_TABLES = ("seconds", "peak_memory", "history_age")


@contextmanager
def with_tables() -> Iterator[None]:
    """Earlier versions: every run of GAS has tables."""
    with mock.patch.object(GAS, "reads_histories", new=True):
        yield


def numbers(folder: Path) -> list[dict[str, Any]]:
    return [{key: value for key, value in line.items() if key not in OF_TABLES} for line in lines(folder)]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = load_checkpoint(folder / "checkpoints" / "last.pt")["model"]
    return found


def assert_equal_runs(one: Path, other: Path) -> None:
    assert numbers(one) == numbers(other)
    mine, others = weights(one), weights(other)
    assert all(torch.equal(mine[name], others[name]) for name in mine.keys() | others.keys())


def continued(folder: Path, *settings: str) -> None:
    with mock.patch("gas_cli.run.plot_curves"):
        resume(folder, compose_config([*SMALL, *settings]))


@pytest.mark.parametrize("parts", [ONE, ALL])
@pytest.mark.parametrize("further", [("history.refresh=2",), ("model=gcnii", "history.fill=false", "evaluation.every=2"), ("runs=2",)])
def test_without_tables_every_number_is_the_same(
    tmp_path: Path, parts: tuple[str, ...], further: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="gas_cli"):
        found = train(tmp_path / "without", *parts, *further)
    with with_tables():
        assert train(tmp_path / "with", *parts, *further)["memory"]["data"]["histories"] > 0
    assert found["memory"]["data"]["histories"] == 0
    assert "Histories: 0 bytes: each step holds the whole graph, so nothing reads them." in caplog.text
    runs = ("runs/00", "runs/01") if "runs=2" in further else (".",)
    for run in runs:
        assert_equal_runs(tmp_path / "without" / run, tmp_path / "with" / run)
        assert load_checkpoint(tmp_path / "without" / run / "checkpoints" / "last.pt")["method"] == {}


def test_one_step_too_few_keeps_its_tables(tmp_path: Path) -> None:
    assert train(tmp_path, "trainer.batch_parts=5")["history_bytes"] > 0


@pytest.mark.parametrize("parts", [ONE, ALL])
def test_a_checkpoint_of_an_earlier_version_goes_on_without_its_tables(tmp_path: Path, parts: tuple[str, ...]) -> None:
    train(tmp_path / "whole", *parts, "trainer.epochs=5")
    with with_tables():
        train(tmp_path / "earlier", *parts, "trainer.epochs=2")
    continued(tmp_path / "earlier", *parts, "trainer.epochs=5")
    assert_equal_runs(tmp_path / "earlier", tmp_path / "whole")


@pytest.mark.parametrize("reader", ["evaluation.mode=history", "evaluation.monitor=1"])
@pytest.mark.parametrize("parts", [ONE, ALL])
def test_what_reads_tables_has_them(tmp_path: Path, parts: tuple[str, ...], reader: str) -> None:
    assert train(tmp_path / "mine", *parts, reader)["history_bytes"] > 0
    with with_tables():
        train(tmp_path / "earlier", *parts, reader)
    assert_equal_runs(tmp_path / "mine", tmp_path / "earlier")
    assert lines(tmp_path / "mine")[-1]["history_age"] == lines(tmp_path / "earlier")[-1]["history_age"]


def test_predictions_from_histories_need_a_checkpoint_that_has_them(tmp_path: Path) -> None:
    with with_tables():
        train(tmp_path / "earlier", *ONE)
        wanted = predict(tmp_path / "earlier", mode="history").probabilities
    assert np.array_equal(predict(tmp_path / "earlier", mode="history").probabilities, wanted)
    train(tmp_path / "mine", *ONE)
    with pytest.raises(UserError, match=r"best\.pt: the checkpoint has no histories: each training step held the whole .* mode=exact"):
        predict(tmp_path / "mine", mode="history")
    assert np.array_equal(predict(tmp_path / "mine", mode="exact").probabilities, predict(tmp_path / "earlier", mode="exact").probabilities)


def test_the_monitor_cannot_start_in_a_run_without_tables(tmp_path: Path) -> None:
    train(tmp_path, *ONE)
    before = (tmp_path / "metrics.jsonl").read_bytes()
    with pytest.raises(UserError, match=r"last\.pt: the checkpoint has no histories: .*evaluation\.monitor=null"):
        continued(tmp_path, *ONE, "trainer.epochs=5", "evaluation.monitor=1")
    assert (tmp_path / "metrics.jsonl").read_bytes() == before
    continued(tmp_path, *ONE, "trainer.epochs=5")
