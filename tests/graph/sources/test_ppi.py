from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch_geometric.data import Batch
from torch_geometric.datasets import PPI

from gas_cli.config.dataset import DatasetConfig
from gas_cli.errors import UserError
from gas_cli.graph.graph import Graph
from gas_cli.graph.load import load_graph
from tests.graph.sources.compare import edges_of, raw_refused, same_converted

SIZES = (5, 4)
N = sum(SIZES)
"""Nodes of each part: two graphs."""

Write = Callable[..., Path]


@pytest.fixture
def fake_ppi(tmp_path: Path) -> Write:
    """Writes the twelve files; keyword arguments replace contents of the validation part."""

    def write(directed: bool = True, **replaced: Any) -> Path:
        rng, raw = np.random.default_rng(0), tmp_path / "PPI/raw"
        raw.mkdir(parents=True, exist_ok=True)
        for part in ("train", "valid", "test"):
            mine = replaced if part == "valid" else {}
            np.save(raw / f"{part}_feats.npy", mine.get("feats", rng.standard_normal((N, 3))))
            np.save(raw / f"{part}_labels.npy", mine.get("labels", rng.integers(0, 2, (N, 121))))
            np.save(raw / f"{part}_graph_id.npy", mine.get("graph_id", np.repeat([7, 8], SIZES)))
            pairs = [(a, b) for a, b in rng.integers(0, N, (30, 2)).tolist() if (a < SIZES[0]) == (b < SIZES[0])]
            pairs += [(0, 1), (0, 0), (5, 6)] + ([(0, 5)] if part == "train" else [])  # a self-loop, and a link across
            links = mine.get("links", [{"source": a, "target": b} for a, b in pairs])
            graph = {"directed": directed, "multigraph": False, "graph": {}, "nodes": [{"id": i} for i in range(N)], "links": links}
            (raw / f"{part}_graph.json").write_text(json.dumps(graph))
        return raw

    return write


def load(tmp_path: Path) -> Graph:
    return load_graph(DatasetConfig("ppi", root=str(tmp_path), download=False))


@pytest.mark.parametrize("directed", [True, False])
def test_equals_pyg_graph_by_graph(fake_ppi: Write, tmp_path: Path, directed: bool) -> None:
    raw = fake_ppi(directed)
    graph = load(tmp_path)
    data = Batch.from_data_list([graph for part in ("train", "val", "test") for graph in PPI(str(raw.parent), part)])
    assert edges_of(graph) == set(zip(*data.edge_index.tolist(), strict=True)) and graph.symmetric == (not directed)
    assert torch.equal(graph.x, data.x) and torch.equal(graph.y, data.y)
    assert (graph.metric, graph.num_classes, graph.inductive) == ("micro_f1", 121, True)


def test_no_message_passes_from_one_graph_to_another(fake_ppi: Write, tmp_path: Path) -> None:
    fake_ppi()
    graph = load(tmp_path)
    _, component = sp.csgraph.connected_components(graph.adj.to_scipy(), directed=True, connection="weak")
    split = graph.splits[0]
    masks = [{component[node] for node in mask.nonzero().view(-1).tolist()} for mask in (split.train, split.val, split.test)]
    assert not masks[0] & masks[1] and not masks[0] & masks[2] and not masks[1] & masks[2]
    assert int(split.train.sum()) == int(split.val.sum()) == int(split.test.sum()) == N


@pytest.mark.parametrize(
    ("replaced", "file", "reason"),
    [
        ({"labels": np.zeros((N, 120), int)}, "valid_labels.npy", r"expected zeros and ones of shape \(9, 121\), found shape \(9, 120\)"),
        ({"labels": np.full((N, 121), 2)}, "valid_labels.npy", "expected zeros and ones"),
        ({"feats": np.zeros((N, 4))}, r"\*_feats.npy", "they differ in the number of columns"),
        ({"feats": np.zeros(N)}, "valid_feats.npy", r"its entries have shape \(9,\)"),
        ({"graph_id": np.zeros(3, int)}, "valid_graph_id.npy", "it has 3 entries where valid_feats.npy has 9 rows"),
        ({"links": [[0, 1]]}, "valid_graph.json", "its links are not pairs"),
        ({"links": [{"source": 0, "target": N}]}, "valid_graph.json", "it links other nodes than 0 to 8"),
        ({"links": [{"source": "a", "target": 0}]}, "valid_graph.json", "its links are not numbers"),
    ],
)
def test_contents_that_do_not_fit(fake_ppi: Write, tmp_path: Path, replaced: dict[str, Any], file: str, reason: str) -> None:
    raw = fake_ppi(**replaced)
    with pytest.raises(UserError, match=rf"{raw}/{file} cannot be used \({reason}.*delete it"):
        load(tmp_path)


def test_missing_file_is_named(fake_ppi: Write, tmp_path: Path) -> None:
    (fake_ppi() / "test_graph.json").unlink()
    with pytest.raises(UserError, match=r"'ppi' needs raw/test_graph.json"):
        load(tmp_path)


@pytest.mark.parametrize("directed", [True, False])
def test_convert_writes_the_equal_graph(fake_ppi: Write, tmp_path: Path, directed: bool) -> None:
    fake_ppi(directed)
    graph = load(tmp_path)
    assert graph.inductive and graph.y.dim() == 2
    same_converted(graph, tmp_path)


def test_convert_by_path_names_the_dataset(fake_ppi: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake_ppi()
    raw_refused(tmp_path / "PPI", "ppi", tmp_path, capsys)
