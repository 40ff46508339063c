"""The comparison of first steps: exact where both draw the same weights, complete, and honest about what is left out."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from scripts import first_step
from scripts.first_step import Ratio, compare, counterpart, gradient_norms, model_config
from scripts.lib.published_pna import PublishedPNAConv
from tests.builders import make_graph, random_adjacency

GRAPH = make_graph(random_adjacency(40, 4, 0), num_features=12, classes=4)


@pytest.mark.parametrize("model", ["gcnii", "appnp"])
def test_the_same_weights_make_the_same_step(model: str) -> None:
    """Both draw GCNII's and APPNP's weights in the same order: every number of a step is equal, for graph, loss and optimiser are."""
    ratios = compare(model, model_config(model, "model.num_layers=3", "model.hidden_channels=8"), GRAPH, [5])
    assert {"scores", "loss", "gradient lin_in", "gradient lin_out", "change"} <= ratios.keys()
    for number, ratio in ratios.items():
        assert ratio.median == pytest.approx(1, abs=1e-3), number


@pytest.mark.parametrize("model", ["gcn", "gat", "gatv2", "gin", "sage", "pna", "pna to PyG's"])
def test_every_layer_is_compared(model: str) -> None:
    ratios = compare(model, model_config(model, "model.num_layers=3", "model.hidden_channels=4"), GRAPH, range(2))
    assert list(ratios) == ["scores", "loss", "gradient 0", "gradient 1", "gradient 2", "change"]
    assert all(0 < ratio.median < float("inf") for ratio in ratios.values())


def test_pnas_counterpart_is_the_published_layer_and_pygs_on_request() -> None:
    kinds = {model: type(counterpart(model, model_config(model), GRAPH)(0)[0].convs[0]).__name__ for model in ("pna", "pna to PyG's")}
    assert kinds == {"pna": PublishedPNAConv.__name__, "pna to PyG's": "PNAConv"}


def test_layers_come_from_input_to_output_and_hold_the_whole_gradient() -> None:
    model = nn.ModuleDict(
        {"lin_out": nn.Linear(3, 2), "convs": nn.ModuleList(nn.Linear(3, 3) for _ in range(11)), "lin_in": nn.Linear(4, 3)}
    )
    for number, parameter in enumerate(model.parameters()):
        parameter.grad = torch.full_like(parameter, number + 1.0)
    norms = gradient_norms(model)
    assert list(norms) == ["lin_in", *map(str, range(11)), "lin_out"]
    whole = sum(float(p.grad.square().sum()) for p in model.parameters() if p.grad is not None)
    assert sum(norm**2 for norm in norms.values()) == pytest.approx(whole)


def test_a_ratio_is_of_medians_with_the_middle_half_of_all_pairs() -> None:
    assert Ratio.of([2.0, 4.0, 100.0], [2.0]).median == 2
    assert Ratio.of([3.0], [2.0]) == Ratio(1.5, 1.5, 1.5)
    spread = Ratio.of([1.0, 2.0, 3.0, 4.0], [1.0, 2.0])
    assert spread.low < spread.median < spread.high


def test_files_hold_a_row_per_model_and_name_the_missing_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["first_step", "--root", str(tmp_path / "none"), "--out", str(tmp_path), "--seeds", "1", "--models", "appnp", "gcn"]
    monkeypatch.setattr("sys.argv", words)
    monkeypatch.setattr(first_step, "GENERATED", (*first_step.GENERATED, "dataset.num_nodes=60", "dataset.num_features=9"))
    first_step.main()
    with (tmp_path / "first-step.csv").open() as file:
        assert [(line["graph"], line["model"], line["counterpart"]) for line in csv.DictReader(file)] == [
            ("generated", "appnp", "APPNP"),
            ("generated", "gcn", "GCNConv"),
        ]
    rows = json.loads((tmp_path / "first-step.json").read_text())["rows"]
    assert list(rows[1]["gradients"]) == ["gradient 0", "gradient 1"]
    assert "Left out: cora" in (tmp_path / "first-step.md").read_text()
