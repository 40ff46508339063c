from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch_geometric.io import read_planetoid_data

from gas_cli.config.dataset import DatasetConfig
from gas_cli.errors import UserError
from gas_cli.graph.graph import Graph
from gas_cli.graph.load import load_graph
from gas_cli.graph.sources import planetoid
from tests.graph.sources.compare import raw_refused, same_converted

if TYPE_CHECKING:
    from tests.graph.conftest import WebServer

PARTS = ("tx", "allx", "y", "ty", "ally", "graph", "test.index")


def load(tmp_path: Path) -> Graph:
    return load_graph(DatasetConfig("citeseer", root=str(tmp_path), download=False))


def test_gaps_in_the_test_ids_equal_pyg(fake_planetoid: Callable[..., Path], tmp_path: Path) -> None:
    data = read_planetoid_data(str(fake_planetoid()), "citeseer")
    graph = load(tmp_path)
    target = torch.repeat_interleave(torch.arange(graph.num_nodes), graph.adj.rowptr.diff())
    assert set(zip(graph.adj.col.tolist(), target.tolist(), strict=True)) == set(zip(*data.edge_index.tolist(), strict=True))
    torch.testing.assert_close(graph.x.to_dense(), data.x / data.x.sum(1, keepdim=True).clamp(min=1))
    assert torch.equal(graph.y, data.y)
    for name in ("train", "val", "test"):
        assert torch.equal(getattr(graph.splits[0], name), data[f"{name}_mask"])
    assert graph.num_classes == 6 and graph.metric == "accuracy"


def test_missing_part_is_downloaded(
    fake_planetoid: Callable[..., Path], tmp_path: Path, web_server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fake_planetoid() / "ind.citeseer.graph"
    whole, web_server.content = load(tmp_path).fingerprint(), path.read_bytes()
    path.unlink()
    monkeypatch.setattr(planetoid, "ADDRESS", web_server.url)
    assert load_graph(DatasetConfig("citeseer", root=str(tmp_path))).fingerprint() == whole
    assert len(web_server.asked) == 1


def test_folder_without_the_family_name(fake_planetoid: Callable[..., Path], tmp_path: Path) -> None:
    whole = load(tmp_path) if fake_planetoid() else None
    (tmp_path / "Planetoid" / "CiteSeer").rename(tmp_path / "CiteSeer")
    assert whole is not None and load(tmp_path).fingerprint() == whole.fingerprint()


@pytest.mark.parametrize("part", PARTS)
def test_missing_part_is_named(fake_planetoid: Callable[..., Path], tmp_path: Path, part: str) -> None:
    raw = fake_planetoid()
    (raw / f"ind.citeseer.{part}").unlink()
    with pytest.raises(UserError, match=rf"needs ind\.citeseer\.{part} in {raw} "):
        load(tmp_path)


@pytest.mark.parametrize("part", PARTS[:-1])
def test_truncated_part_is_named(fake_planetoid: Callable[..., Path], tmp_path: Path, part: str) -> None:
    path = fake_planetoid() / f"ind.citeseer.{part}"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match=rf"{path} cannot be used \(.*delete it and download it again"):
        load(tmp_path)


@pytest.mark.parametrize("content", ["640\nx", "640\n640\n642\n647", "", "640\n642\n647"])
def test_bad_test_index(fake_planetoid: Callable[..., Path], tmp_path: Path, content: str) -> None:
    (fake_planetoid() / "ind.citeseer.test.index").write_text(content)
    with pytest.raises(UserError, match="cannot be used"):
        load(tmp_path)


@pytest.mark.parametrize(("part", "rows"), [("ally", 639), ("ty", 3), ("y", 641)])
def test_parts_that_do_not_fit_together(fake_planetoid: Callable[..., Path], tmp_path: Path, part: str, rows: int) -> None:
    (fake_planetoid() / f"ind.citeseer.{part}").write_bytes(pickle.dumps(np.zeros((rows, 6), np.int32), protocol=2))
    with pytest.raises(UserError, match=r"ind\.citeseer\.\* cannot be used \(the shapes of .*do not fit together"):
        load(tmp_path)


def test_neighbour_out_of_range(fake_planetoid: Callable[..., Path], tmp_path: Path) -> None:
    (fake_planetoid() / "ind.citeseer.graph").write_bytes(pickle.dumps({0: [1, 648], 1: [0]}, protocol=2))
    with pytest.raises(UserError, match="Edge 1 joins nodes 0 and 648: expected ids from 0 to 647"):
        load(tmp_path)


def test_convert_writes_the_equal_graph(fake_planetoid: Callable[..., Path], tmp_path: Path) -> None:
    fake_planetoid()
    same_converted(load(tmp_path), tmp_path)


def test_convert_by_path_names_the_dataset(fake_planetoid: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake_planetoid()
    raw_refused(tmp_path / "Planetoid" / "CiteSeer", "citeseer", tmp_path, capsys)
