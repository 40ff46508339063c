"""GraphSAGE on wide counts: both libraries train the same model on the same numbers, and the files have a row for each."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gas_cli.config.compose import compose_config
from gas_cli.graph.graph import Graph
from gas_cli.model.registry import build_model
from scripts import wide_features
from scripts.wide_features import NORMALIZE, PyG, adjacency, row, scaled, wide_graph


@pytest.fixture(scope="module")
def graph() -> Graph:
    graph = wide_graph(240, features=60)
    return replace(graph, x=scaled(graph.x, graph.splits[0], "none"))


def test_the_graph_is_what_the_script_says(graph: Graph) -> None:
    """Counts, some nodes far more active than others, splits that share no node."""
    assert graph.validate().num_nodes == 240 and graph.num_features == 60 and graph.num_classes == 5
    assert isinstance(graph.x, torch.Tensor) and torch.equal(graph.x, graph.x.round()) and graph.x.min() == 0
    totals = graph.x.sum(1)
    assert totals.quantile(0.9) > 20 * totals.quantile(0.1).clamp(min=1)
    split = graph.splits[0]
    masks = torch.stack([_mask(part, 240) for part in (split.train, split.val, split.test)]).long()
    assert masks.sum(1).tolist() == [20, 60, 160] and masks.sum(0).tolist() == [1] * 240


def _mask(part: torch.Tensor, nodes: int) -> torch.Tensor:
    return part if part.dtype == torch.bool else torch.zeros(nodes, dtype=torch.bool).index_fill(0, part, True)


def test_the_same_graph_is_drawn_every_time() -> None:
    one, other = (wide_graph(240, features=60) for _ in range(2))
    assert torch.equal(one.adj.col, other.adj.col) and torch.equal(one.y, other.y)


def test_rows_sum_to_one_and_columns_of_the_training_rows_are_standard(graph: Graph) -> None:
    """A column that is constant there becomes zero."""
    split = graph.splits[0]
    assert isinstance(graph.x, torch.Tensor)
    x = graph.x.clone()
    x[:, 7] = 3
    sums = scaled(x, split, "row").sum(1)
    torch.testing.assert_close(sums, torch.ones(len(x)))
    standard = scaled(x, split, "standard")
    varied = standard[split.train][:, x[split.train].std(0) > 0]
    torch.testing.assert_close(varied.mean(0), torch.zeros(varied.shape[1]), atol=1e-5, rtol=0)
    torch.testing.assert_close(varied.std(0, correction=0), torch.ones(varied.shape[1]))
    assert not standard[:, 7].any()
    assert torch.equal(scaled(x, split, "none"), x)


def test_both_models_have_as_many_parameters(graph: Graph) -> None:
    settings = ["model=sage", f"model.hidden_channels={wide_features.HIDDEN}", "model.num_layers=2", "model.batch_norm=false"]
    own = build_model(compose_config(settings).model, graph.num_features, graph.num_classes, 0)
    theirs = PyG(graph.num_features, graph.num_classes)
    assert sum(p.numel() for p in own.parameters()) == sum(p.numel() for p in theirs.parameters())


def test_the_sparse_matrix_gives_the_scores_and_gradients_of_the_edges(graph: Graph) -> None:
    """In both, the mean over the sources of a target's edges."""
    model = PyG(graph.num_features, graph.num_classes).eval()
    rows = torch.repeat_interleave(torch.arange(graph.num_nodes), graph.adj.rowptr.diff())
    found = []
    for adj in (adjacency(graph), torch.stack([graph.adj.col.long(), rows])):
        model.zero_grad()
        scores = model(scaled(graph.x, graph.splits[0], "standard"), adj)
        scores.square().mean().backward()
        found.append([scores.detach(), *(p.grad.clone() for p in model.parameters() if p.grad is not None)])
    assert len(found[0]) == 1 + len(list(model.parameters()))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_kept_rows_are_those_of_the_same_settings(graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --keep, what the report holds is not trained again; with other settings it is."""
    trained: list[str] = []
    for library in ("ours", "theirs"):
        monkeypatch.setattr(wide_features, library, lambda *given, library=library: trained.append(library) or (0.5, 1.0))
    monkeypatch.setattr(wide_features, "wide_graph", lambda nodes: graph)

    def main(*words: str) -> list[str]:
        trained.clear()
        monkeypatch.setattr("sys.argv", ["wide_features", "--seeds", "1", "--out", str(tmp_path), *words])
        wide_features.main()
        return list(trained)

    assert main("--normalize", "none") == ["ours", "theirs"]
    assert main("--keep") == ["ours", "theirs"] * 2
    assert len(json.loads((tmp_path / "wide-features.json").read_text())["rows"]) == 6
    assert main("--keep") == [] and main("--keep", "--epochs", "9") == ["ours", "theirs"] * 3


def test_a_row_has_percent_with_their_deviation_and_the_median_of_the_first_losses() -> None:
    made = row("PyG", "row", [(0.5, 1.0), (0.6, 9.0), (0.7, 2.0)])
    assert made["test"] == "50.0, 60.0, 70.0" and made["mean"].startswith("60.00") and made["first loss"] == "2.00"


def test_files_have_a_row_for_each_library_and_scaling(graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard columns let both start near log 5; a repeated run writes the same numbers."""
    monkeypatch.setattr(wide_features, "wide_graph", lambda nodes: wide_graph(nodes, features=60))
    written = []
    for folder in (tmp_path / "one", tmp_path / "other"):
        words = ["wide_features", "--seeds", "1", "--epochs", "2", "--nodes", "240", "--out", str(folder)]
        monkeypatch.setattr("sys.argv", words)
        wide_features.main()
        written.append(json.loads((folder / "wide-features.json").read_text())["rows"])
        with (folder / "wide-features.csv").open() as file:
            found = [(line["normalize"], line["library"]) for line in csv.DictReader(file)]
        assert found == [(normalize, library) for normalize in NORMALIZE for library in ("gas-train", "PyG")]
    assert written[0] == written[1]
    losses = {(line["normalize"], line["library"]): float(line["first loss"]) for line in written[0]}
    for library in ("gas-train", "PyG"):
        assert abs(losses["row", library] - np.log(5)) < 0.3, losses
