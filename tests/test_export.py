"""`gas-predict export=`: the models of docs/export.md, executed as they stand there, give the probabilities of `gas-predict`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch_geometric.utils import coalesce

import gas_cli
from gas_cli.cli.predict import command_line
from gas_cli.export import KINDS, export_model
from gas_cli.graph.graph import Graph
from gas_cli.prediction import predict
from gas_cli.training.checkpoint import load_checkpoint
from tests.test_docs import DOCS, blocks

NODES, FEATURES = 60, 5
CASES = [
    ["gcn", "model.num_layers=3"],
    ["gcn", "model.num_layers=1", "model.normalization=mean", "model.self_loops=false"],
    ["gcn", "model.linear=true", "model.batch_norm=true", "model.residual=true", "model.activation=elu"],
    ["sage", "model.num_layers=3", "model.batch_norm=true", "model.residual=true"],
    ["sage", "model.normalization=null", "model.self_loops=true"],
    ["gin", "model.linear=true", "model.residual=true"],
    ["gin", "model.num_layers=3", "model.batch_norm=true"],
    ["gin", "model.mlp_batch_norm=true"],
    ["gat", "model.num_layers=3", "model.heads=2", "model.out_heads=3", "model.edge_attr=false", "model.residual=true"],
    ["gat", "model.heads=2", "model.linear=true", "model.batch_norm=true", "model.self_loops=false"],
    ["gat", "model.heads=2", "model.normalization=sym", "model.self_loops=false"],
    ["appnp", "model.alpha=0.2"],
    ["appnp", "model.normalization=null", "model.num_layers=2"],
    ["gcnii", "model.num_layers=3", "model.alpha=0.2"],
    ["gcnii", "model.num_layers=3", "model.shared_weights=false", "model.batch_norm=true", "model.residual=true"],
    ["gcn", "model.batch_norm=true", "trainer.average=2"],
]


def drawn(several_labels: bool = False) -> dict[str, Any]:
    """A directed graph with weights, attributes and a node without edges, as arguments of `Graph.from_edges`."""
    rng = np.random.default_rng(0)
    edges = coalesce(torch.from_numpy(rng.integers(0, NODES - 1, (2, 300))))
    edges = edges[:, edges[0] != edges[1]]
    y = rng.integers(0, 3, NODES)
    y[:3] = range(3)
    return {
        "edge_index": edges,
        "x": torch.from_numpy(rng.standard_normal((NODES, FEATURES), np.float32)),
        "y": rng.integers(0, 2, (NODES, 3)) if several_labels else y,
        "edge_weight": torch.from_numpy(rng.uniform(0.2, 3, edges.shape[1]).astype(np.float32)),
        "edge_attr": torch.from_numpy(rng.standard_normal((edges.shape[1], 2), np.float32)),
        "train": np.arange(0, 30),
        "val": np.arange(30, 45),
        "test": np.arange(45, NODES),
    }


def trained(folder: Path, model: str, *settings: str, graph: Graph | None = None) -> Path:
    small = ["partitioner=random", "partitioner.num_parts=3", "partitioner.cache=null", "trainer.batch_parts=1", "trainer.epochs=3"]
    common = [f"model={model}", "model.hidden_channels=8", "optimizer.lr=0.05", "device=cpu", *small]
    gas_cli.train([*common, *settings], folder, graph=graph or Graph.from_edges(**drawn()))
    return folder


def code(kind: str) -> str:
    """All that docs/export.md tells a user to run for a model: the lines that load it, and those that give the scores."""
    load, adjacency, attention = blocks(DOCS / "export.md", "python")
    return load + (attention if kind == "gat" else adjacency)


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, as the page's file names are relative."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def scores(page: Path, path: Path, graph: dict[str, Any]) -> torch.Tensor:
    """What the page's lines give for `path`, run as a file of its own names."""
    if path != page / "model.pt":
        shutil.copy(path, page / "model.pt")
    kind = torch.load(path, weights_only=True)["model"]
    names: dict[str, Any] = {"__name__": "exported"} | {key: graph[key] for key in ("x", "edge_index", "edge_weight", "edge_attr")}
    exec(compile(code(kind), "exported.py", "exec"), names)
    found = names["scores"]
    assert isinstance(found, torch.Tensor) and not found.requires_grad
    return found


