"""Everything in examples/ runs and is what it says."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import gas_cli
from gas_cli.batch.builder import BatchBuilder
from gas_cli.errors import UserError
from gas_cli.method.method import Alone
from gas_cli.model.registry import build_model
from gas_cli.ops.dropout import Noise
from gas_cli.passes.drivers import forward, layerwise
from tests.builders import in_original_order, make_graph, make_problem, random_adjacency
from tests.end_to_end.runs import SMALL, lines, train
from tests.registration import nothing_stays_registered  # noqa: F401 - a fixture

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
QUICK = [setting for setting in SMALL if not setting.startswith(("dataset.", "partitioner.num_parts"))]


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", ROOT / "examples" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look up annotations
    spec.loader.exec_module(module)
    return module


def test_every_example_is_tested_here_and_says_how_to_run_it() -> None:
    tested = Path(__file__).read_text(encoding="utf-8")
    for path in EXAMPLES:
        assert f'"{path.stem}"' in tested, path
        assert f"examples/{path.name}" in path.read_text(encoding="utf-8").partition('"""')[2].partition('"""')[0]


@pytest.mark.parametrize("layers", [2, 3])
def test_gas_in_one_page_is_what_the_package_computes(layers: int, tmp_path: Path) -> None:
    page = example("gas_in_one_page")
    assert len((ROOT / "examples" / "gas_in_one_page.py").read_text().splitlines()) <= 95
    num_nodes, parts, epochs = 120, 6, 8
    rng = np.random.default_rng(0)
    edges = np.unique(rng.integers(0, num_nodes, (2, 500)), axis=1)
    edges = edges[:, edges[0] != edges[1]]
    edges = np.unique(np.concatenate([edges, edges[::-1]], 1), axis=1)
    y = rng.integers(0, 3, num_nodes)
    x = (2 * np.eye(5)[y] + rng.standard_normal((num_nodes, 5))).astype(np.float32)
    part = rng.permutation(np.arange(num_nodes) % parts)
    train_mask = rng.random(num_nodes) < 0.4
    graph = gas_cli.Graph.from_edges(edges, x, y, train=train_mask, val=~train_mask, test=[], name="page")
    np.save(tmp_path / "parts.npy", part)
    settings = ["model=gcn", f"model.num_layers={layers}", "model.hidden_channels=8", "model.dropout=0", f"trainer.epochs={epochs}"]
    settings += [f"partitioner=file partitioner.file={tmp_path / 'parts.npy'} trainer.batch_parts=1 trainer.shuffle=false"]
    settings = " ".join([*settings, "optimizer.reg_weight_decay=0 device=cpu seed=3"]).split()
    run = gas_cli.train(settings, tmp_path / "run", graph=graph)

    model = build_model(run.config.model, 5, 3, seed=3)
    weights = [(conv.weight.detach().clone().requires_grad_(), conv.bias.detach().clone().requires_grad_()) for conv in model.convs]  # type: ignore[union-attr]
    tensors = torch.from_numpy(edges), torch.from_numpy(x), torch.from_numpy(y), torch.from_numpy(train_mask), torch.from_numpy(part)
    edge_index, features, labels, mask, of_part = tensors
    adj = page.normalized(edge_index, num_nodes)
    losses = page.train(adj, features, labels, mask, of_part, weights, epochs)

    assert losses[-1] < losses[0] - 0.05  # it learns, so that the numbers have something to differ in
    np.testing.assert_allclose(losses, [line["loss"] for line in lines(run.folder)], rtol=2e-5)
    scores = page.exact(weights, adj, features)[-1]
    found = run.predict(graph=graph, checkpoint="last").probabilities
    np.testing.assert_allclose(found, scores.softmax(1).detach().numpy(), atol=2e-5)


def test_own_dataset_trains_and_learns_who_joined_which_club(tmp_path: Path) -> None:
    module = example("own_dataset")
    run = module.main(str(tmp_path / "karate"), "device=cpu")
    assert run.summary["num_nodes"] == 34 and run.summary["num_edges"] == 156 and run.summary["test"] > 0.7
    assert set(run.predict([0, 33]).labels) <= {"Mr. Hi", "Officer"}
    other = module.main(str(tmp_path / "more"), "device=cpu", "dataset.train_share=0.5", "trainer.epochs=1")
    assert other.config.dataset.train_share == 0.5
    with pytest.raises(UserError, match="train_shar"):
        module.main(str(tmp_path / "typo"), "dataset.train_shar=0.5")


def test_own_layer_is_a_model_of_the_command(tmp_path: Path) -> None:
    path = (ROOT / "examples" / "own_layer").with_suffix(".py")
    summary = train(
        tmp_path / "run", "model=custom", f"model.module={path}", "model.layer_args.sharpness=2.0", "trainer.epochs=60", "model.dropout=0"
    )
    assert summary["status"] == "finished" and summary["train"] > 0.8  # of ten classes


def test_own_model_is_one_that_every_driver_agrees_on(tmp_path: Path) -> None:
    """Trained with histories; then layer-wise inference in parts equals one full-batch forward pass."""
    module = example("own_model")
    run = module.main(str(tmp_path / "mean"), *QUICK, "partitioner.num_parts=6", "dataset.num_nodes=300", "model.self_weight=0.5")
    assert run.summary["status"] == "finished" and len(run.predict()) == 300
    settings = run.config.model
    original = make_graph(random_adjacency(30, 4, 0))
    model = module.Mean(settings, original.num_features, original.num_classes).eval()
    whole, parts = (make_problem(original, count, settings) for count in (1, 5))
    batch = BatchBuilder(whole.graph, whole.adj, whole.partition, whole.graph.splits[0], model.num_layers).build([0])
    with torch.no_grad():
        expected = in_original_order(whole, forward(model, batch, Alone(), Noise.off()))
    torch.testing.assert_close(in_original_order(parts, _layerwise_scores(model, parts)), expected, rtol=1e-4, atol=1e-5)


def _layerwise_scores(model: Any, problem: Any) -> torch.Tensor:
    builder = BatchBuilder(problem.graph, problem.adj, problem.partition, problem.graph.splits[0], model.num_layers)
    batches = [builder.build([part]) for part in range(builder.num_parts)]
    return layerwise(model, lambda inputs: batches, problem.graph.num_nodes, torch.device("cpu"))


def test_own_method_is_gas_with_rate_1_and_another_method_below_and_resumes(tmp_path: Path) -> None:
    module = example("own_method")
    settings = [*SMALL, "method=averaged"]
    losses = {}
    for rate in ("1.0", "0.5"):
        gas_cli.train([*settings, f"method.rate={rate}"], tmp_path / rate)
        losses[rate] = [line["loss"] for line in lines(tmp_path / rate)]
    train(tmp_path / "gas")
    assert losses["1.0"] == [line["loss"] for line in lines(tmp_path / "gas")] != losses["0.5"]
    gas_cli.train([*settings, "method.rate=0.5", "trainer.epochs=2"], tmp_path / "part")
    gas_cli.resume(tmp_path / "part", ["trainer.epochs=3"])
    assert [line["loss"] for line in lines(tmp_path / "part")] == losses["0.5"]
    assert module.main(str(tmp_path / "main"), *SMALL).summary["method"] == "averaged"
    with pytest.raises(UserError, match=r"method\.rate=2\.0 is not valid"):
        gas_cli.compose_config([*settings, "method.rate=2.0"])


def test_plot_training_draws_what_the_runs_measured(tmp_path: Path) -> None:
    module = example("plot_training")
    picture = module.main(str(tmp_path / "methods"), *QUICK, "partitioner.num_parts=6", "dataset.num_nodes=300")
    assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size > 5_000
    assert [len(lines(picture.parent / method)) for method in module.METHODS] == [3, 3, 3]


def test_own_layer_is_that_of_the_page_about_layers() -> None:
    """docs/own-layer.md shows the same class, so one of them cannot go out of date."""
    source = (ROOT / "examples" / "own_layer.py").read_text(encoding="utf-8")
    shown = (ROOT / "docs" / "own-layer.md").read_text(encoding="utf-8")
    body = re.findall(r"^        (?:messages|total|degree|return) .*$", source, re.MULTILINE)
    assert len(body) == 4 and all(line in shown for line in body)
