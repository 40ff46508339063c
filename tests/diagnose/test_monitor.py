"""The error monitor: it changes nothing, and what it says is true."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import torch

from gas_cli.config.compose import compose_config
from gas_cli.config.model import ConvConfig, GATConfig, GCNConfig, GCNIIConfig, GINConfig, PNAConfig
from gas_cli.errors import UserError
from gas_cli.model.gain import Gain
from tests.builders import MODEL_IDS, MODELS
from tests.training.test_inductive import SEEN, graphs_apart
from tests.training.test_inductive import fitted as inductive
from tests.training.test_trainer import GCN, Records, assert_same, essence, fitted, trainer

FROZEN: dict[str, object] = {"optimizer__lr": 0.0, "optimizer__reg_weight_decay": 0.0}
LAYER = {"layer", "norm", "history_error", "relative_error", "cosine", "staleness", "closeness", "by_age", "by_degree"}


def without_monitor(records: Records) -> list[dict[str, Any]]:
    return [{k: v for k, v in r.items() if k not in ("monitor", "seconds", "peak_memory")} for r in records]


@pytest.mark.parametrize(
    "model", [*MODELS, ConvConfig(num_layers=2, conv="GATConv", conv_args={"dropout": 0.3})], ids=[*MODEL_IDS, "conv-dropout"]
)
def test_a_run_is_the_same_bit_for_bit_with_and_without(tmp_path, model):
    """Weights, histories, optimizer, random generators, metrics."""
    settings: dict[str, object] = {"epochs": 3, "history__refresh": 2, "trainer__prefetch": 2}
    torch.manual_seed(4)
    plain = trainer(tmp_path / "plain", model, **settings)
    expected = fitted(plain)
    torch.manual_seed(4)
    watched = trainer(tmp_path / "watched", model, evaluation__monitor=1, **settings)
    records = fitted(watched)
    assert_same(essence(watched), essence(plain))
    assert_same(without_monitor(records), without_monitor(expected))
    assert all("monitor" in record for record in records) and not any("monitor" in record for record in expected)


@pytest.mark.parametrize("model", MODELS, ids=MODEL_IDS)
def test_a_record_is_json_and_has_every_layer(tmp_path, model):
    record = fitted(trainer(tmp_path, model, epochs=1, evaluation__monitor=1))[0]["monitor"]
    json.dumps(record, allow_nan=False)
    assert [layer["layer"] for layer in record["layers"]] == list(range(1, model.num_layers))
    assert all(layer.keys() - {"cap"} == LAYER for layer in record["layers"])
    assert sum(record["ages"]["nodes"]) == sum(record["degrees"]["nodes"]) == 60
    assert record["batches"]["count"] == 3
    for layer in record["layers"]:
        for figure in ("mean", "max"):  # d ≤ e + s, node by node
            assert layer["history_error"][figure] <= layer["closeness"][figure] + layer["staleness"][figure] + 1e-4
    capped = [*record["layers"], record["scores"]]
    assert all(("cap" in part) == (not isinstance(model, GATConfig | PNAConfig)) for part in capped)
    assert all(part["cap"]["exceeded"] == 0 for part in capped if "cap" in part)


@pytest.mark.parametrize(("method", "setting"), [("lmc", "method__alpha"), ("graphfm", "method__momentum")])
@pytest.mark.parametrize("share", [0.0, 0.8])
def test_there_is_a_cap_only_where_a_step_reads_histories_as_they_are(tmp_path, method, setting, share):
    settings = {"method": method, setting: share, "epochs": 2, "evaluation__monitor": 1, "optimizer__lr": 0.1}
    record = fitted(trainer(tmp_path, replace(GCN, batch_norm=False), **settings))[1]["monitor"]
    for part in (*record["layers"], record["scores"]):
        assert ("cap" in part) == (share == 0) and part.get("cap", {}).get("exceeded", 0) == 0


def test_one_part_has_no_error_but_the_age_of_its_histories(tmp_path):
    record = fitted(trainer(tmp_path, replace(GCN, dropout=0.0), num_parts=1, epochs=2, batch_parts=1, evaluation__monitor=1))[1]["monitor"]
    for part in (*record["layers"], record["scores"]):
        assert part["closeness"]["max"] < 1e-5 and part["cap"]["max"] == 0
    assert record["layers"][1]["staleness"]["mean"] > 1e-3  # the step's own update
    assert record["gradient"]["total"] < 1e-4 and record["gradient"]["cosine"] > 0.9999
    assert record["batches"]["halo"]["max"] == record["batches"]["cut_edges"]["max"] == record["batches"]["history_share"]["max"] == 0


def test_exact_histories_have_no_error_and_the_gradient_a_bias_all_the_same(tmp_path):
    record = fitted(trainer(tmp_path, replace(GCN, dropout=0.0), epochs=1, evaluation__monitor=1, **FROZEN))[0]["monitor"]
    for layer in record["layers"]:
        assert max(layer[what]["max"] for what in ("history_error", "closeness", "staleness", "cap")) < 1e-4
        assert layer["cosine"]["min"] > 0.9999
    assert record["gradient"]["total"] > 0.01


def test_dropout_is_in_the_error_of_histories_even_when_they_are_not_stale(tmp_path):
    record = fitted(trainer(tmp_path, GCN, epochs=1, evaluation__monitor=1, **FROZEN))[0]["monitor"]
    assert record["layers"][0]["history_error"]["mean"] > 0.1 and record["layers"][0]["closeness"]["max"] < 1e-5


def test_it_looks_before_the_refresh(tmp_path):
    never, every = (
        fitted(trainer(tmp_path / str(how), epochs=1, evaluation__monitor=1, history__refresh=how))[0]["monitor"] for how in (None, 1)
    )
    assert never == every and every["layers"][0]["history_error"]["mean"] > 0


def test_it_measures_every_so_many_epochs(tmp_path):
    records = fitted(trainer(tmp_path, epochs=5, evaluation__monitor=2))
    assert ["monitor" in record for record in records] == [False, True, False, True, False]
    assert [record["seconds"]["monitor"] > 0 for record in records] == [False, True, False, True, False]


def test_a_gain_that_is_too_small_is_noticed(tmp_path, monkeypatch):
    """The cap is an alarm: a layer that amplifies more than it says."""
    monkeypatch.setattr("gas_cli.model.gcn.GCN.convolution_gain", lambda self, index: Gain(0.0, 1e-3))
    record = fitted(trainer(tmp_path, epochs=2, evaluation__monitor=1))[1]["monitor"]
    assert record["layers"][1]["cap"]["exceeded"] > 0


@pytest.mark.parametrize("model", [GCN, GCNIIConfig(num_layers=3, hidden_channels=6), GINConfig(num_layers=3, hidden_channels=6)])
def test_low_precision_is_allowed_for(tmp_path, model):
    for settings in ({"precision": "bfloat16"}, {"history__dtype": "float16"}):
        record = fitted(trainer(tmp_path / str(settings), model, epochs=2, evaluation__monitor=1, **settings))[1]["monitor"]
        assert all(part["cap"]["exceeded"] == 0 for part in (*record["layers"], record["scores"]))


def test_epochs_cut_short_are_measured_on_all_nodes(tmp_path):
    subject = trainer(tmp_path, GCNConfig(num_layers=2, hidden_channels=8), epochs=3, trainer__max_steps=1, evaluation__monitor=1)
    record = fitted(subject)[2]["monitor"]
    assert record["batches"]["count"] == 3 and sum(record["ages"]["nodes"]) == 60
    assert record["ages"]["up_to"][-1] >= int(subject.histories.ages.at(3).max())


def test_of_an_inductive_graph_it_measures_what_training_sees(tmp_path):
    settings: dict[str, object] = {"evaluation__monitor": 1, **FROZEN}
    _, records = inductive(graphs_apart(), replace(GCN, dropout=0.0), tmp_path, **settings)
    record = records[-1]["monitor"]
    assert sum(record["ages"]["nodes"]) == sum(record["degrees"]["nodes"]) == SEEN
    assert record["layers"][1]["history_error"]["max"] < 1e-5 and record["gradient"]["total"] > 0.01


def test_epochs_are_counted_from_one():
    with pytest.raises(UserError, match=r"evaluation\.monitor=0"):
        compose_config(["evaluation.monitor=0"])
