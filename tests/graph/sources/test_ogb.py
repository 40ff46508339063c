from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from gas_cli.config.dataset import DatasetConfig
from gas_cli.errors import UserError
from gas_cli.graph.graph import Graph
from gas_cli.graph.load import load_graph
from gas_cli.graph.sources import ogb, ogb_raw
from tests.graph.sources.compare import raw_refused, same_converted

if TYPE_CHECKING:
    from tests.graph.conftest import FakeOgb, WebServer


def load(tmp_path: Path, name: str = "ogbn-arxiv", download: bool = False) -> Graph:
    return load_graph(DatasetConfig(name, root=str(tmp_path), download=download))


def rewrite(path: Path, text: str) -> None:
    with gzip.open(path, "wt") as out:
        out.write(text)


@pytest.mark.parametrize(("name", "classes"), [("arxiv", 40), ("products", 47)])
@pytest.mark.parametrize("suffix", ["", "_pyg"])
def test_graph_is_what_was_written(fake_ogb: Callable[..., FakeOgb], tmp_path: Path, name: str, classes: int, suffix: str) -> None:
    fake = fake_ogb(name, suffix)
    graph = load(tmp_path, f"ogbn-{name}")
    expected = np.zeros((20, 20), np.float32)
    expected[fake.edges[:, 1], fake.edges[:, 0]] = 1
    expected = np.maximum(expected, expected.T) * (1 - np.eye(20, dtype=np.float32))
    assert torch.equal(graph.adj.to_dense(), torch.from_numpy(expected)) and graph.symmetric
    np.testing.assert_allclose(graph.x.numpy(), fake.x, atol=1e-6)
    assert graph.x.dtype == torch.float32 and graph.y.tolist() == fake.y.ravel().tolist()
    for part, ids in zip(("train", "val", "test"), fake.split.values(), strict=True):
        assert getattr(graph.splits[0], part).nonzero().view(-1).tolist() == ids.tolist()
    assert (graph.num_classes, graph.metric) == (classes, f"ogb:ogbn-{name}")


@pytest.mark.parametrize("block", [1, 7])
def test_size_of_blocks_does_not_matter(
    fake_ogb: Callable[..., FakeOgb], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    fake_ogb()
    whole = load(tmp_path).fingerprint()
    monkeypatch.setattr(ogb_raw, "EDGES_AT_A_TIME", block)
    monkeypatch.setattr(ogb_raw, "NODES_AT_A_TIME", block)
    assert load(tmp_path).fingerprint() == whole


def test_writing_into_the_features_does_not_reach_the_disk(fake_ogb: Callable[..., FakeOgb], tmp_path: Path) -> None:
    fake_ogb()
    graph = load(tmp_path)
    before = graph.fingerprint()
    assert isinstance(graph.x, torch.Tensor)
    graph.x.zero_()
    assert load(tmp_path).fingerprint() == before


@pytest.mark.parametrize("file", [*ogb_raw.file_names("time")])
def test_truncated_file_is_named(fake_ogb: Callable[..., FakeOgb], tmp_path: Path, file: str) -> None:
    path = fake_ogb().folder / file
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(UserError, match=rf"{path} cannot be used \(.*delete it and download it again"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("file", "text", "reason"),
    [
        (ogb_raw.EDGES, "0,1\n" * 59, "it has 59 rows where raw/num-edge-list.csv.gz announces 60"),
        (ogb_raw.EDGES, "0,1\n" * 61, "it has 61 rows where raw/num-edge-list.csv.gz announces 60"),
        (ogb_raw.EDGES, "0,1,2\n" * 60, "it has 3 columns where 2 were expected"),
        (ogb_raw.EDGES, "0,x\n" * 60, "ValueError"),
        (ogb_raw.FEATURES, "0.5\n" * 21, "it has 21 rows where raw/num-node-list.csv.gz announces 20"),
        (ogb_raw.FEATURES, "1,2\n1,2,3\n" * 10, "ParserError"),
        (ogb_raw.FEATURES, "", "EmptyDataError"),
        (ogb_raw.LABELS, "1\n" * 19, "it has 19 rows where raw/num-node-list.csv.gz announces 20"),
        (ogb_raw.LABELS, "1\n" * 19 + "1.5\n", "node 19 has a label that is not a whole number"),
        (ogb_raw.LABELS, "1,1\n" * 20, "it has 2 columns where 1 was expected"),
        (ogb_raw.NUM_NODES, "10\n10\n", "one positive count was expected"),
        (ogb_raw.NUM_EDGES, "0\n", "one positive count was expected"),
    ],
)
def test_contents_that_do_not_fit(fake_ogb: Callable[..., FakeOgb], tmp_path: Path, file: str, text: str, reason: str) -> None:
    path = fake_ogb().folder / file
    rewrite(path, text)
    with pytest.raises(UserError, match=rf"{path} cannot be used \(.*{reason}"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        (ogb_raw.EDGES, "0,1\n" * 40 + "3,20\n" * 20, "Edge 40 joins nodes 3 and 20: expected ids from 0 to 19"),
        (ogb_raw.EDGES, "0,1\n" * 59 + "-1,4294967297\n", "Edge 59 joins nodes -1 and 4294967297"),
        (ogb_raw.FEATURES, "1,2\n" * 19 + "1,nan\n", "NaN or infinite feature at node 19"),
        (ogb_raw.LABELS, "40\n" * 20, "has label 40 at node 0: expected labels from 0 to 39"),
        (ogb_raw.LABELS, "1\n" * 19 + "nan\n", "has label -1 at node 19"),
        ("split/time/valid.csv.gz", "3\n", "has node 3 in two masks"),
        ("split/time/test.csv.gz", "15\n25\n", "test split has node id 25 at position 1"),
    ],
)
def test_bad_values_are_named(fake_ogb: Callable[..., FakeOgb], tmp_path: Path, file: str, text: str, message: str) -> None:
    rewrite(fake_ogb().folder / file, text)
    with pytest.raises(UserError, match=message):
        load(tmp_path)


def test_missing_file_is_named(fake_ogb: Callable[..., FakeOgb], tmp_path: Path) -> None:
    folder = fake_ogb().folder
    (folder / ogb_raw.LABELS).unlink()
    with pytest.raises(UserError, match=rf"'ogbn-arxiv' needs raw/node-label.csv.gz in {folder} "):
        load(tmp_path)


def zipped(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in folder.rglob("*.gz"):
            archive.write(path, f"arxiv/{path.relative_to(folder)}")
    return buffer.getvalue()


def test_download_unpacks_into_the_folder(
    fake_ogb: Callable[..., FakeOgb], tmp_path: Path, web_server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fake_ogb().folder
    web_server.content = zipped(folder)
    local = load(tmp_path)
    metadata = ogb.ogb_metadata("ogbn-arxiv")
    monkeypatch.setattr(ogb, "ogb_metadata", lambda name: replace(metadata, url=web_server.url))
    fetched = load(tmp_path / "elsewhere", download=True)
    assert fetched.fingerprint() == local.fingerprint()
    assert not list((tmp_path / "elsewhere").rglob("*.zip*"))


@pytest.mark.parametrize("name", ["arxiv", "products"])
def test_convert_writes_the_equal_graph(fake_ogb: Callable[..., FakeOgb], tmp_path: Path, name: str) -> None:
    fake_ogb(name)
    same_converted(load(tmp_path, f"ogbn-{name}"), tmp_path)


def test_convert_by_path_names_the_dataset(fake_ogb: Callable[..., FakeOgb], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake_ogb("products")
    raw_refused(tmp_path / "ogbn_products", "ogbn-products", tmp_path, capsys)
