from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gas_cli.config.compose import config_directory
from gas_cli.config.dataset import DatasetConfig, GeneratedConfig
from gas_cli.errors import UserError
from gas_cli.graph import load as module
from gas_cli.graph.graph import Graph
from gas_cli.graph.load import dataset_names, load_graph
from gas_cli.ops.csr import CSR

PYG = {
    "cora": ("Planetoid", "Cora"),
    "citeseer": ("Planetoid", "CiteSeer"),
    "amazon-computers": ("Amazon", "Computers"),
    "amazon-photo": ("Amazon", "Photo"),
}


def assert_same_edges(graph: Graph, edge_index: torch.Tensor) -> None:
    """As sets, and as often; pairs as one number each, which are sorted in no time."""
    target = torch.repeat_interleave(torch.arange(graph.num_nodes), graph.adj.rowptr.diff())
    ours, expected = (source.long() * graph.num_nodes + end for source, end in ((graph.adj.col, target), edge_index))
    assert torch.equal(ours.sort().values, expected.sort().values)


def assert_same_features(x: torch.Tensor | CSR, expected: torch.Tensor, first_column: int = 0) -> None:
    """In blocks of rows, since the dense form of the large ones would not be small."""
    columns = slice(first_column, first_column + expected.shape[1])
    for start in range(0, expected.shape[0], 4096):
        rows = slice(start, start + 4096)
        ours = torch.from_numpy(x.to_scipy()[rows, columns].toarray()) if isinstance(x, CSR) else x[rows, columns]
        torch.testing.assert_close(ours, expected[rows])


def copied_dataset(name: str, real_data: Path, tmp_path: Path) -> Any:
    """PyG's own dataset on a copy of the raw files: it writes into its folder."""
    import shutil

    from torch_geometric import datasets
    from torch_geometric.transforms import NormalizeFeatures

    family, title = PYG[name]
    shutil.copytree(real_data / family / title / "raw", tmp_path / title / "raw")
    if family == "Planetoid":
        return datasets.Planetoid(str(tmp_path), title, transform=NormalizeFeatures())
    return getattr(datasets, family)(str(tmp_path), title)


def test_a_graph_that_does_not_fit_into_memory_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(config: DatasetConfig, progress: bool) -> Graph:
        raise MemoryError

    monkeypatch.setitem(module.SOURCES, "cora", load)
    with pytest.raises(UserError, match="'cora' in here needs more memory than this machine has"):
        load_graph(DatasetConfig(name="cora", root="here"))


@pytest.mark.parametrize("name", PYG)
def test_real_dataset_equals_pyg(name: str, real_data: Path, tmp_path: Path) -> None:
    dataset = copied_dataset(name, real_data, tmp_path)
    data = dataset[0]
    graph = load_graph(DatasetConfig(name, root=str(real_data), download=False))
    assert_same_edges(graph, data.edge_index)
    assert_same_features(graph.x, data.x)
    assert torch.equal(graph.y, data.y) and graph.num_classes == dataset.num_classes
    assert graph.symmetric == data.is_undirected()
    if "train_mask" in data:
        split = graph.splits[0]
        assert (
            torch.equal(split.train, data.train_mask) and torch.equal(split.val, data.val_mask) and torch.equal(split.test, data.test_mask)
        )


@pytest.mark.parametrize(
    ("name", "file"), [("coauthor-cs", "CS/raw/ms_academic_cs.npz"), ("coauthor-physics", "Physics/raw/ms_academic_phy.npz")]
)
def test_real_coauthor_equals_pyg_block_by_block(name: str, file: str, real_data: Path) -> None:
    """PyG holds these features dense (0.5 and 1.2 GB), so its own reader is given some columns at a time."""
    import scipy.sparse as sp
    from torch_geometric.io.npz import parse_npz

    graph = load_graph(DatasetConfig(name, root=str(real_data), download=False))
    arrays = dict(np.load(real_data / "Coauthor" / file))
    x = sp.csr_array(tuple(arrays[f"attr_{part}"] for part in ("data", "indices", "indptr")), shape=arrays["attr_shape"])
    for first in range(0, x.shape[1], 2048):
        block = x[:, first : first + 2048]
        arrays |= {"attr_data": block.data, "attr_indices": block.indices, "attr_indptr": block.indptr, "attr_shape": np.array(block.shape)}
        data = parse_npz(arrays)
        assert_same_features(graph.x, data.x, first)
    assert_same_edges(graph, data.edge_index)
    assert torch.equal(graph.y, data.y)


def test_real_physics_stays_sparse(real_data: Path) -> None:
    x = load_graph(DatasetConfig("coauthor-physics", root=str(real_data), download=False)).x
    assert isinstance(x, CSR) and x.nbytes < 20_000_000


def test_dataset_names() -> None:
    chosen_by_file = {path.stem for path in (config_directory() / "dataset").glob("*.yaml")}
    assert set(PYG) < chosen_by_file == set(dataset_names())


@pytest.mark.parametrize(("typed", "meant"), [("coro", "cora"), ("OGBN_arxiv", "ogbn-arxiv"), ("amazon-photos", "amazon-photo")])
def test_unknown_name_suggests_the_nearest(typed: str, meant: str) -> None:
    with pytest.raises(
        UserError, match=rf"{typed}' is not known: did you mean {meant}.*expected one of generated, folder, cora, .*ogbn-products"
    ):
        load_graph(DatasetConfig(typed))


def test_unknown_name_without_neighbour_lists_all() -> None:
    with pytest.raises(UserError, match="'zzz' is not known: expected one of generated, folder, cora"):
        load_graph(DatasetConfig("zzz"))


@pytest.mark.parametrize(
    "name", ["cora", "pubmed", "coauthor-physics", "amazon-photo", "wiki-cs", "yelp", "reddit", "ppi", "ogbn-arxiv", "ogbn-products"]
)
def test_missing_files_are_named_with_their_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"{name}' needs .* in {tmp_path}/.*dataset.download=false.*dataset=generated"):
        load_graph(DatasetConfig(name, root=str(tmp_path), download=False))
    assert list(tmp_path.iterdir()) == []


def test_graph_is_validated(fake_npz: Callable[..., Path], tmp_path: Path) -> None:
    fake_npz(labels=np.arange(40) % 9)
    with pytest.raises(UserError, match="has label 8 at node 8: expected labels from 0 to 7"):
        load_graph(DatasetConfig("amazon-photo", root=str(tmp_path), download=False))


@pytest.mark.parametrize("config", [DatasetConfig("generated"), GeneratedConfig("generated", num_nodes=300)])
def test_generated_graph_needs_no_files(config: DatasetConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    graph = load_graph(config)
    assert graph.num_nodes == getattr(config, "num_nodes", 10_000) and list(tmp_path.iterdir()) == []


def test_another_source_is_another_entry(monkeypatch: pytest.MonkeyPatch, fake_npz: Callable[..., Path], tmp_path: Path) -> None:
    fake_npz()
    seen: list[bool] = []

    def source(config: DatasetConfig, progress: bool) -> Graph:
        seen.append(progress)
        return module.SOURCES["amazon-photo"](DatasetConfig("amazon-photo", root=config.root), progress)

    monkeypatch.setitem(module.SOURCES, "mine", source)
    assert load_graph(DatasetConfig("mine", root=str(tmp_path)), progress=True).num_nodes == 40 and seen == [True]
