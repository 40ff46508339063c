"""The gradient under draws of dropout masks."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import torch

from gas_cli.config.model import GATConfig, ModelConfig
from gas_cli.diagnose.draws import DRAWS, Draws, describe, has_dropout, variance
from gas_cli.model.model import Drop
from tests.builders import MODEL_IDS, MODELS
from tests.training.test_trainer import GCN, fitted, trainer

DROPPING = [replace(model, dropout=0.5) for model in MODELS]


def gradient_of(tmp_path, model: ModelConfig, **settings: Any) -> dict[str, Any]:
    record: dict[str, Any] = fitted(trainer(tmp_path, model, epochs=1, evaluation__monitor=1, **settings))[0]["monitor"]
    json.dumps(record, allow_nan=False)
    found: dict[str, Any] = record["gradient"]
    return found


@pytest.mark.parametrize("model", DROPPING, ids=MODEL_IDS)
def test_one_part_has_no_bias_under_the_same_masks_and_more_parts_have_one(tmp_path, model):
    whole = gradient_of(tmp_path / "whole", model, num_parts=1, batch_parts=1)["training"]
    assert whole["total"] < 1e-4 and whole["cosine"] > 0.9999 and whole["variance"] > 1e-3
    assert whole.keys() == {"total", "cosine", "weights", "variance"}
    parts = gradient_of(tmp_path / "parts", model, num_parts=4)["training"]
    assert (parts["total"] > 0.01) == (model.num_layers > 1) and parts["variance"] > 1e-3


@pytest.mark.parametrize("model", DROPPING, ids=MODEL_IDS)
def test_without_dropout_it_is_left_out(tmp_path, model):
    assert "training" not in gradient_of(tmp_path, replace(model, dropout=0.0), num_parts=1, batch_parts=1)


def test_dropout_is_found_in_the_setting_and_in_the_model(tmp_path):
    plain = trainer(tmp_path, replace(GCN, dropout=0.0)).method
    assert not has_dropout(plain)
    plain.model.convs[1].of_its_own = Drop(0.25, site=99)  # a user's layer may choose p itself
    assert has_dropout(plain)
    attention = trainer(tmp_path, GATConfig(num_layers=2, hidden_channels=4, heads=2, drop_input=False, dropout=0.5)).method
    attention.model.drops = []
    assert has_dropout(attention)  # of the attention's weights, which is no `Drop`


def test_masks_are_those_of_no_step_and_no_other_measurement(tmp_path):
    subject = trainer(tmp_path)
    noises = [Draws(subject.method, subject.evaluator, subject.loss, step).noises for step in (0, 1, 2)]
    keys = {noise.key(0) for drawn in noises for noise in drawn}
    assert len(keys) == 3 * DRAWS and all(noise.active for drawn in noises for noise in drawn)
    assert keys.isdisjoint(replace(noise, seed=subject.seed).key(0) for drawn in noises for noise in drawn)
    assert noises[1] == Draws(subject.method, subject.evaluator, subject.loss, 1).noises


def test_bias_is_that_of_the_means_and_variance_is_relative_to_the_mean():
    found = [[torch.tensor([2.0, 0.0]), torch.tensor([1.0])], [torch.tensor([4.0, 4.0]), torch.tensor([1.0])]]
    full = [[torch.tensor([4.0, 1.0]), torch.tensor([0.0])], [torch.tensor([2.0, 3.0]), torch.tensor([0.0])]]
    described = describe(found, full, ["a", "b"])
    assert described["total"] == pytest.approx(1 / 13**0.5, rel=1e-5)  # means (3, 2, 1) and (3, 2, 0)
    assert described["weights"] == {"a": 0.0, "b": None}
    assert described["variance"] == variance(found) == pytest.approx(5 / 14, rel=1e-5)
    assert variance([[torch.zeros(2)], [torch.zeros(2)]]) is None