@pytest.mark.parametrize("kind", KINDS.values())
def test_twenty_lines_load_and_score_every_model(kind: str) -> None:
    lines = [line for line in code(kind).splitlines() if line.strip() and not line.startswith("# ")]  # the names of the files
    assert len(lines) <= 20 and max(map(len, lines)) <= 140 and not any(";" in line for line in lines)


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support")
@pytest.mark.parametrize("settings", CASES, ids=" ".join)
def test_the_page_gives_the_probabilities_of_gas_predict(settings: list[str], page: Path, tmp_path: Path) -> None:
    run = trained(tmp_path / "run", *settings)
    content = drawn()
    for checkpoint in ("best", "last"):
        path = export_model(run, tmp_path / "new" / "model.pt", checkpoint)
        expected = predict(run, checkpoint=checkpoint, device="cpu", graph=Graph.from_edges(**content))
        found = scores(page, path, content).softmax(1)
        torch.testing.assert_close(found, torch.from_numpy(expected.probabilities), rtol=0, atol=1e-5)
        assert tuple(torch.load(path, weights_only=True)["class_names"]) == expected.classes
    assert float(found.std(0).min()) > 1e-4, "equal rows would hide a wrong graph"


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support")
def test_several_labels_are_the_sigmoid_and_names_are_the_datasets(page: Path, tmp_path: Path) -> None:
    content = drawn(several_labels=True)
    graph = Graph.from_edges(**content)
    path = export_model(trained(tmp_path / "run", "gcn", graph=graph), tmp_path / "model.pt")
    expected = torch.from_numpy(predict(tmp_path / "run", device="cpu", graph=graph).probabilities)
    torch.testing.assert_close(scores(page, path, content).sigmoid(), expected, rtol=0, atol=1e-5)
    content = drawn() | {"y": np.array(["red", "green", "blue"])[drawn()["y"]]}
    graph = Graph.from_edges(**content)
    path = export_model(trained(tmp_path / "named", "gcn", graph=graph), tmp_path / "model.pt")
    assert torch.load(path, weights_only=True)["class_names"] == list(predict(tmp_path / "named", device="cpu", graph=graph).classes)


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support")
def test_the_file_holds_the_scale_of_the_features(page: Path, tmp_path: Path) -> None:
    content = drawn()
    content["x"] = content["x"] * torch.tensor([1.0, 100, 3, 1, 0]) + 7  # the last column has one value
    graph = Graph.from_edges(**content)
    path = export_model(trained(tmp_path / "run", "gcn", "dataset.normalize=standard", graph=graph), tmp_path / "model.pt")
    expected = predict(tmp_path / "run", device="cpu", graph=graph)
    scaling = torch.load(path, weights_only=True)["scaling"]
    mean, std = scaling["mean"], scaling["std"]
    scaled = content | {"x": torch.where(std > 0, (content["x"] - mean) / std, 0)}
    torch.testing.assert_close(scores(page, path, scaled).softmax(1), torch.from_numpy(expected.probabilities), rtol=0, atol=1e-5)
    assert torch.load(export_model(trained(tmp_path / "other", "gcn"), path), weights_only=True)["scaling"] is None


def test_every_kind_is_a_case() -> None:
    assert {settings[0] for settings in CASES} == set(KINDS.values())


