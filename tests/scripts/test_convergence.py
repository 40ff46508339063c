"""Epochs until full batch's accuracy: what is read of a run, what is compared, and that every run differs."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from gas_cli.config.compose import compose_config
from scripts import convergence
from scripts.convergence import FULL, GAS, OF_STEPS, VARIANTS, Run
from scripts.lib.epoch_cost import measure

EVERY = argparse.Namespace(runs=2, steps=list(OF_STEPS), variants=list(VARIANTS))


def figure(*climb: tuple[int, float], best: float = 70.0) -> dict[str, Any]:
    return {"epochs": 300, "best": best, "mean": best - 1, "swing": 0.5, "climb": [(epoch, val, 0.1 * epoch) for epoch, val in climb]}


def test_every_run_has_a_name_and_settings_of_its_own_and_full_batch_one_for_all_steps() -> None:
    runs = convergence.chosen(EVERY)
    assert len({run.trial.name for run in runs}) == len({run.trial.settings for run in runs}) == len(runs) == 2 * (11 + 6 - 1)
    assert [run.variant for run in runs].count(FULL) == 2 and runs[0].variant == FULL


@pytest.mark.parametrize("run", [Run(steps, variant, 0) for steps, variants in OF_STEPS.items() for variant in variants])
def test_an_epoch_has_the_batches_that_its_row_says(run: Run) -> None:
    config = compose_config(run.trial.settings)
    if run.variant == FULL:
        assert not config.method.has_parts
    elif run.variant.startswith("sampling"):
        assert 0 <= config.method.batch_size * run.steps - convergence.TRAIN * convergence.NODES < run.steps  # type: ignore[attr-defined]
    else:
        assert config.partitioner.num_parts == run.steps * config.trainer.parts_per_step


def test_a_run_is_read_by_its_best_epochs_so_far_and_its_training_steps(tmp_path: Path) -> None:
    accuracies = [(0.2, 0.3), (0.5, 0.6), (0.4, 0.7), (0.6, 0.9)]
    seconds = {"compute": 0.25, "pull": 0.25, "evaluate": 7.0}
    lines = [{"epoch": epoch, "val": val, "test": test, "seconds": seconds} for epoch, (val, test) in enumerate(accuracies, start=1)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    figures = convergence.figures(tmp_path)
    assert figures["climb"] == [(1, 0.2, 0.5), (2, 0.5, 1.0), (4, 0.6, 2.0)]
    assert (figures["best"], figures["mean"], figures["epochs"]) == (pytest.approx(90.0), pytest.approx(80.0), 4)


def test_the_target_is_that_of_full_batch_with_the_same_seed() -> None:
    figures = {
        Run(1, FULL, 0): figure((1, 0.5), (90, 0.8), (200, 0.85)),  # the target is of the first 150 epochs
        Run(1, FULL, 1): figure((1, 0.5), (90, 0.7)),
        Run(2, GAS, 0): figure((1, 0.5), (50, 0.794), (60, 0.795)),  # within the tolerance of 0.8 from epoch 60 on
        Run(2, GAS, 1): figure((1, 0.5), (40, 0.72)),
        Run(2, "Cluster-GCN", 0): figure((1, 0.5), (100, 0.8)),
        Run(2, "Cluster-GCN", 1): figure((1, 0.5), (100, 0.69)),
        Run(2, "GAS, weighted loss", 0): figure((25, 0.9)),
    }
    costs = {(2, GAS): {"seconds": 2.0, "step_bytes": 2**20}, (2, "GAS, weighted loss"): {"seconds": 4.0, "step_bytes": 2**21}}

    def row(variant: str) -> dict[str, Any]:
        found = convergence.describe(2, variant, figures, costs)
        assert found is not None
        return found

    assert (row(GAS)["epochs to target"], row(GAS)["to GAS"], row(GAS)["processor s to target"]) == ("50 (60, 40)", "1.00x", "100.0")
    assert (row("Cluster-GCN")["epochs to target"], row("Cluster-GCN")["to GAS"]) == (">300 (100, >300)", "")
    assert (row("Cluster-GCN")["paper"], row("Cluster-GCN")["paper s"]) == ("1.20x", "1.37x")
    assert (row("GAS, weighted loss")["to GAS"], row("GAS, weighted loss")["s to GAS"]) == ("0.50x", "1.00x")
    assert (row("GAS, weighted loss")["MiB to GAS"], row(FULL)["steps per epoch"]) == ("2.00x", 1)
    assert (row(GAS)["epochs to its best"], row(FULL)["epochs to its best"]) == (">300 (>300, 40)", "145 (200, 90)")
    assert convergence.describe(8, GAS, figures, costs) is None


def test_a_report_keeps_what_the_next_one_needs(tmp_path: Path) -> None:
    arguments = argparse.Namespace(out=tmp_path, name="convergence", work=tmp_path, report=True, rounds=1, set=[])
    runs = {
        "0": {"run": {"steps": 1, "variant": FULL, "seed": 0}, "figures": figure((90, 0.8)), "code": "abc"},
        "1": {"run": {"steps": 2, "variant": GAS, "seed": 0}, "figures": figure((60, 0.8)), "code": "abc"},
    }
    assert convergence.kept(arguments) == convergence.earlier_costs(arguments) == {}
    convergence.report(arguments, runs)
    again = convergence.kept(arguments)
    assert again == json.loads(json.dumps(runs))
    first = (tmp_path / "convergence.csv").read_text()
    convergence.report(arguments, again)
    assert (tmp_path / "convergence.csv").read_text() == first and "60 (60)" in first


def test_costs_are_measured_anew_only_where_the_report_lacks_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = argparse.Namespace(out=tmp_path, name="convergence", report=False, rounds=1, set=[])
    calls: list[set[str]] = []

    def count(variants: dict[str, Any], rounds: int) -> dict[str, dict[str, float]]:
        calls.append(set(variants))
        return {name: {"seconds": 0.25, "step_bytes": 2**20} for name in variants}

    monkeypatch.setattr("scripts.lib.epoch_cost.measure", count)
    full = {"run": {"steps": 1, "variant": FULL, "seed": 0}, "figures": figure((90, 0.8)), "code": "abc"}
    gas = {"run": {"steps": 2, "variant": GAS, "seed": 0}, "figures": figure((60, 0.8)), "code": "abc"}
    convergence.report(arguments, {"0": full}, with_costs=True)
    convergence.report(arguments, {"0": full}, with_costs=True)
    assert calls == [{"1 full batch"}]
    convergence.report(arguments, {"0": full, "1": gas})
    assert len(calls) == 1 and len(convergence.earlier_costs(arguments)) == 1
    convergence.report(arguments, {"0": full, "1": gas}, with_costs=True)
    assert calls[1:] == [{"1 full batch", "2 GAS"}]
    assert "60 (60)" in (page := (tmp_path / "convergence.md").read_text()) and "15.0" in page
    arguments.set = ["trainer.epochs=2"]
    convergence.report(arguments, {"0": full}, with_costs=True)
    assert calls[2:] == [{"1 full batch"}]


def test_more_nodes_in_a_step_take_more_bytes() -> None:
    size = ("dataset.num_nodes=3000", "dataset.num_communities=4", "dataset.average_degree=2")
    graph = ("dataset=generated", *size, "model=gcn", "model.hidden_channels=64")
    parts = ("method=gas", "partitioner=range", "partitioner.num_parts=8")
    found = measure({"full": (*graph, "method=full_batch"), "gas": (*graph, *parts, "trainer.batch_parts=1")}, rounds=1)
    assert found["full"]["step_bytes"] > 1.5 * found["gas"]["step_bytes"] > 0
    assert min(cost["seconds"] for cost in found.values()) > 0
