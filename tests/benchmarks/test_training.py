"""What is timed of a training: the same graph and model for all, phases that add up, traffic that is counted right; growth; the race."""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import epoch_time, growth, time_to_accuracy
from benchmarks.lib.cases import CASES, MODELS, VARIANTS, scaled
from benchmarks.lib.our_training import PHASES, batches, make_trainer, prepare_timed
from benchmarks.lib.racers import our_racer
from gas_cli.batch.batch import Rows
from gas_cli.config.compose import compose_config
from gas_cli.graph.load import load_graph
from gas_cli.model.registry import build_model
from gas_cli.run import prepare
from scripts.lib.pyg_models import build

SMALL = (
    "dataset=generated", "dataset.num_nodes=300", "dataset.average_degree=6", "dataset.num_features=8", "dataset.num_communities=4",
    "partitioner.num_parts=6", "trainer.batch_parts=2", "device=cpu", "partitioner.cache=null",
)  # fmt: skip
GCN = ("model=gcn", "model.num_layers=3", "model.hidden_channels=16", "model.batch_norm=true", "model.drop_input=false")
# What a variant cannot do without: one of these.
LIBRARIES = {"pyg-sparse-tensor": ("torch_sparse",), "pyg-neighbor-loader": ("torch_sparse", "pyg_lib")}


def with_libraries(variants: tuple[str, ...]) -> list[Any]:
    """Only a variant whose library is not installed may be skipped; any other that does not run has failed."""
    cases = []
    for variant in variants:
        names = LIBRARIES.get(variant, ())
        without = bool(names) and not any(find_spec(name) for name in names)
        cases.append(pytest.param(variant, marks=pytest.mark.skipif(without, reason=f"not installed: {' or '.join(names)}")))
    return cases


@pytest.fixture(autouse=True)
def _small_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bandwidth of a cache will do here."""
    monkeypatch.setattr("benchmarks.lib.our_training.measure_bandwidth", lambda *_, **__: 1e9)


@pytest.mark.parametrize("variant", with_libraries(VARIANTS))
def test_every_variant_trains_and_its_phases_are_within_its_seconds(variant: str) -> None:
    outcome = epoch_time.work({"settings": [*SMALL, *GCN], "variant": variant, "epochs": 1})
    assert "missing" not in outcome
    assert 0 < sum(outcome["phases"].values()) <= 1.001 * outcome["seconds"] and outcome["peak_memory"] > 1 << 20


@pytest.mark.parametrize("name", [name for name in MODELS if name != "pna"])  # whose published layer is not PyG's
def test_ours_and_pygs_models_have_as_many_parameters(name: str) -> None:
    config = compose_config([*SMALL, *MODELS[name]])
    graph = load_graph(config.dataset)
    ours = build_model(config.model, graph.num_features, graph.num_classes, 0)
    theirs = build(config.model, graph.num_features, graph.num_classes, graph.adj.rowptr.diff(), cached=False)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())


def test_traffic_is_that_of_the_exchange() -> None:
    """Counted from the batches, and row by row as training pulls and pushes."""
    config = compose_config([*SMALL, *GCN, "trainer.shuffle=false", "trainer.prefetch=0"])
    problem, seconds = prepare_timed(lambda: prepare(config))
    assert seconds["load"] > 0 and seconds["metis"] > 0 and seconds["rest"] > 0
    trainer = make_trainer(config, problem)
    moved = {"pulled": 0, "pushed": 0}
    between = trainer.link.between

    def counted(layer: int, h: torch.Tensor) -> Rows:
        moved["pushed"] += h.nbytes
        rows = between(layer, h)
        assert isinstance(rows.halo, torch.Tensor)
        moved["pulled"] += rows.halo.nbytes
        return rows

    trainer.link.between = counted  # type: ignore[method-assign]
    trainer.train_epoch()
    planned = batches(trainer)
    assert {name: planned[name] for name in moved} == moved and moved["pulled"] > 0
    assert planned["targets"] == 300 and planned["steps"] == 3 and planned["building"] > 0


def test_a_cached_partition_takes_metis_no_time(tmp_path: Path) -> None:
    config = compose_config([*SMALL, *GCN, f"partitioner.cache={tmp_path}"])
    first, second = (prepare_timed(lambda: prepare(config))[1] for _ in range(2))
    assert first["metis"] > 0 and second["metis"] == 0


def test_rounds_become_a_row() -> None:
    """Medians, ratios within a round, METIS' seconds of the round in which it ran."""
    ours = [{"seconds": s, "peak_memory": 1, "phases": dict.fromkeys(PHASES, s), "prepared": {"metis": m}} for s, m in ((1, 5), (4, 0))]
    pyg = [{"seconds": s, "peak_memory": 9, "phases": {"batch": 0.0, "compute": s}} for s in (2.0, 4.0)]
    row = epoch_time.combine("case", "gas", {"gas": ours, "pyg": pyg})
    assert (row["rounds"], row["seconds"], row["spread"], row["ratio_to_pyg"]) == (2, 2.5, [1, 4], 0.75)
    assert row["prepared"] == {"metis": 5} and "ratio_to_full_batch" not in row
    assert "ratio_to_pyg" in epoch_time.combine("case", "pyg", {"gas": ours, "pyg": pyg})


