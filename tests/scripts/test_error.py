"""What the study of errors makes of measured epochs."""

from __future__ import annotations

import pytest

from scripts import error
from tests.training.test_trainer import GCN, fitted, trainer


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return fitted(trainer(tmp_path_factory.mktemp("run"), GCN, epochs=4, evaluation__monitor=2))


def test_a_row_holds_the_last_measurement_in_units_of_the_norm(records) -> None:
    last = records[3]["monitor"]
    row = error.row("gcn", 3, 0.5, last)
    layer = last["layers"][-1]
    assert float(row["staleness"]) == pytest.approx(100 * layer["staleness"]["mean"] / layer["norm"]["mean"], rel=1e-2)
    assert float(row["cap / closeness"]) >= 1 and row["above cap"] == 0
    assert set(error.COLUMNS) <= row.keys()


def test_a_model_of_one_layer_has_no_history_to_err(tmp_path) -> None:
    from gas_cli.config.model import GCNConfig

    (record,) = fitted(trainer(tmp_path, GCNConfig(num_layers=1), epochs=1, evaluation__monitor=1))
    row = error.row("gcn", 1, 0.5, record["monitor"])
    assert row["staleness"] is None and float(row["closeness of scores"]) < 1e-2


def test_figures_are_drawn_per_model(records, tmp_path) -> None:
    measured = [record for record in records if "monitor" in record]
    assert [(p["epoch"], p["layer"]) for p in error.points(measured)] == [(e, layer) for e in (2, 4) for layer in (1, 2, 3)]
    assert error.draw(tmp_path, "gcn", {("gcn", 3): measured, ("gcn", 1): []}) == "error-gcn.png"
    assert (tmp_path / "error-gcn.png").stat().st_size > 5000
    assert error.draw(tmp_path, "appnp", {("gcn", 3): measured}) is None


@pytest.mark.parametrize("count", [1, 7, 8, 9, 63])
def test_some_layers_of_many_are_shown(count) -> None:
    shown = error.chosen(range(1, count + 1))
    assert shown[0] == 1 and shown[-1] == count and len(set(shown)) == len(shown) == min(count, error.SHOWN_LAYERS)


def test_trials_compose_and_differ() -> None:
    from gas_cli.config.compose import compose_config

    trials = [error.trial(model, depth, "cora", 20, 5) for model in error.MODELS for depth in error.DEPTHS]
    assert len({t.name for t in trials}) == len({t.settings for t in trials}) == len(trials)
    config = compose_config(trials[-1].settings)
    assert (config.model.num_layers, config.history.refresh, config.evaluation.monitor, config.model.dropout) == (64, None, 5, 0)


def test_the_file_holds_every_point_of_the_figures(records) -> None:
    points = list(error.points([record for record in records if "monitor" in record]))
    kept = error.series(points)
    assert kept["layer 2"]["epoch"] == "2 4" and len(kept) == 3
    values = [float(value) for value in kept["layer 2"]["closeness"].split()]
    assert values == pytest.approx([p["closeness"] for p in points if p["layer"] == 2], rel=1e-3)
