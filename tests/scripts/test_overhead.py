"""The figure of the overhead: the ratio is what was asked for, nothing but the traffic differs, and the figure is drawn."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import pytest
import torch

from gas_cli.errors import UserError
from scripts import overhead
from scripts.lib.exchange_timing import NOTHING, NoTraffic, batch_counts, epoch, prepared, time_in_turns
from tests.builders import rows_of


def arguments(work: Path) -> argparse.Namespace:
    return argparse.Namespace(work=work, device="cpu", parts=5, nodes=120, intra=8, model="gin", layers=3, hidden=8)


@pytest.mark.parametrize("ratio", [0, 0.25, 1, 3])
def test_batches_have_the_ratio_that_was_asked_for(ratio: float, tmp_path: Path) -> None:
    trainers = prepared(arguments(tmp_path), ratio, tmp_path)
    counts = batch_counts(trainers["synchronous"])
    assert counts["inter"] / counts["intra"] == pytest.approx(ratio, rel=0.03)
    assert counts["intra"] / counts["targets"] == pytest.approx(8, rel=0.06)  # self-loops and repeated edges are dropped
    assert (counts["targets"], counts["halo"]) == (120, ratio * 120)
    assert counts["bytes"] == 2 * 8 * 4 * (counts["targets"] + counts["halo"])


def test_a_halo_larger_than_all_other_batches_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--ratios 7: 5 batches of equal size allow 0 to 4"):
        overhead.check_ratios(argparse.Namespace(parts=5, ratios=[0, 4, 7]))


def test_without_traffic_a_step_does_the_same_computation(tmp_path: Path) -> None:
    """From histories of zeros, the first step of both is the same, bit for bit; only the tables tell them apart."""
    trainers = prepared(arguments(tmp_path), 1.0, tmp_path)
    for trainer in trainers.values():
        trainer.config.trainer.max_steps = 1
        trainer.train_epoch()
    synchronous, nothing = trainers["synchronous"], trainers[NOTHING]
    assert synchronous.progress.loss == nothing.progress.loss
    for one, other in zip(synchronous.model.parameters(), nothing.model.parameters(), strict=True):
        assert torch.equal(one, other)
    assert all(rows.any() for rows in rows_of(synchronous.histories)) and not any(rows.any() for rows in rows_of(nothing.histories))
    assert isinstance(nothing.link, NoTraffic)


@pytest.mark.parametrize("model", ["pna", "gat"])
def test_models_that_look_at_the_graph_before_they_train_are_measured_too(model: str, tmp_path: Path) -> None:
    """PNA's scalers come from the degrees that training sees: without them its loss is not finite."""
    trainers = prepared(argparse.Namespace(**{**vars(arguments(tmp_path)), "model": model}), 1.0, tmp_path)
    for trainer in trainers.values():
        trainer.train_epoch()
        assert math.isfinite(trainer.progress.loss) and trainer.progress.loss > 0


def test_turns_are_timed_and_become_lines_and_a_figure(tmp_path: Path) -> None:
    trainers = prepared(arguments(tmp_path), 0.5, tmp_path)
    once = epoch(trainers["synchronous"])
    assert 0 < once["pull"] + once["push"] + once["compute"] <= once["milliseconds"] * 1.001
    timed = time_in_turns(trainers, repeats=2)
    assert list(timed) == ["synchronous"]
    rows = overhead.rows_of({**batch_counts(trainers["synchronous"]), "timed": timed, "device": "cpu"})
    assert rows[0]["inter / intra"] == pytest.approx(0.5, rel=0.03) and rows[0][overhead.TRAFFIC] > 0
    assert overhead.draw(rows, tmp_path / "figure.png") and not overhead.draw([], tmp_path / "none.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_on_a_gpu_only_whole_steps_are_told() -> None:
    timed = {"milliseconds": 2.0, "overhead": 0.25, "traffic": 9.0, "pull": 1.0, "push": 1.0, "compute": 1.0}
    cell = {"intra": 8.0, "inter": 4.0, "targets": 2.0, "halo": 1.0, "bytes": 2**20}
    lines = overhead.rows_of({**cell, "timed": {"synchronous": timed, "pipelined": timed}, "device": "cuda"})
    assert [(line["exchange"], line["overhead %"], "pull ms" in line) for line in lines] == [
        ("synchronous", 25.0, False),
        ("pipelined", 25.0, False),
    ]
