from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gas_cli.config.dataset import DatasetConfig
from gas_cli.errors import UserError
from gas_cli.graph.graph import Graph
from gas_cli.graph.load import load_graph
from gas_cli.graph.sources import large_adjacency, papers100m
from gas_cli.graph.topology import build_adjacency
from tests.graph.sources.compare import raw_refused, same_converted

N, F, E = 30, 4, 90
Write = Callable[..., Path]


@pytest.fixture
def fake_papers(tmp_path: Path) -> Write:
    """Writes ogb's binary layout; keyword arguments replace arrays of data.npz or `node_label`."""

    def write(compressed: bool = False, **replaced: Any) -> Path:
        rng, folder = np.random.default_rng(0), tmp_path / "ogbn_papers100M"
        (folder / "raw").mkdir(parents=True, exist_ok=True)
        (folder / "split/time").mkdir(parents=True, exist_ok=True)
        label = rng.integers(0, 172, (N, 1)).astype(np.float32)
        label[20:] = np.nan
        arrays: dict[str, Any] = {
            "edge_index": rng.integers(0, N, (2, E)),
            "node_feat": rng.standard_normal((N, F)).astype(np.float16),
            "node_year": np.full((N, 1), 2019),
            "num_nodes_list": np.array([N]),
            "num_edges_list": np.array([E]),
        }
        label = replaced.pop("node_label", label)
        (np.savez_compressed if compressed else np.savez)(folder / papers100m.DATA, **{**arrays, **replaced})
        np.savez(folder / papers100m.LABELS, node_label=label)
        for part, ids in {"train": range(10), "valid": range(10, 15), "test": range(15, 20)}.items():
            with gzip.open(folder / f"split/time/{part}.csv.gz", "wt") as out:
                out.write("".join(f"{i}\n" for i in ids))
        return folder

    return write


def load(tmp_path: Path, download: bool = False) -> Graph:
    return load_graph(DatasetConfig("ogbn-papers100M", root=str(tmp_path), download=download))


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("by_columns", [False, True])
def test_graph_is_what_was_written(
    fake_papers: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compressed: bool, by_columns: bool
) -> None:
    edges = np.random.default_rng(1).integers(0, N, (2, E))
    folder = fake_papers(compressed, edge_index=np.asfortranarray(edges) if by_columns else edges)
    monkeypatch.setattr(papers100m, "EDGES_AT_A_TIME", 7)
    monkeypatch.setattr(papers100m, "VALUES_AT_A_TIME", 10)
    monkeypatch.setattr(large_adjacency, "ENTRIES_AT_A_TIME", 25)
    graph = load(tmp_path)
    expected = build_adjacency(edges, N, symmetrise=True)
    for part in ("rowptr", "col", "value"):
        assert torch.equal(getattr(graph.adj, part), getattr(expected, part))
    with np.load(folder / papers100m.DATA) as arrays:
        assert torch.equal(graph.x, torch.from_numpy(arrays["node_feat"]).float())
    assert graph.y[20:].tolist() == [-1] * 10 and (graph.y[:20] >= 0).all()
    assert [int(mask.sum()) for mask in (graph.splits[0].train, graph.splits[0].val, graph.splits[0].test)] == [10, 5, 5]
    assert (graph.num_classes, graph.metric, graph.symmetric) == (172, "ogb:ogbn-papers100M", True)


@settings(max_examples=25)
@given(st.integers(1, 12), st.integers(0, 40), st.integers(1, 30), st.integers(1, 9), st.integers(0, 99))
def test_passes_and_pieces_do_not_matter(
    tmp_path_factory: pytest.TempPathFactory, nodes: int, edges: int, entries: int, length: int, seed: int
) -> None:
    index = np.random.default_rng(seed).integers(0, nodes, (2, edges))
    target = tmp_path_factory.mktemp("adjacency")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(large_adjacency, "ENTRIES_AT_A_TIME", entries)
        large_adjacency.write_symmetric(lambda: (index[:, i : i + length] for i in range(0, edges, length)), nodes, target)
    expected = build_adjacency(index, nodes, symmetrise=True)
    assert np.load(target / "rowptr.npy").tolist() == expected.rowptr.tolist()
    assert np.load(target / "col.npy").tolist() == expected.col.tolist()


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"edge_index": np.array([[0, 1], [1, N]])}, "Edge 1 joins nodes 1 and 30: expected ids from 0 to 29"),
        ({"edge_index": np.zeros((E, 2), int)}, r"data.npz cannot be used \(edge_index has shape \(90, 2\)"),
        ({"edge_index": np.zeros((2, 3))}, r"data.npz cannot be used \(edge_index has shape \(2, 3\) and type float64"),
        ({"node_feat": np.zeros(N)}, r"data.npz cannot be used \(node_feat has shape \(30,\)"),
        ({"node_feat": np.array([None])}, r"data.npz cannot be used \(node_feat holds object"),
        ({"node_label": np.zeros((N - 1, 1))}, r"node-label.npz cannot be used \(it has 29 labels for 30 nodes"),
        ({"node_label": np.full((N, 1), 0.5)}, r"node-label.npz cannot be used \(node 0 has a label that is not a whole number"),
        ({"node_label": np.full((N, 1), np.nan)}, "has label -1 at node 0"),
    ],
)
def test_contents_that_do_not_fit(fake_papers: Write, tmp_path: Path, replaced: dict[str, Any], message: str) -> None:
    fake_papers(**replaced)
    with pytest.raises(UserError, match=message):
        load(tmp_path)


def test_damaged_archive_is_named(fake_papers: Write, tmp_path: Path) -> None:
    path = fake_papers() / papers100m.DATA
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(UserError, match=rf"{path} cannot be used \("):
        load(tmp_path)


def test_the_archive_is_not_downloaded_unasked(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"needs raw/data.npz, .*57 GB and is not downloaded automatically"):
        load(tmp_path, download=True)


@pytest.mark.parametrize("compressed", [False, True])
def test_convert_writes_the_equal_graph(fake_papers: Write, tmp_path: Path, compressed: bool) -> None:
    fake_papers(compressed)
    graph = load(tmp_path)
    assert (graph.y < 0).any(), "papers without a label are part of the layout"
    same_converted(graph, tmp_path)


def test_convert_by_path_names_the_dataset(fake_papers: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake_papers()
    raw_refused(tmp_path / "ogbn_papers100M", "ogbn-papers100M", tmp_path, capsys)
