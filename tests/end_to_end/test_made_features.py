"""Runs on graphs without features, and what they predict on other data."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import gas_cli
from gas_cli.cli.data import command_line
from gas_cli.config.dataset import FEATURES
from gas_cli.errors import UserError
from gas_cli.graph.graph import Graph
from gas_cli.prediction import predict
from tests.end_to_end.conftest import Command
from tests.end_to_end.other_data import SMALL, run_each, same_bits_elsewhere, tables, write

OWN = ["height", "colour", "width"]


def plain(folder: Path, nodes: pd.DataFrame, edges: pd.DataFrame) -> Path:
    """Tables without features."""
    return write(folder, nodes.drop(columns=OWN), edges)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run per kind, on a graph without features."""
    folder = tmp_path_factory.mktemp("made")
    path = plain(folder / "graph", *tables())
    return run_each(folder, path, "dataset.features", FEATURES)


@pytest.mark.parametrize("kind", FEATURES)
def test_moved_data_gives_the_same_bits(runs: Path, tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    same_bits_elsewhere(runs / kind, runs / "graph", tmp_path / "elsewhere")
    assert "has changed" not in caplog.text


@pytest.mark.parametrize("kind", ["degree", "constant"])
def test_other_data_get_features_of_the_same_kind(runs: Path, tmp_path: Path, kind: str) -> None:
    """Also where they have features of their own, are undirected, or come from a program."""
    nodes, edges = tables(7, seed=1)
    both = pd.concat([edges, edges.rename(columns={"source": "target", "target": "source"})])
    for number, links in enumerate((edges, both)):
        with_own = write(tmp_path / f"own {number}", nodes, links)
        without = plain(tmp_path / f"plain {number}", nodes.drop(columns=["label", "split"]), links)
        ends = np.array([links[end].map(dict(zip(nodes["id"], range(7), strict=True))) for end in ("source", "target")], np.int64)
        found = [predict(runs / kind, settings=[f"dataset.path={path}"]).probabilities for path in (with_own, without)]
        found.append(predict(runs / kind, graph=Graph.from_edges(ends, torch.zeros(7, 0))).probabilities)
        np.testing.assert_array_equal(found[0], found[1])
        np.testing.assert_allclose(found[0], found[2], rtol=1e-5)


def test_random_features_serve_the_nodes_of_the_training_only(runs: Path, tmp_path: Path, gas_predict: Command) -> None:
    nodes, edges = tables()
    fewer = plain(tmp_path / "fewer edges", nodes, edges[:100])
    assert len(predict(runs / "random", settings=[f"dataset.path={fewer}"])) == len(nodes)
    other = plain(tmp_path / "other", *tables(seed=1))
    outcome = gas_predict(f"run={runs / 'random'}", f"dataset.path={other}", f"out={tmp_path / 'p.npz'}")
    assert outcome.code == 2 and "it knows only the nodes of the training" in outcome.err
    with pytest.raises(UserError, match=r"only the nodes of the training"):
        predict(runs / "random", graph=Graph.from_edges(np.array([[0], [1]]), torch.zeros(len(nodes), 0)))


def test_the_features_of_a_trained_model_stay_what_they_are(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"dataset.features=constant is not valid: the model was trained with degree"):
        predict(runs / "degree", settings=[f"dataset.path={runs / 'graph'}", "dataset.features=constant"])
    assert len(predict(runs / "degree", settings=[f"dataset.path={runs / 'graph'}", "dataset.features=degree"])) == 60


def test_a_run_is_continued_with_the_features_it_has(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "degree", tmp_path / "run")
    with pytest.raises(UserError, match=r"dataset.features=constant cannot be changed"):
        gas_cli.resume(tmp_path / "run", ["dataset.features=constant"])
    assert gas_cli.resume(tmp_path / "run", ["trainer.epochs=5"]).summary["epochs"] == 5


def test_a_program_s_graph_is_trained_on_without_features(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    graph = Graph.from_edges(rng.integers(0, 60, (2, 200)), None, rng.integers(0, 3, 60), train=np.arange(20))
    settings = [setting for setting in SMALL if not setting.startswith("dataset")]
    with pytest.raises(UserError, match=r"dataset.features=degree"):
        gas_cli.train(settings, tmp_path / "refused", graph=graph)
    gas_cli.train([*settings, "dataset.features=degree"], tmp_path / "run", graph=graph)
    assert len(predict(tmp_path / "run", graph=graph)) == 60


def test_a_folder_without_features_is_refused_with_what_to_type(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line(["check", str(runs / "graph")]) == 2
    assert "type dataset.features=degree (or constant, random)" in capsys.readouterr().err
    assert command_line(["check", str(runs / "graph"), "features=degree"]) == 0
    assert "2 columns, dense" in capsys.readouterr().out
