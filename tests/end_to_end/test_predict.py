"""`gas-predict` on real runs: what it writes is what the run measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from gas_cli.config.compose import load_config
from gas_cli.graph.graph import Graph
from gas_cli.graph.load import load_graph
from gas_cli.prediction import predict
from tests.end_to_end.conftest import Command
from tests.end_to_end.runs import assert_refused, contents, lines, summary, train

MODELS = ["gcn", "gcnii", "appnp"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run per model, one by full batch, and two by one command."""
    folder = tmp_path_factory.mktemp("runs")
    for model in MODELS:
        train(folder / model, f"model={model}", "trainer.epochs=6", "optimizer.lr=0.05", "seed=3")
    train(folder / "full", "method=full_batch")
    train(folder / "two", "runs=2")
    return folder


def graph_of(run: Path) -> Graph:
    return load_graph(load_config(run / "config.yaml").dataset)


def accuracies(probabilities: np.ndarray, graph: Graph) -> dict[str, float]:
    (split,) = graph.splits
    right = torch.from_numpy(probabilities).argmax(1) == graph.y
    return {
        name: int(right[mask].sum()) / int(mask.sum()) for name, mask in (("train", split.train), ("val", split.val), ("test", split.test))
    }


def probabilities(run: Path, out: Path, mode: str = "exact", checkpoint: str = "best") -> np.ndarray:
    written = np.load(predict(run, mode=mode, checkpoint=checkpoint).save(out / "p.npz"))
    assert (written["nodes"] == np.arange(300)).all()
    rows: np.ndarray = written["probabilities"]
    return rows


@pytest.mark.parametrize("name", [*MODELS, "full", "two/runs/01"])
def test_exact_predictions_score_what_the_run_reported(name: str, runs: Path, tmp_path: Path) -> None:
    run = runs / name
    graph, reported = graph_of(run), summary(run)
    assert accuracies(probabilities(run, tmp_path), graph) == {mask: reported[mask] for mask in ("train", "val", "test")}
    last = lines(run)[-1]
    assert accuracies(probabilities(run, tmp_path, checkpoint="last"), graph) == {mask: last[mask] for mask in ("train", "val", "test")}


@pytest.mark.parametrize("method", ["gas", "full_batch", "cluster_gcn"])
def test_predictions_of_a_run_with_averaged_weights_score_what_it_reported(method: str, tmp_path: Path, gas_predict: Command) -> None:
    """By best.pt and by last.pt; the live weights in the same files would score otherwise. Histories are theirs, so they are refused."""
    run = tmp_path / "run"
    settings = ("trainer.average=2", "evaluation.live=true", "model.batch_norm=true", "optimizer.lr=0.1", "trainer.epochs=6")
    reported = train(run, f"method={method}", *settings)
    assert reported["average"] == 2.0 and lines(run)[-1]["live"]["train"] != lines(run)[-1]["train"]
    for checkpoint, expected in (("best", reported), ("last", lines(run)[-1])):
        found = accuracies(probabilities(run, tmp_path, checkpoint=checkpoint), graph_of(run))
        assert found == {mask: expected[mask] for mask in ("train", "val", "test")}
    if method == "gas":
        message = "mode=history is not valid: expected exact with trainer.average=2"
        assert_refused(gas_predict("run=run", "mode=history"), message, program="gas-predict")