def test_the_command_writes_the_file_without_any_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trained(tmp_path / "run", "gcn")
    monkeypatch.chdir(tmp_path)

    def loads(*_: object, **__: object) -> None:
        raise AssertionError("a graph was asked for")

    monkeypatch.setattr("gas_cli.prediction.prepare", loads)
    monkeypatch.setattr("gas_cli.run.prepare_files", loads)
    assert command_line(["run=run", "export=model.pt"]) == 0
    assert capsys.readouterr().out == "Wrote model.pt\n"
    saved = torch.load("model.pt", weights_only=True)
    assert (saved["format"], saved["model"], saved["class_names"]) == (2, "gcn", ["0", "1", "2"])
    assert all(weight.is_contiguous() for weight in saved["state_dict"].values())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["export=model.npz"], "a file name that ends in .pt"),
        (["export=model.pt", "out=p.npz"], "out=p.npz is not valid with export=model.pt"),
        (["export=model.pt", "mode=history"], "mode=history is not valid"),
        (["export=run/config.yaml/model.pt"], "config.yaml is not a folder"),
    ],
)
def test_arguments_are_checked_before_anything_is_read(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("not even read")
    monkeypatch.setitem(sys.modules, "gas_cli.export", None)  # an import fails
    assert command_line(["run=run", *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["pna"], "model=pna cannot be exported. Models that can be exported: gcn, sage, gin, gat, appnp, gcnii"),
        (["conv"], "model=conv cannot"),
        (["gatv2"], "model.version=2"),
        (["gcn", "model.batch_norm=true", "model.track_running_stats=false"], "Train with model.track_running_stats=true"),
        (["gin", "model.mlp_batch_norm=true", "model.track_running_stats=false"], "model.track_running_stats=false"),
        (["gcn", "model.residual=true", "model.hidden_channels=5"], "model.residual=true cannot be exported"),
    ],
)
def test_what_pyg_does_not_have_is_refused_by_name(settings: list[str], message: str, tmp_path: Path) -> None:
    run = trained(tmp_path / "run", *settings)
    with pytest.raises(gas_cli.UserError) as caught:
        export_model(run, tmp_path / "model.pt")
    assert message in str(caught.value) and not (tmp_path / "model.pt").exists()


def test_a_residual_without_a_layer_to_add_to_is_exported(tmp_path: Path) -> None:
    run = trained(tmp_path / "run", "gcn", "model.residual=true", "model.hidden_channels=5", "model.num_layers=1")
    layers = torch.load(export_model(run, tmp_path / "model.pt"), weights_only=True)["layers"]
    assert [kind for _, kind, _, _ in layers] == ["GCNConv"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s["model"].popitem(), "the weights lack"),
        (lambda s: s["model"].update(more=torch.zeros(1)), "have 'more'"),
        (lambda s: s.update(model=None), "the weights are a NoneType"),
        (lambda s: s["fingerprint"]["graph"].pop("classes"), "classes of the graph is 'None'"),
        (lambda s: s["fingerprint"]["graph"].update({"feature columns": "7"}), "the weight convs.0.weight is float32 [5, 8]"),
        (lambda s: s["fingerprint"]["settings"].update({"model.num_layers": "3"}), "model.num_layers=3, and config.yaml"),
    ],
)
def test_checkpoints_that_do_not_fit_are_refused(change: Any, message: str, tmp_path: Path) -> None:
    run = trained(tmp_path / "run", "gcn")
    path = run / "checkpoints" / "best.pt"
    state = load_checkpoint(path)
    change(state)
    torch.save(state, path)
    with pytest.raises(gas_cli.UserError) as caught:
        export_model(run, tmp_path / "model.pt")
    assert message in str(caught.value) and str(path) in str(caught.value)


def test_a_summary_with_other_classes_is_refused(tmp_path: Path) -> None:
    run = trained(tmp_path / "run", "gcn")
    (run / "summary.json").write_text('{"classes": ["a", "b"]}')
    with pytest.raises(gas_cli.UserError, match="classes is of 2, expected a list of 3 names"):
        export_model(run, tmp_path / "model.pt")
