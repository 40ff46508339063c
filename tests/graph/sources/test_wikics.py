from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gas_cli.config.dataset import DatasetConfig
from gas_cli.errors import UserError
from gas_cli.graph.graph import Graph
from gas_cli.graph.load import load_graph
from tests.graph.sources.compare import edges_of, raw_refused, same_converted

N = 24


@pytest.fixture
def fake_wikics(tmp_path: Path) -> Callable[..., Path]:
    """Writes `data.json` with 24 nodes and 3 splits; keyword arguments replace parts (None leaves one out)."""

    def write(**replaced: Any) -> Path:
        rng = np.random.default_rng(0)
        roles = np.stack([rng.permutation(N - 6) % 3 for _ in range(3)])  # the last six nodes test
        masks = {key: np.pad(roles == role, ((0, 0), (0, 6))) for role, key in enumerate(("train_masks", "val_masks", "stopping_masks"))}
        content: dict[str, Any] = {
            "features": rng.standard_normal((N, 4)).round(4).tolist(),
            "labels": rng.integers(0, 10, N).tolist(),
            "links": [rng.integers(0, N, rng.integers(0, 4)).tolist() for _ in range(N)],
            **{key: mask.tolist() for key, mask in masks.items()},
            "test_mask": (np.arange(N) >= N - 6).tolist(),
        }
        path = tmp_path / "WIKICS/raw/data.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({key: value for key, value in {**content, **replaced}.items() if value is not None}))
        return path

    return write


def load(tmp_path: Path) -> Graph:
    return load_graph(DatasetConfig("wiki-cs", root=str(tmp_path), download=False))


def test_equals_pyg(fake_wikics: Callable[..., Path], tmp_path: Path) -> None:
    from torch_geometric.datasets import WikiCS

    fake_wikics()
    graph, data = load(tmp_path), WikiCS(str(tmp_path / "WIKICS"), is_undirected=True)[0]
    loops = data.edge_index[0] == data.edge_index[1]
    assert edges_of(graph) == set(zip(*data.edge_index[:, ~loops].tolist(), strict=True)) and graph.symmetric
    assert torch.equal(graph.x, data.x) and torch.equal(graph.y, data.y)
    for number, split in enumerate(graph.splits):
        assert torch.equal(split.train, data.train_mask[:, number]) and torch.equal(split.val, data.stopping_mask[:, number])
        assert torch.equal(split.test, data.test_mask)
    assert len(graph.splits) == 3 and graph.metric == "accuracy"


@pytest.mark.parametrize(
    ("replaced", "reason"),
    [
        ({"links": None}, "expected a JSON object with features, labels, links"),
        ({"features": [[1.0, 2.0]] * (N - 1) + [[1.0]]}, "its features are not numbers in equal rows"),
        ({"features": [["a"]] * N}, "its features are not numbers"),
        ({"features": [1.0] * N}, "its features have shape"),
        ({"labels": [0] * (N - 1)}, f"it has {N} rows of features, {N - 1} labels"),
        ({"labels": [0.5] * N}, "its labels hold a fraction"),
        ({"links": [1] * N}, "its links are not lists"),
        ({"test_mask": [True] * 3}, r"its masks have shapes .* for 24 nodes"),
    ],
)
def test_contents_that_are_no_graph(fake_wikics: Callable[..., Path], tmp_path: Path, replaced: dict[str, Any], reason: str) -> None:
    path = fake_wikics(**replaced)
    with pytest.raises(UserError, match=rf"{path} cannot be used \({reason}.*delete it and download it again"):
        load(tmp_path)


def test_truncated_and_missing_files_are_named(fake_wikics: Callable[..., Path], tmp_path: Path) -> None:
    path = fake_wikics()
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(UserError, match=rf"{path} cannot be used \(JSONDecodeError"):
        load(tmp_path)
    path.unlink()
    with pytest.raises(UserError, match=rf"'wiki-cs' needs data.json in {path.parent}"):
        load(tmp_path)


def test_a_link_out_of_range_is_named(fake_wikics: Callable[..., Path], tmp_path: Path) -> None:
    fake_wikics(links=[[1], [99]] + [[]] * (N - 2))
    with pytest.raises(UserError, match="Edge 1 joins nodes 1 and 99: expected ids from 0 to 23"):
        load(tmp_path)


def test_convert_writes_the_equal_graph(fake_wikics: Callable[..., Path], tmp_path: Path) -> None:
    fake_wikics()
    same_converted(load(tmp_path), tmp_path)


@pytest.mark.parametrize("title", ["WIKICS", "WikiCS"])
def test_convert_by_path_names_the_dataset(
    fake_wikics: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], title: str
) -> None:
    folder = fake_wikics().parent.parent.rename(tmp_path / title)
    raw_refused(folder, "wiki-cs", tmp_path, capsys)
