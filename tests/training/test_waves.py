"""Waves: more forward passes than backward passes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gas_cli.batch.batch import Batch
from gas_cli.config.compose import compose_config
from gas_cli.config.model import GATConfig, ModelConfig, PNAConfig
from gas_cli.errors import UserError
from gas_cli.run import run
from gas_cli.training.checkpoint import load_checkpoint
from tests.builders import rows_of
from tests.method.test_gradients import SMALL, SUMS, graph_of, trainer_of
from tests.training.stopping import stopped_and_resumed
from tests.training.test_trainer import assert_same

MODELS: dict[str, ModelConfig] = {
    **SUMS,
    "gat": GATConfig(num_layers=3, hidden_channels=4, dropout=0.0),
    "pna": PNAConfig(num_layers=3, dropout=0.0),
}
FAST = {"optimizer__lr": 0.05, "evaluation__every": None}


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_as_many_as_l_epochs_make_histories_exact(tmp_path: Path, model: ModelConfig) -> None:
    """Under the weights that an epoch has just made. The last batch of a round finds the others' rows renewed, so that each layer after the
    first takes a batch less; one less than that is too few."""
    errors = []
    for missing in (0, 1):
        trainer = trainer_of(tmp_path, graph_of(), model, gradients="cut", **FAST)
        trainer.train_epoch()
        trainer.model.train()
        count = 4 + 3 * (model.num_layers - 2) - missing
        trainer._renew(trainer.epochs.waves(1, 0, count), count)
        trainer.link.flush()
        found = [rows.clone() for rows in rows_of(trainer.histories)]
        trainer.evaluator.exact(refresh=trainer.histories)
        exact = rows_of(trainer.histories)
        errors.append(max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(found, exact, strict=True)))
    assert errors[0] < 1e-5 < errors[1]


def test_a_step_with_them_has_the_weights_of_full_histories(tmp_path: Path) -> None:
    """As a training that refreshes before each step has."""
    model = SUMS["gcn"]
    waves = trainer_of(tmp_path, graph_of(), model, gradients="cut", **FAST, history__waves=2 * 4)
    waves.train_epoch()
    refreshed = trainer_of(tmp_path, graph_of(), model, gradients="cut", **FAST)
    step = refreshed._train_step

    def after_a_refresh(batch: Batch, upcoming: Batch | None, number: int) -> None:
        refreshed.evaluation.refresh(refreshed.progress.step)
        step(batch, None, number)

    refreshed._train_step = after_a_refresh  # type: ignore[method-assign]
    refreshed.train_epoch()
    plain = trainer_of(tmp_path, graph_of(), model, gradients="cut", **FAST)
    plain.train_epoch()
    torch.testing.assert_close(dict(waves.model.state_dict()), dict(refreshed.model.state_dict()), rtol=1e-3, atol=1e-4)
    assert any(float((a - b).abs().max()) > 1e-3 for a, b in zip(waves.model.parameters(), plain.model.parameters(), strict=True))


@pytest.mark.parametrize(
    "settings", [[], ["method.gradients=history"], ["model.batch_norm=true", "trainer.edge_dropout=0.2"], ["trainer.max_steps=2"]], ids=str
)
def test_stopped_anywhere_it_resumes_bit_for_bit(tmp_path: Path, settings: list[str]) -> None:
    config = compose_config([*SMALL, "history.waves=4", *settings])
    run(config, tmp_path / "whole")
    whole = load_checkpoint(tmp_path / "whole" / "checkpoints" / "last.pt")
    for step in (1, 7):
        stopped = stopped_and_resumed(config, tmp_path / f"stopped-{step}", step)
        assert_same(*({name: state[name] for name in ("model", "optimizer", "method")} for state in (whole, stopped)))


def test_they_do_not_count_towards_running_statistics(tmp_path: Path) -> None:
    """With frozen weights and without dropout they change nothing at all."""
    frozen = ["model.batch_norm=true", "model.dropout=0", "optimizer.lr=0", "optimizer.reg_weight_decay=0", "trainer.batch_parts=6"]
    states = []
    for waves in (0, 3):
        run(compose_config([*SMALL, *frozen, f"history.waves={waves}"]), tmp_path / str(waves))
        states.append(load_checkpoint(tmp_path / str(waves) / "checkpoints" / "last.pt")["model"])
    assert_same(*states)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["method=full_batch"], r"history\.waves=2 is not valid with method=full_batch, which keeps no histories\. Use history\.waves=0"),
        (["method=cluster_gcn"], r"history\.waves=2 is not valid with method=cluster_gcn"),
        (["history.waves=-1"], r"history\.waves=-1 is not valid: expected a whole number from 0"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        compose_config([*SMALL, "history.waves=2", *settings])
