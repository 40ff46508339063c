from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch_geometric.io import read_npz

from gas_cli.config.dataset import DatasetConfig
from gas_cli.errors import UserError
from gas_cli.graph.graph import Graph
from gas_cli.graph.load import load_graph
from gas_cli.graph.sources import npz

if TYPE_CHECKING:
    from tests.graph.conftest import WebServer


def load(tmp_path: Path) -> Graph:
    return load_graph(DatasetConfig("amazon-photo", root=str(tmp_path), download=False))


def test_equals_pyg(fake_npz: Callable[..., Path], tmp_path: Path) -> None:
    data = read_npz(str(fake_npz()))
    graph = load(tmp_path)
    target = torch.repeat_interleave(torch.arange(graph.num_nodes), graph.adj.rowptr.diff())
    assert set(zip(graph.adj.col.tolist(), target.tolist(), strict=True)) == set(zip(*data.edge_index.tolist(), strict=True))
    assert torch.equal(graph.x.to_dense(), data.x) and torch.equal(graph.y, data.y)
    assert graph.symmetric and len(graph.splits) == 20 and graph.num_classes == 8


def test_download_into_the_folder_of_pyg(
    fake_npz: Callable[..., Path], tmp_path: Path, web_server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fake_npz()
    whole, web_server.content = load(tmp_path).fingerprint(), path.read_bytes()
    path.unlink()
    monkeypatch.setattr(npz, "ADDRESS", web_server.url)
    assert load_graph(DatasetConfig("amazon-photo", root=str(tmp_path))).fingerprint() == whole
    assert path.is_file()


def test_truncated(fake_npz: Callable[..., Path], tmp_path: Path) -> None:
    path = fake_npz()
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=rf"{path} cannot be used \(BadZipFile.*delete it"):
        load(tmp_path)


def test_damaged_content(fake_npz: Callable[..., Path], tmp_path: Path) -> None:
    path = fake_npz()
    content = bytearray(path.read_bytes())
    content[200:220] = bytes(range(20))
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"{path} cannot be used \("):
        load(tmp_path)


@pytest.mark.parametrize(("offset", "byte"), [(6, 1), (8, 77)])
def test_header_that_asks_for_a_password_or_a_strange_compression(
    fake_npz: Callable[..., Path], tmp_path: Path, offset: int, byte: int
) -> None:
    path = fake_npz()
    content = bytearray(path.read_bytes())
    directory = content.index(b"PK\x01\x02")
    content[offset] = content[directory + offset + 2] = byte
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"{path} cannot be used \("):
        load(tmp_path)


@pytest.mark.parametrize(
    ("replaced", "reason"),
    [
        ({"labels": None}, "KeyError: 'labels"),
        ({"labels": np.zeros(39, int)}, r"labels \(39,\) do not fit together"),
        ({"labels": np.array([None] * 40)}, "Object arrays cannot be loaded"),
        ({"attr_shape": np.array([40, 3])}, "ValueError"),
        ({"attr_shape": np.array([40, 3, 1])}, "ValueError"),
        ({"attr_shape": np.array(40)}, "ValueError"),
        ({"adj_shape": np.array([40, 41])}, r"edges \(40, 41\)"),
        ({"adj_indices": np.array([10**6])}, "ValueError"),
        ({"adj_indptr": np.array([0, 1])}, "ValueError"),
    ],
)
def test_contents_that_are_no_graph(fake_npz: Callable[..., Path], tmp_path: Path, replaced: dict[str, Any], reason: str) -> None:
    path = fake_npz(**replaced)
    with pytest.raises(UserError, match=rf"{path} cannot be used.*{reason}"):
        load(tmp_path)


def test_nan_feature_is_named(fake_npz: Callable[..., Path], tmp_path: Path) -> None:
    with np.load(fake_npz()) as arrays:
        data = arrays["attr_data"].astype(np.float32)
    data[0] = np.nan
    fake_npz(attr_data=data)
    with pytest.raises(UserError, match="NaN or infinite feature"):
        load(tmp_path)
