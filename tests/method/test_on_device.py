"""Every method on a GPU: it trains as on the CPU, wherever tables and graph are."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import gas_cli.passes.evaluator
import gas_cli.training.trainer
from gas_cli.config.model import GCNConfig
from gas_cli.config.schemas import METHOD_SCHEMAS
from tests.training.test_trainer import fitted, trainer

MODEL = GCNConfig(num_layers=3, hidden_channels=8, dropout=0.5)
SEEDS: dict[str, Any] = {"method__batch_size": 7, "method__neighbours": 2}
CASES: dict[str, dict[str, Any]] = {
    **{name: {"method": name} for name in ("gas", "full_batch", "cluster_gcn", "graphfm", "lmc")},
    **{name: {"method": name, **SEEDS} for name in ("sampling", "vr_gcn", "graphfm_ib")},
    "vr_gcn, cv": {"method": "vr_gcn", **SEEDS, "method__estimator": "cv"},
    "gradient histories": {"method": "gas", "method__gradients": "history"},
    "faithful": {
        "method": "gas",
        "method__gradients": "history",
        "method__trust": "measured",
        "trainer__accumulate": "epoch",
        "trainer__average": 2.5,
    },
    "waves": {"method": "gas", "history__waves": 2},
    "monitored": {"method": "gas", "evaluation__monitor": 1},
}


def losses(folder: Any, case: str, **more: Any) -> list[float]:
    return [record["loss"] for record in fitted(trainer(folder, MODEL, epochs=3, **CASES[case], **more))]


def test_every_method_is_among_them():
    assert {case["method"] for case in CASES.values()} == METHOD_SCHEMAS.keys()


@pytest.mark.gpu
@pytest.mark.parametrize("graph_on", ["device", "host"])
@pytest.mark.parametrize("placement", ["device", "pinned", "host"])
@pytest.mark.parametrize("case", CASES)
def test_training_on_a_gpu_follows_the_cpu(tmp_path, case, placement, graph_on):
    expected = losses(tmp_path / "cpu", case)
    found = losses(tmp_path / "gpu", case, device="cuda", history__placement=placement, trainer__graph_on=graph_on)
    assert found == pytest.approx(expected, rel=2e-3)


@pytest.mark.gpu
@pytest.mark.parametrize("pipeline", [True, False])
@pytest.mark.parametrize("case", ["gas", "graphfm", "lmc", "vr_gcn", "graphfm_ib", "faithful"])
def test_streams_of_their_own_change_no_bit_of_a_method(tmp_path, case, pipeline):
    """Pinned tables give what tables on the device do."""
    on_device = losses(tmp_path / "device", case, device="cuda", history__placement="device")
    assert losses(tmp_path / "pinned", case, device="cuda", history__placement="pinned", history__pipeline=pipeline) == on_device


@pytest.mark.gpu
@pytest.mark.parametrize("case", CASES)
def test_products_in_bfloat16_stay_close_on_a_gpu(tmp_path, case):
    expected = losses(tmp_path / "float32", case, device="cuda")
    assert losses(tmp_path / "bfloat16", case, device="cuda", precision="bfloat16") == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("case", CASES)
def test_with_autocast_every_method_trains_and_stays_close(tmp_path, case, monkeypatch):
    """What `precision=bfloat16` is on a GPU, tried on the CPU: there rows come out of layers in bfloat16."""
    expected = losses(tmp_path / "float32", case)
    for module in (gas_cli.training.trainer, gas_cli.passes.evaluator):
        monkeypatch.setattr(module, "low_precision", lambda device, enabled: torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled))
    assert losses(tmp_path / "bfloat16", case, precision="bfloat16") == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("case", CASES)
def test_a_run_repeats_itself(tmp_path, case):
    """What the comparison with a GPU rests on: it holds on the CPU, bit for bit."""
    assert losses(tmp_path / "a", case) == losses(tmp_path / "b", case)