def test_cases_compose_and_scale() -> None:
    for case in CASES.values():
        compose_config(list(case.settings))
    half = scaled(CASES["arxiv-size gcn"].settings, 0.5, parts=True)
    assert {"dataset.num_nodes=84672", "partitioner.num_parts=40", "trainer.batch_parts=40"} <= set(half)


# -- growth --------------------------------------------------------------------------------------------------------------------------------


def grown(size: int, **changes: Any) -> dict[str, Any]:
    arguments = argparse.Namespace(**{"scale": 0.01, "device": "cpu", "mixing": 0.15, **changes})
    return growth.task(size, "null", arguments)


def test_a_growing_graph_keeps_its_model_and_its_steps() -> None:
    one, four = (growth.work(grown(size, scale=0.05)) for size in (1, 4))
    assert (four["nodes"], four["parts"]) == (4 * one["nodes"], 4 * one["parts"])
    assert four["edges"] == pytest.approx(4 * one["edges"], rel=0.05)
    assert four["targets"] / four["steps"] == pytest.approx(one["targets"] / one["steps"], rel=0.05)
    assert one["step_memory"] <= four["step_memory"] < 2 * one["step_memory"] < four["peak_memory"]
    rows = [growth.combine(name, [outcome]) for name, outcome in (("1x", one), ("4x", four))]
    text = growth.table({"rows": rows, "settings": {"device": "cpu", "mixing": 0.15, "missing": {}}})
    assert text.count("(1.00x)") >= 2 and len({line.count("|") for line in text.splitlines() if line.startswith("|")}) == 1


def test_labels_are_as_many_at_every_size() -> None:
    tasks = [grown(size) for size in (1, 8)]
    assert tasks[0]["classes"] == tasks[1]["classes"]
    graphs = [load_graph(compose_config(task["settings"]).dataset) for task in tasks]
    counts = [growth.with_labels_modulo(g, task["classes"]).validate().y.bincount() for g, task in zip(graphs, tasks, strict=True)]
    assert len(counts[0]) == len(counts[1]) == tasks[0]["classes"]


# -- the race ------------------------------------------------------------------------------------------------------------------------------


def test_a_race_ends_where_the_threshold_is_reached() -> None:
    values = iter([(0.2, 0.1), (0.7, 0.6), (0.9, 0.8)])
    outcome = time_to_accuracy.race(lambda: 2.0, lambda: next(values), 0.7, 10)
    assert outcome == {"reached": {"seconds": 4.0, "epochs": 2, "test": 0.6}, "curve": [(2.0, 0.2, 0.1), (4.0, 0.7, 0.6)]}
    never = time_to_accuracy.race(lambda: 1.0, lambda: (0.1, 0.1), 0.7, 3)
    assert never["reached"] is None and len(never["curve"]) == 3


def test_the_median_counts_those_that_never_came_as_the_longest() -> None:
    def outcome(seconds: float | None) -> dict[str, Any]:
        return {"reached": seconds and {"seconds": seconds, "epochs": 1, "test": 0.5}, "curve": [(1.0, 0.5, 0.5)]}

    def median(*seconds: float | None) -> Any:
        return time_to_accuracy.combine("cora", "gas", [outcome(s) for s in seconds])["median"]

    assert median(1.0, None, 3.0)["seconds"] == 3.0 and median(1.0, 2.0, 3.0)["seconds"] == 2.0
    assert median(1.0, None, None) is None and median(1.0, None) is None
    row = time_to_accuracy.combine("cora", "gas", [outcome(None)])
    assert "more than 150" in time_to_accuracy.text_row(row) and "0 of 1" in time_to_accuracy.text_row(row)


@pytest.mark.parametrize("variant", with_libraries(time_to_accuracy.COMPARED))
def test_every_variant_learns(variant: str) -> None:
    settings = [*SMALL, *GCN, *time_to_accuracy.PLAIN_ADAM, "optimizer.lr=0.05", "dataset.mixing=0.1", "seed=0"]
    outcome = time_to_accuracy.work({"settings": settings, "variant": variant, "accuracy": 0.7, "epochs": 40})
    assert "missing" not in outcome
    assert outcome["reached"] is not None
    assert [point[0] for point in outcome["curve"]] == sorted(point[0] for point in outcome["curve"])


def test_the_race_of_ours_is_the_training_of_gas_train() -> None:
    """Two epochs and their evaluations, next to a trainer that runs as always."""
    config = compose_config([*SMALL, *GCN, "evaluation.every=null", "history.refresh=null", "trainer.epochs=2"])
    epoch, accuracy = our_racer(config)
    measured = [(epoch(), accuracy())[1] for _ in range(2)][-1]
    trainer = make_trainer(config, prepare(config))
    trainer._fill()
    for _ in range(2):
        trainer.train_epoch()
        trainer.progress.next_epoch()
    expected = trainer.evaluator.measure(trainer.evaluator.exact(), trainer.split)
    assert measured == (expected["val"], expected["test"])


def test_without_compiled_samplers_the_neighbor_loader_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.lib.pyg_training.find_spec", lambda name: None)
    outcome = epoch_time.work({"settings": [*SMALL, *GCN], "variant": "pyg-neighbor-loader", "epochs": 1})
    assert outcome == {"missing": "neither pyg-lib nor torch-sparse is installed"}
