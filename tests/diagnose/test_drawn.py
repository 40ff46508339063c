"""The gradient of methods without histories of parts: its bias and its variance over epochs."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from gas_cli.config.model import SAGEConfig
from gas_cli.diagnose.drawn import GradientMonitor
from gas_cli.diagnose.monitor import Monitor, measures_histories
from tests.builders import MODEL_IDS, MODELS
from tests.training.test_trainer import GCN, assert_same, essence, fitted, trainer

STILL = replace(GCN, dropout=0.0)
METHODS: dict[str, dict[str, Any]] = {
    "full_batch": {"method": "full_batch"},
    "cluster_gcn": {"method": "cluster_gcn"},
    "sampling": {"method": "sampling", "method__neighbours": 2, "method__batch_size": 6},
    "graphfm_ib": {"method": "graphfm_ib", "method__neighbours": 2, "method__batch_size": 6},
    "vr_gcn": {"method": "vr_gcn", "method__neighbours": 2, "method__batch_size": 6},
}
EVERYTHING: dict[str, Any] = {"method": "sampling", "method__neighbours": -1, "method__batch_size": 10}


def gradient_of(tmp_path, model=STILL, **settings: Any) -> dict[str, Any]:
    record: dict[str, Any] = fitted(trainer(tmp_path, model, epochs=1, evaluation__monitor=1, **settings))[0]["monitor"]
    json.dumps(record, allow_nan=False)
    assert record.keys() == {"gradient"}
    found: dict[str, Any] = record["gradient"]
    return found


@pytest.mark.parametrize("method", [METHODS["full_batch"], EVERYTHING], ids=["full batch", "all neighbours"])
@pytest.mark.parametrize("model", [replace(model, dropout=0.0) for model in MODELS], ids=MODEL_IDS)
def test_what_reads_every_message_has_neither_bias_nor_variance(tmp_path, model, method):
    found = gradient_of(tmp_path, model, **method)
    assert found["total"] < 1e-4 and found["variance"] < 1e-8 and found["cosine"] > 0.9999
    assert "training" not in found


def test_dropped_messages_are_a_bias_and_drawn_ones_a_variance(tmp_path):
    found = {name: gradient_of(tmp_path / name, **settings) for name, settings in METHODS.items()}
    assert found["cluster_gcn"]["total"] > 0.05
    assert found["sampling"]["variance"] > 0.01 and found["sampling"]["total"] > 0.01
    assert found["full_batch"]["variance"] == 0


def test_exact_histories_reduce_the_variance_of_samples(tmp_path):
    """One neighbour beside the node itself, for both."""
    settings = {"sampling": {"method__neighbours": 1}, "vr_gcn": {"method__neighbours": 2, "history__refresh": 1}}
    found = {}
    for name, more in settings.items():
        subject = trainer(tmp_path / name, STILL, epochs=1, **{**METHODS[name], **more})
        fitted(subject)
        found[name] = GradientMonitor(subject.evaluator, subject.method, subject.loss).measure(7, [])["gradient"]
    assert found["vr_gcn"]["variance"] < 0.7 * found["sampling"]["variance"]


def test_with_dropout_masks_add_to_the_variance_and_not_to_the_bias(tmp_path):
    found = gradient_of(tmp_path, replace(GCN, dropout=0.5), **METHODS["full_batch"])
    assert found["training"]["total"] < 1e-4 and found["training"]["variance"] > 0.01
    assert found["training"].keys() == {"total", "cosine", "weights", "variance"}


@pytest.mark.parametrize("method", METHODS)
def test_the_run_is_the_same_with_it(tmp_path, method):
    """All state, bit for bit: the builders that draw for the monitor are not those of the training."""
    model = SAGEConfig(num_layers=3, hidden_channels=8, dropout=0.5)
    plain = trainer(tmp_path / "plain", model, epochs=2, **METHODS[method])
    watched = trainer(tmp_path / "watched", model, epochs=2, evaluation__monitor=1, **METHODS[method])
    fitted(plain)
    records = fitted(watched)
    assert all("monitor" in record for record in records)
    for key in ("model", "optimizer", "method", "rng"):
        assert_same(essence(watched)[key], essence(plain)[key], key)


def test_a_measurement_can_be_made_again_and_another_step_draws_others(tmp_path):
    subject = trainer(tmp_path, STILL, epochs=1, **METHODS["sampling"])
    monitor = GradientMonitor(subject.evaluator, subject.method, subject.loss)
    assert monitor.measure(3, []) == monitor.measure(3, [])
    assert monitor.measure(3, []) != monitor.measure(4, [])


@pytest.mark.parametrize(
    ("method", "expected"), [("gas", True), ("graphfm", True), ("lmc", True), ("vr_gcn", False), ("sampling", False), ("graphfm_ib", False)]
)
def test_which_methods_have_histories_to_compare(tmp_path, method, expected):
    subject = trainer(tmp_path, method=method)
    assert measures_histories(subject.method) is expected
    if expected:
        Monitor(subject.evaluator, subject.method, subject.loss)
