from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch_geometric.datasets import Reddit

from gas_cli.config.dataset import DatasetConfig
from gas_cli.errors import UserError
from gas_cli.graph.graph import Graph
from gas_cli.graph.load import load_graph
from gas_cli.graph.sources import reddit
from tests.graph.sources.compare import edges_of, raw_refused, same_converted

if TYPE_CHECKING:
    from tests.graph.conftest import WebServer

N = 20
Write = Callable[..., Path]


@pytest.fixture
def fake_reddit(tmp_path: Path) -> Write:
    """Writes both files with 20 nodes; keyword arguments replace arrays of the nodes, `graph` the matrix."""

    def write(graph: Any = None, **replaced: Any) -> Path:
        rng, raw = np.random.default_rng(0), tmp_path / "Reddit/raw"
        raw.mkdir(parents=True, exist_ok=True)
        arrays = {
            "feature": rng.standard_normal((N, 5)),
            "label": rng.integers(0, 41, N),
            "node_types": np.repeat([1, 2, 3], [10, 5, 5]),
        }
        np.savez(raw / reddit.NODES, **{**arrays, **replaced})
        links = sp.random(N, N, 0.2, random_state=0)
        sp.save_npz(raw / reddit.EDGES, graph if graph is not None else ((links + links.T) > 0).astype(np.int64).tocoo())
        return raw

    return write


def load(tmp_path: Path, download: bool = False) -> Graph:
    return load_graph(DatasetConfig("reddit", root=str(tmp_path), download=download))


def test_equals_pyg(fake_reddit: Write, tmp_path: Path) -> None:
    raw = fake_reddit()
    graph, data = load(tmp_path), Reddit(str(raw.parent))[0]
    loops = data.edge_index[0] == data.edge_index[1]
    assert edges_of(graph) == set(zip(*data.edge_index[:, ~loops].tolist(), strict=True)) and graph.symmetric
    assert torch.equal(graph.x, data.x) and torch.equal(graph.y, data.y)
    for part in ("train", "val", "test"):
        assert torch.equal(getattr(graph.splits[0], part), data[f"{part}_mask"])


@pytest.mark.parametrize(
    ("replaced", "file", "reason"),
    [
        ({"label": np.zeros(N - 1, int)}, reddit.NODES, r"its labels \(19,\)"),
        ({"node_types": np.full(N, 4)}, reddit.NODES, "its labels .* node_types"),
        ({"feature": np.array([["a"]] * N)}, reddit.NODES, "its features are not numbers"),
        ({"graph": sp.csr_matrix((N, N))}, reddit.EDGES, "KeyError: 'row"),
    ],
)
def test_contents_that_do_not_fit(fake_reddit: Write, tmp_path: Path, replaced: dict[str, Any], file: str, reason: str) -> None:
    raw = fake_reddit(**replaced)
    with pytest.raises(UserError, match=rf"{raw / file} cannot be used \({reason}.*delete it"):
        load(tmp_path)


def test_an_edge_out_of_range_is_named(fake_reddit: Write, tmp_path: Path) -> None:
    fake_reddit(graph=sp.coo_matrix(([1], ([3], [N])), shape=(N + 1, N + 1)))
    with pytest.raises(UserError, match="Edge 0 joins nodes 3 and 20: expected ids from 0 to 19"):
        load(tmp_path)


def test_download_unpacks_an_archive_without_a_top_folder(
    fake_reddit: Write, tmp_path: Path, web_server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = fake_reddit()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for file in (reddit.NODES, reddit.EDGES):
            archive.write(raw / file, file)
    whole, web_server.content = load(tmp_path).fingerprint(), buffer.getvalue()
    monkeypatch.setattr(reddit, "ADDRESS", web_server.url)
    assert load(tmp_path / "elsewhere", download=True).fingerprint() == whole
    assert not list((tmp_path / "elsewhere").rglob("*.zip*"))


def test_convert_writes_the_equal_graph(fake_reddit: Write, tmp_path: Path) -> None:
    fake_reddit()
    same_converted(load(tmp_path), tmp_path)


def test_convert_by_path_names_the_dataset(fake_reddit: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw_refused(fake_reddit().parent, "reddit", tmp_path, capsys)