@pytest.mark.parametrize("method", ["gas", "full_batch"])
def test_the_order_of_the_nodes_within_parts_changes_no_prediction(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(tmp_path / "breadth first", f"method={method}")
    expected = probabilities(tmp_path / "breadth first", tmp_path, checkpoint="last")
    monkeypatch.setattr("gas_cli.partition.make.order_nodes", lambda adj, parts: np.argsort(parts, kind="stable"))
    train(tmp_path / "by ids", f"method={method}")
    np.testing.assert_allclose(probabilities(tmp_path / "by ids", tmp_path, checkpoint="last"), expected, rtol=1e-4)


@pytest.mark.parametrize("checkpoint", ["best", "last"])
@pytest.mark.parametrize("model", MODELS)
def test_predictions_from_histories_are_exact_after_a_refresh_and_only_then(
    model: str, checkpoint: str, runs: Path, tmp_path: Path
) -> None:
    train(tmp_path / "run", f"model={model}", "history.refresh=1", "trainer.epochs=4", "optimizer.lr=0.05")
    exact, history = (probabilities(tmp_path / "run", tmp_path, mode, checkpoint) for mode in ("exact", "history"))
    np.testing.assert_allclose(history, exact, rtol=1e-5, atol=1e-6)
    exact, history = (probabilities(runs / model, tmp_path, mode, checkpoint) for mode in ("exact", "history"))
    assert np.abs(history - exact).max() > 1e-4


def test_predictions_from_histories_score_what_such_an_evaluation_reported(tmp_path: Path) -> None:
    reported = train(tmp_path / "run", "evaluation.mode=history", "trainer.epochs=5")
    scores = accuracies(probabilities(tmp_path / "run", tmp_path, "history"), graph_of(tmp_path / "run"))
    assert scores == {mask: reported[mask] for mask in ("train", "val", "test")}


def test_rows_are_probabilities_and_the_run_stays_untouched(runs: Path, tmp_path: Path, gas_predict: Command) -> None:
    before = contents(runs)
    outcome = gas_predict(f"run={runs / 'gcn'}", "mode=history", "out=new/p.npz")
    assert (outcome.code, outcome.out.splitlines()[-1], outcome.err) == (0, "Wrote new/p.npz", "")
    rows = np.load(tmp_path / "new" / "p.npz")["probabilities"]
    assert rows.dtype == np.float32 and rows.shape == (300, 10) and (rows >= 0).all()
    np.testing.assert_allclose(rows.sum(1), 1, rtol=1e-5)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["p.npz"]
    assert contents(runs) == before


@pytest.mark.parametrize("mode", ["exact", "history"])
def test_some_nodes_get_their_rows_of_all_in_the_order_asked_for(mode: str, runs: Path, tmp_path: Path, gas_predict: Command) -> None:
    ids = np.array([7, 299, 0, 7])
    np.save(tmp_path / "ids.npy", ids)
    (tmp_path / "ids.txt").write_text("7\n299\n0\n7\n")
    rows = probabilities(runs / "gcn", tmp_path, mode)[ids]
    for file in ("ids.npy", "ids.txt"):
        assert gas_predict(f"run={runs / 'gcn'}", f"mode={mode}", f"nodes={file}", "out=some.npz").code == 0
        some = np.load(tmp_path / "some.npz")
        assert (some["nodes"] == ids).all() and (some["probabilities"] == rows).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("300\n", "entry 0 is 300, expected node ids from 0 to 299"),
        ("0\n-1\n", "entry 1 is -1"),
        ("0.5\n", "one whole number per node"),
        ("nan\n", "one whole number per node"),
        ("one\n", "one node id per line"),
        ("1 2\n", "one node id per line"),
        ("", "no node ids"),
        (np.array([[1, 2]]), "shape (1, 2)"),
        (np.array(["1"]), "one whole number per node"),
        (np.array([1, None]), "cannot be read"),
        (b"", "cannot be read"),
        (b"\x93NUMPY\x01\x00", "cannot be read"),
    ],
)
def test_node_files_that_are_refused(
    content: str | bytes | np.ndarray, message: str, runs: Path, tmp_path: Path, gas_predict: Command
) -> None:
    path = tmp_path / ("ids.txt" if isinstance(content, str) else "ids.npy")
    if isinstance(content, np.ndarray):
        np.save(path, content, allow_pickle=True)
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    assert_refused(gas_predict(f"run={runs / 'gcn'}", f"nodes={path.name}"), path.name, message, program="gas-predict")
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run=nowhere"], "the folder of a run"),
        (["run={runs}/full", "mode=history"], "method=full_batch, which keeps no histories"),
        (["run={runs}/two"], "run={runs}/two/runs/00"),
        (["run={runs}/gcn", "epoch=3"], "expected key=value with one of run, what, layer, mode, out, top, nodes, checkpoint, device"),
        (["run={runs}/gcn", "out=file/p.npz"], "file is not a folder"),
        (["run={runs}/gcn", "nodes=none.txt"], "none.txt"),
    ],
)
def test_mistakes(arguments: list[str], message: str, runs: Path, tmp_path: Path, gas_predict: Command) -> None:
    (tmp_path / "file").write_text("not a folder")
    outcome = gas_predict(*(argument.format(runs=runs) for argument in arguments))
    assert_refused(outcome, message.format(runs=runs), program="gas-predict")


def test_an_inductive_run_predicts_exactly_and_has_no_histories_of_the_nodes_to_predict(tmp_path: Path, gas_predict: Command) -> None:
    drawn = ("dataset=cluster", "dataset.num_train_graphs=4", "dataset.num_val_graphs=1", "dataset.num_test_graphs=1", "partitioner=metis")
    sizes = ("partitioner.num_parts=6", "partitioner.cache=null", "trainer.batch_parts=2", "trainer.epochs=2", "model.hidden_channels=8")
    reported = train(tmp_path / "run", *drawn, *sizes, "model.batch_norm=true", "device=cpu", base=())
    assert (reported["partition"]["train_parts"], reported["partition"]["num_parts"]) == (6, 9)
    assert_refused(gas_predict("run=run", "mode=history"), "cluster is inductive", "Use mode=exact", program="gas-predict")
    assert gas_predict("run=run", "out=p.npz").code == 0
    found = accuracies(np.load(tmp_path / "p.npz")["probabilities"], graph_of(tmp_path / "run"))
    assert found == {mask: reported[mask] for mask in ("train", "val", "test")}


def test_a_device_that_is_not_there(runs: Path, gas_predict: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert_refused(gas_predict(f"run={runs / 'gcn'}", "device=cuda"), "Use device=cpu", program="gas-predict")


def test_a_run_without_checkpoint_and_a_damaged_one(tmp_path: Path, gas_predict: Command) -> None:
    train(tmp_path / "run")
    path = tmp_path / "run" / "checkpoints" / "best.pt"
    path.write_bytes(path.read_bytes()[:1000])
    assert_refused(gas_predict("run=run"), "best.pt cannot be read", "last.pt in the same folder", program="gas-predict")
    path.unlink()
    assert_refused(gas_predict("run=run"), "No checkpoint at run/checkpoints/best.pt", program="gas-predict")
    assert gas_predict("run=run", "checkpoint=last").code == 0


def test_a_checkpoint_of_another_model_or_graph(tmp_path: Path, gas_predict: Command) -> None:
    train(tmp_path / "run")
    config = tmp_path / "run" / "config.yaml"
    saved = config.read_text()
    config.write_text(saved.replace("hidden_channels: 8", "hidden_channels: 9"))
    assert_refused(gas_predict("run=run"), "model.hidden_channels=8, and config.yaml", program="gas-predict")
    config.write_text(saved.replace("graph_seed: 0", "graph_seed: 1"))
    assert_refused(gas_predict("run=run"), "dataset.graph_seed=0, and config.yaml", program="gas-predict")
    config.write_text(saved)
    assert gas_predict("run=run").code == 0
