"""VR-GCN in runs: resume, every model, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from gas_cli.config.compose import compose_config
from gas_cli.config.root import Config
from gas_cli.errors import UserError
from gas_cli.prediction import predict
from gas_cli.run import prepare, run
from gas_cli.training.checkpoint import load_checkpoint
from tests.training.stopping import stopped_and_resumed, trained
from tests.training.test_trainer import assert_same

SMALL = [
    "dataset.num_nodes=240", "dataset.num_communities=6", "dataset.num_features=8", "dataset.train_fraction=0.6",
    "partitioner.cache=null", "trainer.epochs=3",
    "model.num_layers=3", "model.hidden_channels=8", "device=cpu", "method=vr_gcn", "method.batch_size=50",
]  # fmt: skip
"""144 training nodes: 3 steps."""


def config_of(*settings: str) -> Config:
    return compose_config([*SMALL, *settings])


@pytest.mark.parametrize(
    "settings",
    [
        [], ["method.estimator=cv"], ["model=appnp"], ["history.dtype=float16"], ["history.refresh=2"],
        ["history.fill=false", "dataset.train_fraction=0.2", "method.batch_size=24"],
        ["model=sage", "model.batch_norm=true", "trainer.average=1.5"],
    ],
)  # fmt: skip
def test_stopped_anywhere_it_resumes_bit_for_bit(tmp_path: Path, settings: list[str]) -> None:
    whole = trained(config_of(*settings, "trainer.prefetch=0"), tmp_path / "whole")
    for step in (1, 4):
        stopped = stopped_and_resumed(config_of(*settings), tmp_path / f"stopped-{step}", step)
        assert_same({name: stopped[name] for name in whole}, whole)
    saved = whole["method"]["histories"]
    assert saved["written_at"].numel() == 240 and all(rows.any() for rows in saved["tables"])


@pytest.mark.parametrize("model", ["gcn", "sage", "gin", "gcnii", "appnp"])
@pytest.mark.parametrize("estimator", ["cv", "cvd"])
def test_every_model_of_sums_trains_and_predicts(tmp_path: Path, model: str, estimator: str) -> None:
    state = trained(
        config_of(f"model={model}", "trainer.epochs=1", f"method.estimator={estimator}", "history.dtype=bfloat16"), tmp_path / "run"
    )
    assert all(bool(torch.isfinite(weight).all()) for weight in state["model"].values())
    found = predict(tmp_path / "run", checkpoint="last", device="cpu")
    assert found.probabilities.shape[0] == 240 and np.isfinite(found.probabilities).all()
    with pytest.raises(UserError, match=r"mode=history is not valid with method=vr_gcn: its steps renew the histories of nodes around"):
        predict(tmp_path / "run", checkpoint="last", device="cpu", mode="history")


def test_one_layer_needs_no_history(tmp_path: Path) -> None:
    assert trained(config_of("model.num_layers=1"), tmp_path / "run")["method"]["histories"]["tables"] == []


def test_it_learns(tmp_path: Path) -> None:
    """What it has learned is worth something on the whole graph."""
    outcome = run(config_of("trainer.epochs=30", "model=sage", "model.hidden_channels=32"), tmp_path / "run")
    assert outcome["test"] > 0.5


def test_an_inductive_graph_has_histories_of_what_training_sees(tmp_path: Path) -> None:
    graph = ["dataset=cluster", "dataset.num_train_graphs=3", "dataset.num_val_graphs=1", "dataset.num_test_graphs=1"]
    settings = [word for word in SMALL if not word.startswith("dataset.")]
    config = compose_config([*settings, *graph])
    state = run(config, tmp_path / "run")
    assert np.isfinite(state["test"])
    saved = load_checkpoint(tmp_path / "run" / "checkpoints" / "last.pt")["method"]["histories"]
    assert saved["written_at"].numel() == prepare(config).num_seen


def test_a_refresh_makes_every_row_new(tmp_path: Path) -> None:
    written = trained(config_of("history.refresh=3"), tmp_path / "run")["method"]["histories"]["written_at"]
    assert torch.equal(written, torch.full((240,), 3 * 3))


@pytest.mark.parametrize("model", [["model=gat", "model.heads=2"], ["model=pna_jk"], ["model=transformer"]])
def test_a_model_that_does_more_than_sums_is_refused(tmp_path: Path, model: list[str]) -> None:
    with pytest.raises(UserError, match=r"method=vr_gcn is not valid with model=\w+, .* Use method=sampling, or one of model=gcn, sage"):
        run(config_of(*model), tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["method.neighbours=0"], r"method\.neighbours=0 is not valid: expected -1 \(all\) or a whole number from 1"),
        (["method.neighbours=[4,2.5]"], r"method\.neighbours=\[4,2\.5\] is not valid"),
        (["method.neighbours=1"], r"method\.neighbours=1 is not valid: expected at least 2 with model=gcn, or -1 \(all\)"),
        (["method.neighbours=[1,2]"], r"method\.neighbours=\[1,2\] is not valid: expected at least 2"),
        (["method.neighbours=[4,3,2]"], r"expected one number for all layers, or 2 \(all layers but the first\) with model\.num_layers=3"),
        (["method.batch_size=0"], r"method\.batch_size=0 is not valid"),
        (["method.estimator=both"], r"method\.estimator=both is not valid: expected one of cv, cvd"),
        (["evaluation.mode=history"], r"evaluation\.mode=history is not valid with method=vr_gcn: .* Use evaluation\.mode=exact"),
        (["history.waves=2"], r"history\.waves=2 is not valid with method=vr_gcn: .* Use history\.waves=0"),
        (["trainer.edge_dropout=0.2"], r"trainer\.edge_dropout=0\.2 is not valid: expected 0 with method=vr_gcn"),
        (["trainer.lipschitz.weight=0.1"], r"trainer\.lipschitz\.weight=0\.1 is not valid: expected 0 with method=vr_gcn"),
    ],
)  # fmt: skip
def test_bad_settings_are_refused(settings: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        config_of(*settings)


def test_without_self_loops_one_neighbour_is_enough() -> None:
    assert config_of("method.neighbours=1", "model=sage").method.name == "vr_gcn"
