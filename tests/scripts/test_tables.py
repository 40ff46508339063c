"""What the tables make of finished runs."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from gas_cli import train
from gas_cli.config.compose import compose_config
from gas_cli.report.recorder import read_metrics
from scripts import ablation, methods, precision, stability, table1, vr_gcn


def test_table1_pairs_seeds_and_leaves_out_what_is_not_finished() -> None:
    tests = {(0, "full_batch"): 0.80, (0, "gas"): 0.82, (1, "full_batch"): 0.81, (1, "gas"): 0.80, (2, "gas"): 0.1}
    summaries = {table1.trial("gcn", "cora", method, seed).name: {"test": test} for (seed, method), test in tests.items()}
    row = table1.compare("gcn", "cora", 10, summaries)
    assert row is not None
    assert row["runs"] == 2
    assert (row["paper GAS"], row["ours GAS"], row["difference GAS"]) == ("82.29 ± 0.76", "81.00 ± 1.41", "-1.29")
    assert row["gap"] == pytest.approx(0.5)
    assert row["within one std"] == "full no and GAS no"
    assert table1.compare("gcn", "citeseer", 10, summaries) is None


def test_table1_has_the_thirty_cells_of_the_paper() -> None:
    arguments = argparse.Namespace(models=list(table1.PUBLISHED), datasets=list(table1.DATASETS), runs=2)
    trials = table1.trials(arguments)
    assert len({trial.name for trial in trials}) == len(trials) == 30 * 2 * 2
    assert len({trial.settings for trial in trials}) == len(trials)


def test_every_variant_of_the_ablation_differs_from_the_others_in_what_it_names() -> None:
    cases = {**ablation.PAIRS, "gin-cluster": ablation.cluster(240)}
    trials = ablation.trials(cases, runs=2)
    assert len({trial.name for trial in trials}) == len({trial.settings for trial in trials}) == len(trials)


def test_the_ablation_compares_with_the_same_seed() -> None:
    values = {"GAS, published settings": {0: 0.80, 1: 0.90}, "random parts": {1: 0.86}}
    summaries = {
        ablation.trial_name("gcnii-cora", variant, seed): {"test": test}
        for variant, tests in values.items()
        for seed, test in tests.items()
    }
    rows = ablation.compare("gcnii-cora", ablation.PAIRS["gcnii-cora"], 2, summaries)
    assert [(row["variant"], row["to published settings"], row["runs"]) for row in rows] == [
        ("GAS, published settings", "", 2),
        ("random parts", "-4.00 ± 0.00", 1),
    ]


@pytest.mark.parametrize("graphs", [12, 240, 12_000])
def test_cluster_keeps_its_steps_per_epoch(graphs: int) -> None:
    settings = dict(setting.split("=") for setting in ablation.cluster(graphs).settings)
    parts, together = int(settings["partitioner.num_parts"]), int(settings["trainer.batch_parts"])
    assert -(-parts // together) in range(30, 40)


def test_precision_compares_accuracy_and_time_with_the_same_seed() -> None:
    runs = {("float32", 0): (0.80, 10.0), ("float32", 1): (0.81, 12.0), ("bfloat16", 0): (0.802, 5.0), ("bfloat16", 2): (0.5, 1.0)}
    done = {("cora", variant, seed): {"test": test, "seconds": seconds} for (variant, seed), (test, seconds) in runs.items()}
    row = precision.compare("gcn", "cora", "bfloat16", done)
    assert row is not None
    assert (row["to float32"], row["within 0.3"], row["epoch to float32"], row["runs"]) == ("+0.20 ± 0.00", "yes", "0.50x", 1)
    assert precision.compare("gcn", "cora", "float16 histories", done) is None


def test_stability_reads_the_second_half_of_the_epochs(tmp_path: Path) -> None:
    lines = [{"epoch": epoch, "test": test} for epoch, test in enumerate((0.1, 0.2, 0.8, 0.9), start=1)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    curve = stability.curve(tmp_path, 0.85)
    assert (curve.best, curve.mean, curve.swing) == pytest.approx((85.0, 85.0, 50**0.5))
    full, gas = stability.Curve(80.0, 79.0, 1.0), stability.Curve(82.0, 77.0, 3.0)
    curves = {("gat", "cora", stability.VARIANTS[0], 0): full, ("gat", "cora", stability.VARIANTS[1], 0): gas}
    row = stability.describe("gat", "cora", stability.VARIANTS[1], curves)
    assert row is not None and (row["to full batch"], row["swing"]) == ("-2.00 ± 0.00", "3.00")
    assert stability.describe("gat", "cora", stability.VARIANTS[2], curves) is None


def test_stability_reads_the_runs_of_table_1_and_changes_one_thing() -> None:
    published = table1.trial("appnp", "citeseer", "gas", 3)
    assert stability.trial("appnp", "citeseer", stability.VARIANTS[1], 3) == published
    for variant, change in zip(stability.VARIANTS[2:], ("trainer.loss_weighting=full_batch", "trainer.batch_parts=12"), strict=True):
        changed = stability.trial("appnp", "citeseer", variant, 3)
        assert changed.name != published.name and changed.settings == (*published.settings, change)


def test_methods_reads_both_kinds_of_weights_of_a_run(tmp_path: Path) -> None:
    accuracies = [(0.2, 0.1, 0.3), (0.5, 0.4, 0.6), (0.4, 0.8, 0.7), (0.6, 0.9, 0.9)]  # validation, test, test by the averaged weights
    lines = [
        {
            "epoch": epoch, "val": val, "test": averaged, "live": {"val": val, "test": live},
            "seconds": {"compute": 0.25, "pull": 0.25, "evaluate": 7.0},
            "monitor": {"gradient": {"total": 0.2, "weights": {"convs.0.weight": 0.1 * epoch, "convs.0.bias": 9.0}}},
        }
        for epoch, (val, live, averaged) in enumerate(accuracies, start=1)
    ]  # fmt: skip
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    data = {"graph": 1000, "features": 1000, "histories": 30, "gradients": 12}
    (tmp_path / "summary.json").write_text(json.dumps({"memory": {"data": data}}))
    figures = methods.figures(tmp_path)
    assert (figures["epochs"], figures["seconds"], figures["bias"], figures["tables"]) == (4, 0.5, pytest.approx(0.2), 42)
    assert figures["bias_by_weight"] == pytest.approx({"convs.0.weight": 0.25})
    assert figures["live"]["climb"] == [(1, 0.2), (2, 0.5), (4, 0.6)]
    assert (figures["live"]["best"], figures["live"]["mean"]) == pytest.approx((90.0, 85.0))
    assert (figures["averaged"]["best"], figures["averaged"]["mean"]) == pytest.approx((90.0, 80.0))


def test_methods_compares_with_full_batch_of_the_same_seed() -> None:
    def run(variant: str, seed: int, mean: float, climb: list[tuple[int, float]]) -> tuple[methods.Run, dict[str, Any]]:
        curve = {"best": mean, "mean": mean, "swing": 1.0, "climb": climb}
        return methods.Run("cora-gcn", 1.0, variant, seed), {"live": curve, "averaged": curve, "seconds": 1.0, "bias": None}

    figures = dict([run(methods.FULL, 0, 80.0, [(1, 0.5), (9, 0.8)]), run("GAS", 0, 78.0, [(1, 0.5), (7, 0.795)]), run("GAS", 1, 60.0, [])])
    row = methods.describe("cora-gcn", 1.0, "GAS", "live", figures)
    assert row is not None
    assert (row["to full batch"], row["epochs to full batch"], row["runs"]) == ("-2.00 ± 0.00", "7", 2)
    assert methods.describe("cora-gcn", 0.1, "GAS", "live", figures) is None


def test_every_run_of_methods_has_a_name_and_settings_of_its_own() -> None:
    runs = [methods.Run(cell, rate, variant, 0) for cell in methods.CHOOSING for rate in (1.0, 0.25) for variant in methods.VARIANTS]
    assert len({run.trial.name for run in runs}) == len({run.trial.settings for run in runs}) == len(runs)


def test_vr_gcn_reads_where_patience_stops_a_run() -> None:
    """An epoch that is better just when patience ends still counts; nothing after that end does."""
    late = [0.5] + [0.4] * 9 + [0.6] + [0.6] * 10 + [0.9]  # better after 10 epochs, then not for 11
    found = vr_gcn.read([(val, epoch / 100, 1.0) for epoch, val in enumerate(late, start=1)])
    last = (pytest.approx(22), 22)  # a loss that stands still does not stop the published rule
    assert found == {"stopped": (pytest.approx(11), 11), "rule": last, "best": last, "last": last}
    early = vr_gcn.read([(val, 0.5, 2.0 if epoch in (10, 12) else 1.0) for epoch, val in enumerate([0.5] + [0.4] * 10 + [0.6, 0.6, 0.1])])
    assert {name: epoch for name, (_, epoch) in early.items()} == {"stopped": 1, "rule": 13, "best": 12, "last": 14}


@pytest.mark.parametrize("patience", [1, 2, 5])
def test_vr_gcn_reads_what_a_run_with_patience_gives(tmp_path: Path, patience: int) -> None:
    graph = ["dataset=generated", "dataset.num_nodes=120", "dataset.feature_noise=2", "partitioner.cache=null"]
    settings = [*graph, "~tuned", "method=vr_gcn", "trainer.epochs=25", "device=cpu", "optimizer.lr=0.1", f"trainer.patience={patience}"]
    train([*settings, "trainer.patience=null", "evaluation.select=loss"], tmp_path / "whole")
    stopped = train(settings, tmp_path / "stopped")
    rule = train([*settings, "trainer.patience_rule=mean", "evaluation.select=loss"], tmp_path / "rule")
    records = read_metrics(tmp_path / "whole" / "metrics.jsonl")
    found = vr_gcn.read([(line["val"], line["test"], line["eval_loss"]["val"]) for line in records], patience)
    assert found["stopped"] == (pytest.approx(100 * stopped.summary["test"]), stopped.summary["best_epoch"])
    assert found["rule"] == (pytest.approx(100 * rule.summary["last"]["test"]), len(rule.metrics))
    assert len(stopped.metrics) < 25 and len(rule.metrics) < 25


def test_vr_gcn_compares_with_the_paper_and_with_full_batch_of_the_same_seed() -> None:
    def run(variant: str, seed: int, test: float) -> tuple[vr_gcn.Run, dict[str, Any]]:
        return vr_gcn.Run("cora", variant, seed), {"stopped": (0.0, 1), "best": (test, 10 + seed), "last": (0.0, 200)}

    found = dict([run(vr_gcn.FULL, 0, 82.0), run("VR-GCN, cv", 0, 81.0), run("VR-GCN, cv", 1, 80.5)])
    row = vr_gcn.describe("cora", "VR-GCN, cv", "best", found)
    assert row is not None
    assert (row["difference"], row["within 1.0"], row["to full batch"]) == ("-1.25", "no", "-1.00 ± 0.00")
    assert (row["epochs"], row["runs"]) == ("10.5", 2)
    assert vr_gcn.describe("cora", "VR-GCN, cvd", "best", found) is None
    assert vr_gcn.describe("pubmed", "VR-GCN, cv", "best", found) is None


def test_every_run_of_vr_gcn_has_a_name_and_settings_of_its_own_that_are_valid() -> None:
    runs = [vr_gcn.Run(dataset, variant, seed) for dataset in vr_gcn.PUBLISHED for variant in vr_gcn.VARIANTS for seed in range(2)]
    assert len({run.trial.name for run in runs}) == len({run.trial.settings for run in runs}) == len(runs)
    configs = [compose_config(run.trial.settings) for run in runs]
    assert {config.model.hidden_channels for config in configs} == {32}
    assert {(config.optimizer.reg_weight_decay, config.optimizer.weight_decay) for config in configs} == {(5e-4, 0.0)}
