"""A configuration in; metrics, checkpoints and a summary out, and what must be equal is equal."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gas_cli.config.compose import compose_config, load_config
from gas_cli.graph.load import load_graph
from gas_cli.prediction import predict
from gas_cli.report import classes
from gas_cli.report.results import chosen_by, results_table
from gas_cli.run import run
from gas_cli.training.checkpoint import load_checkpoint
from tests.cli.conftest import job_folder
from tests.end_to_end.conftest import Command
from tests.end_to_end.runs import SMALL, assert_refused, differences, essence, lines, summary, timeless, train

PROMISED = {
    *("status", "dataset", "model", "method", "seed", "metric", "best_epoch", "train", "val", "test"),
    *("seconds_per_epoch", "peak_memory", "memory", "partition"),
}
MODELS = ["gcn", "gcnii", "appnp"]


def test_the_log_and_the_summary_say_what_the_histories_take(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        found = train(tmp_path, "model.num_layers=4", "model.hidden_channels=32", "history.dtype=bfloat16")
    assert (found["history_bytes_per_node"], found["history_bytes"]) == (3 * 32 * 2, 300 * 3 * 32 * 2)
    assert "Histories: 192 bytes per node, 0.1 MiB in total (bfloat16, host)." in caplog.text


def test_the_summary_and_the_log_say_what_each_stage_took(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        found = train(tmp_path, "partitioner=metis", "history.refresh=1", "evaluation.monitor=1")
    memory = found["memory"]
    stages = ("start", "load", "partition", "permute", "setup", "refresh", "train", "monitor", "evaluate", "checkpoint")
    assert set(memory["resident"]) == set(stages) and min(memory["resident"].values()) > 1 << 20
    assert found["peak_memory"] == max(memory["resident"].values())
    assert memory["processes"]["metis"] > 1 << 20
    assert memory["data"] == {"graph": memory["data"]["graph"], "features": 300 * 8 * 4, "histories": found["history_bytes"]}
    assert memory["data"]["graph"] >= 8 * found["num_edges"]
    assert "Peak memory by stage, of the process: start " in caplog.text


def test_several_runs_have_their_own_peaks_and_together_the_largest(tmp_path: Path) -> None:
    together = train(tmp_path, "runs=2")["memory"]["resident"]
    each = [summary(tmp_path / "runs" / name)["memory"]["resident"] for name in ("00", "01")]
    assert together == {stage: max(peaks[stage] for peaks in each) for stage in each[0]}


def best_of(folder: Path) -> dict[str, Any]:
    """The first record with the highest validation metric."""
    return max(lines(folder), key=lambda record: (record["val"], -record["epoch"]))


def test_a_run_leaves_configuration_metrics_summary_checkpoints_and_curves(tmp_path: Path) -> None:
    config = compose_config([*SMALL, "partitioner=metis"])
    run(config, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"config.yaml", "metrics.jsonl", "summary.json", "checkpoints", "curves.png"}
    assert load_config(tmp_path / "config.yaml") == config
    assert [record["epoch"] for record in lines(tmp_path)] == [1, 2, 3]
    for record in lines(tmp_path):
        assert math.isfinite(record["loss"]) and all(0 <= record[mask] <= 1 for mask in ("train", "val", "test"))
        assert record["seconds"]["total"] == pytest.approx(sum(s for phase, s in record["seconds"].items() if phase != "total"))
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("method", ["gas", "full_batch"])
@pytest.mark.parametrize("model", MODELS)
def test_every_model_with_every_method_sums_up_its_best_epoch(model: str, method: str, tmp_path: Path) -> None:
    returned = train(tmp_path, f"model={model}", f"method={method}", "trainer.epochs=8", "optimizer.lr=0.05")
    found = summary(tmp_path)
    assert found.keys() >= PROMISED and found == returned
    assert [found[key] for key in ("status", "dataset", "model", "method", "seed", "metric")] == [
        "finished", "generated", model, method, 0, "accuracy",
    ]  # fmt: skip
    best = best_of(tmp_path)
    assert [found[key] for key in ("best_epoch", "train", "val", "test")] == [best[key] for key in ("epoch", "train", "val", "test")]
    assert found["partition"]["num_parts"] == (6 if method == "gas" else 1)
    assert (
        (found["partition"]["edge_cut"] > 0) == (found["partition"]["halo_ratio"] > 0) == (found["history_bytes"] > 0) == (method == "gas")
    )
    assert found["seconds_per_epoch"]["train"] > 0 and found["peak_memory"] > 1 << 20
    checkpoints = {name: load_checkpoint(tmp_path / "checkpoints" / name)["progress"] for name in ("last.pt", "best.pt")}
    assert (checkpoints["last.pt"]["epoch"], checkpoints["best.pt"]["epoch"]) == (9, best["epoch"] + 1)


@pytest.mark.parametrize("model", MODELS)
def test_gas_with_one_part_is_full_batch(model: str, tmp_path: Path) -> None:
    train(tmp_path / "gas", f"model={model}", "partitioner.num_parts=1", "trainer.batch_parts=1")
    train(tmp_path / "full", f"model={model}", "method=full_batch")
    gas, full = (
        [{key: record[key] for key in ("loss", "train", "val", "test")} for record in lines(tmp_path / name)] for name in ("gas", "full")
    )
    assert gas == full


def test_the_selecting_metric_is_in_log_records_and_summary_and_is_what_a_job_returns(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, gas_train: Command
) -> None:
    settings = ["runs=2", "evaluation.select=macro_f1", "trainer.class_weights=balanced", "trainer.label_smoothing=0.1"]
    with caplog.at_level("INFO"):
        together = train(tmp_path, *settings)
    assert "), accuracy; best epoch by macro_f1" in caplog.text and "Task: multi-class (" in caplog.text
    for number, one in enumerate(together["runs"]):
        values = [line["macro_f1"] for line in lines(tmp_path / "runs" / f"{number:02d}")]
        assert one["selected"] == max(values, key=lambda found: found["val"]) == values[one["best_epoch"] - 1]
    assert together["select"] == "macro_f1" and (together["metric"], together["task"]) == ("accuracy", "multi-class")
    assert together["selected"]["val"] == pytest.approx(np.mean([one["selected"]["val"] for one in together["runs"]]))
    assert "Best epoch by macro_f1 on the validation nodes: " in results_table(together)
    assert_refused(gas_train(f"resume={tmp_path}", "evaluation.select=accuracy"), "evaluation.select=accuracy cannot be changed")


def test_the_loss_chooses_the_best_epoch_in_log_records_summary_and_what_a_job_returns(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, gas_train: Command
) -> None:
    settings = ["dataset.folds=3", "evaluation.select=loss", "trainer.patience=2", "trainer.patience_rule=mean", "trainer.epochs=5"]
    with caplog.at_level("INFO"):
        together = train(tmp_path, *settings)
    assert "best epoch by loss" in caplog.text and "  loss val " in caplog.text
    for number, one in enumerate(together["runs"]):
        values = [line["eval_loss"] for line in lines(tmp_path / "runs" / f"{number:02d}")]
        assert one["selected"] == min(values, key=lambda found: found["val"]) == values[one["best_epoch"] - 1]
    mean = np.mean([one["selected"]["val"] for one in together["runs"]])
    assert together["select"] == "loss" and chosen_by(together) == pytest.approx(mean)
    assert f"Best epoch by loss on the validation nodes: train {together['selected']['train']:.4f}" in results_table(together)
    assert_refused(gas_train(f"resume={tmp_path}", "trainer.patience_rule=best"), "trainer.patience_rule=best cannot be changed")


@pytest.mark.parametrize(("patience", "rule", "why"), [(3, "best", "no better epoch since "), (1, "mean", "the mean of the 1 before it")])
def test_the_log_says_when_patience_has_ended_a_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, patience: int, rule: str, why: str
) -> None:
    with caplog.at_level("INFO"):
        train(tmp_path, "trainer.epochs=100", f"trainer.patience={patience}", f"trainer.patience_rule={rule}")
    epochs = len(lines(tmp_path))
    found = [line for line in caplog.messages if line.startswith(f"Stopped after epoch {epochs} of 100 by trainer.patience={patience}")]
    assert epochs < 100 and len(found) == 1 and why in found[0]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["trainer.patience_rule=mean"], "expected best with trainer.patience=null; or type trainer.patience=10"),
        (["trainer.patience=3", "evaluation.every=null"], "evaluation.every=null is not valid: expected a number with trainer.patience=3"),
    ],
)
def test_a_new_run_has_something_to_be_patient_with(tmp_path: Path, gas_train: Command, settings: list[str], words: str) -> None:
    assert_refused(gas_train(*SMALL, f"hydra.run.dir={tmp_path / 'run'}", *settings), words)


def test_patience_can_be_ended_where_a_run_goes_on(tmp_path: Path, gas_train: Command) -> None:
    train(tmp_path, "trainer.epochs=100", "trainer.patience=1", "trainer.patience_rule=mean")
    stopped = len(lines(tmp_path))
    assert gas_train(f"resume={tmp_path}", "trainer.patience=null", f"trainer.epochs={stopped + 3}").code == 0
    assert len(lines(tmp_path)) == stopped + 3
    assert load_config(tmp_path / "config.yaml").trainer.patience is None


def test_a_run_of_all_epochs_says_nothing_of_patience(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        train(tmp_path, "trainer.epochs=3", "trainer.patience=3")
    assert "Stopped after" not in caplog.text


def test_several_runs_are_the_single_runs_with_those_seeds(tmp_path: Path) -> None:
    together = train(tmp_path / "together", "runs=3", "seed=4")
    for number, seed in enumerate((4, 5, 6)):
        train(tmp_path / str(seed), f"seed={seed}")
        one, other = essence(tmp_path / "together" / "runs" / f"{number:02d}"), essence(tmp_path / str(seed))
        assert differences(one, other) == []
        apart = {key: value for key, value in other["summary"].items() if key not in classes.KEYS}  # added up over the runs instead
        assert differences(timeless(together["runs"][number]), apart) == []
        assert load_config(tmp_path / "together/runs" / f"{number:02d}" / "config.yaml") == load_config(
            tmp_path / str(seed) / "config.yaml"
        )
    for key in ("train", "val", "test"):
        values = [found[key] for found in together["runs"]]
        assert together[key] == pytest.approx(np.mean(values))
        assert together["std"][key] == pytest.approx(np.std(values, ddof=1))
    assert together.keys() >= PROMISED and together["num_runs"] == 3


def test_a_multirun_over_seeds_equals_several_runs(tmp_path: Path, gas_train: Command) -> None:
    assert gas_train("-m", *SMALL, "hydra.sweep.dir=sweep", "seed=0,1").code == 0
    together = train(tmp_path / "together", "runs=2")
    for number in (0, 1):
        job = job_folder(tmp_path / "sweep", seed=number)
        assert differences(essence(job), essence(tmp_path / "together" / "runs" / f"{number:02d}")) == []
    mean = [row for row in (tmp_path / "sweep" / "sweep.csv").read_text().splitlines() if row.startswith("mean")]
    assert len(mean) == 1 and str(together["val"]) in mean[0]


def test_the_same_seed_gives_the_same_run_and_another_seed_another(tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        train(tmp_path / name, "deterministic=true", f"seed={seed}")
    assert differences(essence(tmp_path / "one"), essence(tmp_path / "again")) == []
    assert [record["loss"] for record in lines(tmp_path / "one")] != [record["loss"] for record in lines(tmp_path / "other")]
    assert not torch.are_deterministic_algorithms_enabled(), "the next job of a sweep would inherit it"


def test_what_costs_time_but_not_results(tmp_path: Path) -> None:
    """Prefetching, the pipeline, the placement and the cache of partitions leave every bit as it is."""
    train(tmp_path / "plain", "trainer.prefetch=0", "history.pipeline=false", "history.placement=host")
    cached = f"partitioner.cache={tmp_path / 'cache'}"
    for name in ("first", "second"):
        train(tmp_path / name, "trainer.prefetch=3", cached)
        assert differences(essence(tmp_path / "plain"), essence(tmp_path / name)) == []
    assert len(list((tmp_path / "cache").iterdir())) == 2


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_smaller_histories_take_half_the_memory_and_stay_close(dtype: str, tmp_path: Path) -> None:
    full, half = train(tmp_path / "full", "trainer.epochs=6"), train(tmp_path / "half", "trainer.epochs=6", f"history.dtype={dtype}")
    assert half["history_bytes"] == full["history_bytes"] / 2
    losses = [np.array([record["loss"] for record in lines(tmp_path / name)]) for name in ("full", "half")]
    assert (losses[0] != losses[1]).any()
    np.testing.assert_allclose(losses[1], losses[0], rtol=0.02)


@pytest.mark.parametrize("model", MODELS)
def test_after_a_refresh_evaluation_from_histories_is_exact(model: str, tmp_path: Path) -> None:
    for mode in ("exact", "history"):
        train(tmp_path / mode, f"model={model}", f"evaluation.mode={mode}", "history.refresh=1", "trainer.epochs=5")
    metrics = [[timeless(record) for record in lines(tmp_path / mode)] for mode in ("exact", "history")]
    assert differences(metrics[0], metrics[1]) == []


def test_evaluation_from_histories_leaves_training_as_it_is(tmp_path: Path) -> None:
    for mode in ("exact", "history"):
        train(tmp_path / mode, f"evaluation.mode={mode}", "trainer.epochs=5")
    losses, values = ([[record[key] for record in lines(tmp_path / mode)] for mode in ("exact", "history")] for key in ("loss", "test"))
    assert losses[0] == losses[1]
    assert values[0] != values[1], "stale histories give other scores, or this test is empty"


def test_raising_the_number_of_epochs_continues_as_if_it_had_been_asked_for_at_once(tmp_path: Path, gas_train: Command) -> None:
    train(tmp_path / "here")
    assert gas_train("resume=here", "trainer.epochs=7").code == 0
    train(tmp_path / "whole", "trainer.epochs=7")
    assert differences(essence(tmp_path / "here"), essence(tmp_path / "whole")) == []
    assert gas_train("resume=here").code == 0  # nothing left to do, and nothing is done
    assert differences(essence(tmp_path / "here"), essence(tmp_path / "whole")) == []


def test_raising_the_number_of_epochs_of_several_runs(tmp_path: Path, gas_train: Command) -> None:
    train(tmp_path / "here", "runs=2")
    assert gas_train("resume=here", "trainer.epochs=5").code == 0
    whole = train(tmp_path / "whole", "trainer.epochs=5", "runs=2")
    for number in ("00", "01"):
        assert differences(essence(tmp_path / "here" / "runs" / number), essence(tmp_path / "whole" / "runs" / number)) == []
    assert summary(tmp_path / "here")["val"] == whole["val"]


def test_raising_the_number_of_runs_adds_seeds(tmp_path: Path, gas_train: Command) -> None:
    train(tmp_path / "here", "runs=2")
    finished = tmp_path / "here" / "runs" / "01" / "checkpoints" / "last.pt"
    before = finished.stat().st_mtime_ns
    assert_refused(gas_train("resume=here", "runs=1"), "runs=1", "was started for 2")
    assert gas_train("resume=here", "runs=3").code == 0
    assert finished.stat().st_mtime_ns == before, "a finished run was trained again"
    whole = train(tmp_path / "whole", "runs=3")
    assert differences(essence(tmp_path / "here" / "runs" / "02"), essence(tmp_path / "whole" / "runs" / "02")) == []
    assert [summary(tmp_path / "here")[key] for key in ("test", "std", "num_runs")] == [whole[key] for key in ("test", "std", "num_runs")]
    assert load_config(tmp_path / "here" / "config.yaml").runs == 3


def test_the_seconds_of_a_continued_run_are_those_of_all_its_processes(tmp_path: Path, gas_train: Command) -> None:
    train(tmp_path / "here")
    (tmp_path / "here" / "summary.json").write_text(json.dumps(summary(tmp_path / "here") | {"seconds": 1000.0}))
    assert gas_train("resume=here", "trainer.epochs=5").code == 0
    assert 1000 < summary(tmp_path / "here")["seconds"] < 2000
    (tmp_path / "here" / "summary.json").write_text("{")  # by its epochs, where nothing else says it
    assert gas_train("resume=here", "trainer.epochs=6").code == 0
    assert sum(record["seconds"]["total"] for record in lines(tmp_path / "here")) < summary(tmp_path / "here")["seconds"] < 1000


def test_an_ogb_dataset_is_measured_by_its_official_evaluator(fake_ogb: Callable[..., Any], tmp_path: Path) -> None:
    from gas_cli.graph.sources.ogb_library import ogb_evaluator

    data = fake_ogb("arxiv")
    words = (
        "dataset=ogbn-arxiv",
        f"dataset.root={tmp_path}",
        "dataset.download=false",
        "~tuned",
        "partitioner.num_parts=4",
        "model.hidden_channels=8",
    )
    found = train(tmp_path / "run", *words, "trainer.epochs=4", "trainer.batch_parts=2", "partitioner.cache=null", base=())
    assert (found["status"], found["num_nodes"]) == ("finished", 20)
    scores = predict(tmp_path / "run").probabilities
    assert scores.shape == (20, 40)
    for mask, part in (("train", "train"), ("val", "valid"), ("test", "test")):
        ids = data.split[part]
        official = ogb_evaluator("ogbn-arxiv").eval({"y_true": data.y[ids], "y_pred": scores[ids].argmax(1)[:, None]})
        assert found[mask] == official["acc"]


def test_cora_takes_its_published_settings_and_learns(real_data: Path, tmp_path: Path) -> None:
    words = ("dataset=cora", f"dataset.root={real_data}", "dataset.download=false", "trainer.epochs=30", "partitioner.cache=null")
    found = train(tmp_path, *words, base=())
    config = load_config(tmp_path / "config.yaml")
    assert (config.model.hidden_channels, config.history.refresh, config.trainer.loss_weighting) == (16, 1, "batch_mean")
    labels = load_graph(config.dataset).y
    assert found["partition"]["num_parts"] == 40
    assert found["test"] > 2 * labels.bincount().max().item() / labels.numel()
