"""Runs on features of one scale: what they predict on other data has the numbers of the training."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import gas_cli
from gas_cli.cli.data import command_line
from gas_cli.errors import UserError
from gas_cli.graph.graph import Graph
from gas_cli.prediction import _opened, predict
from gas_cli.training.checkpoint import load_checkpoint
from tests.end_to_end.other_data import SMALL, by_hand, run_each, same_bits_elsewhere, tables, write
from tests.end_to_end.runs import lines, train

KINDS = ("row", "standard")


def uneven(nodes: int = 60, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`width` in other units."""
    table, edges = tables(nodes, seed)
    return table.assign(width=1e4 * table["width"] + 5e4), edges


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("normalised")
    path = write(folder / "graph", *uneven())
    return run_each(folder, path, "dataset.normalize", KINDS)


def raw(nodes: pd.DataFrame, edges: pd.DataFrame) -> np.ndarray:
    return by_hand(nodes, edges).x.numpy().astype(np.float64)


def expected(kind: str, x: np.ndarray) -> np.ndarray:
    """`x` on the scale of the run of this kind: the training nodes are every third one of `uneven()`."""
    if kind == "row":
        return x / np.abs(x).sum(1, keepdims=True)
    train = raw(*uneven())[::3]
    return (x - train.mean(0)) / train.std(0)


def features(run: Path, settings: list[str], graph: Graph | None = None) -> np.ndarray:
    """What the model reads in `gas-predict`, in the order of the nodes."""
    problem = _opened(run, "exact", "best", "cpu", graph, settings).problem
    x = torch.empty_like(problem.graph.x)
    x[problem.partition.node_perm] = problem.graph.x
    return x.numpy()


@pytest.mark.parametrize("kind", KINDS)
def test_moved_data_gives_the_same_bits(runs: Path, tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    same_bits_elsewhere(runs / kind, runs / "graph", tmp_path / "elsewhere")
    assert "has changed" not in caplog.text
    np.testing.assert_allclose(features(runs / kind, []), expected(kind, raw(*uneven())), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_score_what_the_run_reported(runs: Path, kind: str) -> None:
    """Training and predictions read the same features."""
    nodes, _ = uneven()
    found = predict(runs / kind, checkpoint="last")
    reported = lines(runs / kind)[-1]["test"]
    test = (nodes["split"] == "test").to_numpy()
    assert (found.labels == nodes["label"])[test].mean() == pytest.approx(reported)


@pytest.mark.parametrize("kind", KINDS)
def test_other_data_have_the_scale_of_the_training_and_never_their_own(runs: Path, tmp_path: Path, kind: str) -> None:
    """A few nodes, whose mean is another one; columns in another order; no labels; or a program's graph."""
    nodes, edges = uneven(20, seed=1)
    nodes["width"] += 3e4
    path = write(tmp_path / "other", nodes[["width", "colour", "id", "height"]], edges)
    wanted = expected(kind, raw(nodes, edges))
    found = features(runs / kind, [f"dataset.path={path}"])
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(features(runs / kind, [], by_hand(nodes, edges)), found)


def test_words_that_the_training_did_not_have_are_zero_before_they_are_scaled(runs: Path, tmp_path: Path) -> None:
    nodes, edges = uneven(20, seed=1)
    path = write(tmp_path / "other", nodes.assign(colour="violet"), edges)
    for kind in KINDS:
        wanted = expected(kind, raw(nodes.assign(colour="violet"), edges))
        np.testing.assert_allclose(features(runs / kind, [f"dataset.path={path}"]), wanted, rtol=1e-5, atol=1e-6)


def test_a_graph_that_has_grown_keeps_the_numbers_of_the_training(runs: Path, tmp_path: Path) -> None:
    """Predictions for the run's own files read its mean and deviation, not those of the files as they are now."""
    nodes, edges = uneven()
    path = write(tmp_path / "graph", nodes, edges)
    train(tmp_path / "run", base=(*SMALL, f"dataset.path={path}", "dataset.normalize=standard"))
    more = pd.concat([nodes, nodes[:3].assign(id=["a", "b", "c"], width=1e6, split="train")])
    more.to_csv(path / "nodes.csv", index=False)
    np.testing.assert_allclose(features(tmp_path / "run", []), expected("standard", raw(more, edges)), rtol=1e-5, atol=1e-6)


def test_a_resumed_run_is_one_that_was_not_interrupted(runs: Path, tmp_path: Path) -> None:
    base = (*SMALL, f"dataset.path={runs / 'graph'}", "dataset.normalize=standard")
    train(tmp_path / "long", "trainer.epochs=5", base=base)
    shutil.copytree(runs / "standard", tmp_path / "run")
    gas_cli.resume(tmp_path / "run", ["trainer.epochs=5"])
    weights = [load_checkpoint(tmp_path / name / "checkpoints" / "last.pt")["model"] for name in ("long", "run")]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    with pytest.raises(UserError, match=r"dataset.normalize=row cannot be changed"):
        gas_cli.resume(tmp_path / "run", ["dataset.normalize=row"])


def test_a_program_s_graph_is_scaled_likewise(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 3)) * [1, 100, 1e4]
    graph = Graph.from_edges(rng.integers(0, 60, (2, 200)), x, rng.integers(0, 3, 60), train=np.arange(20))
    settings = [setting for setting in SMALL if not setting.startswith("dataset")]
    gas_cli.train([*settings, "dataset.normalize=standard"], tmp_path / "run", graph=graph)
    train_nodes = x[:20].astype(np.float32).astype(np.float64)
    found = features(tmp_path / "run", [], graph)
    np.testing.assert_allclose(found, (x - train_nodes.mean(0)) / train_nodes.std(0), rtol=1e-4, atol=1e-6)


def test_check_says_the_scale_and_what_to_type(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line(["check", str(runs / "graph"), "encode=onehot"]) == 0
    said = capsys.readouterr().out
    assert "dataset.normalize=standard brings them to one scale" in said and "MiB, from 0 to 59" in said
    assert command_line(["check", str(runs / "graph"), "encode=onehot", "normalize=standard"]) == 0
    assert "brings them to one scale" not in capsys.readouterr().out
