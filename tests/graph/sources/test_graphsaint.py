from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
import torch_geometric.datasets as pyg

from gas_cli.config.dataset import DatasetConfig
from gas_cli.errors import UserError
from gas_cli.graph.graph import Graph
from gas_cli.graph.load import load_graph
from gas_cli.graph.sources import graphsaint, stored_graph
from tests.graph.sources.compare import edges_of, raw_refused, same_converted

if TYPE_CHECKING:
    from tests.graph.conftest import WebServer

N = 20
PYG = {"flickr": pyg.Flickr, "yelp": pyg.Yelp, "reddit2": pyg.Reddit2, "amazon-products": pyg.AmazonProducts}
Write = Callable[..., Path]


@pytest.fixture
def fake_graphsaint(tmp_path: Path) -> Write:
    """Writes the four files of a graph with 20 nodes; keyword arguments replace labels, roles, features or the adjacency."""

    def write(name: str = "flickr", **replaced: Any) -> Path:
        rng, origin = np.random.default_rng(0), graphsaint.ORIGINS[name]
        raw = tmp_path / origin.folders[0] / "raw"
        raw.mkdir(parents=True, exist_ok=True)
        links = sp.csr_array((rng.random((N, N)) < 0.2).astype(np.float32))  # directed, with self-loops
        shape = (N, origin.num_classes) if origin.several_labels else (N,)
        labels = rng.integers(0, 2 if origin.several_labels else origin.num_classes, shape)
        roles = {"tr": list(range(10)), "va": list(range(10, 15)), "te": list(range(15, 20))}
        sp.save_npz(raw / "adj_full.npz", sp.csr_matrix(replaced.get("adjacency", links)))
        np.save(raw / "feats.npy", replaced.get("features", rng.standard_normal((N, 5)) * 3 + 1))
        (raw / "class_map.json").write_text(
            json.dumps(replaced.get("labels", {str(i): label.tolist() for i, label in reversed(list(enumerate(labels)))}))
        )
        (raw / "role.json").write_text(json.dumps(replaced.get("roles", roles)))
        return raw

    return write


def load(tmp_path: Path, name: str = "flickr") -> Graph:
    return load_graph(DatasetConfig(name, root=str(tmp_path), download=False))


@pytest.mark.parametrize("name", graphsaint.ORIGINS)
def test_equals_pyg_and_the_preparation_of_the_published_runs(fake_graphsaint: Write, tmp_path: Path, name: str) -> None:
    raw = fake_graphsaint(name)
    graph, data = load(tmp_path, name), PYG[name](str(raw.parent))[0]
    loops = data.edge_index[0] == data.edge_index[1]
    assert edges_of(graph) == set(zip(*data.edge_index[:, ~loops].tolist(), strict=True)) and not graph.symmetric
    x = (data.x - data.x.mean(0)) / data.x.std(0) if name in ("yelp", "reddit2") else data.x
    torch.testing.assert_close(graph.x, x, rtol=1e-5, atol=1e-6)
    several = name in ("yelp", "amazon-products")
    assert torch.equal(graph.y, data.y.float() if several else data.y)
    assert graph.metric == ("micro_f1" if several else "accuracy")
    for part in ("train", "val", "test"):
        assert torch.equal(getattr(graph.splits[0], part), data[f"{part}_mask"])


def test_a_symmetric_graph_is_known_as_such(fake_graphsaint: Write, tmp_path: Path) -> None:
    fake_graphsaint(adjacency=sp.csr_array(np.ones((N, N), np.float32)))
    assert load(tmp_path).symmetric and load(tmp_path).adj.symmetric


def test_blocks_of_features_do_not_matter(fake_graphsaint: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_graphsaint("yelp")
    whole = load(tmp_path, "yelp").x
    monkeypatch.setattr(stored_graph, "ROWS_AT_A_TIME", 3)
    torch.testing.assert_close(load(tmp_path, "yelp").x, whole)


def test_a_constant_column_is_zero_after_standardising(fake_graphsaint: Write, tmp_path: Path) -> None:
    fake_graphsaint("reddit2", features=np.full((N, 2), 7.0))
    assert not load(tmp_path, "reddit2").x.any()


def labels(count: int = N, **changed: Any) -> dict[str, Any]:
    return {**{str(i): 0 for i in range(count)}, **changed}


@pytest.mark.parametrize(
    ("name", "replaced", "file", "reason"),
    [
        ("flickr", {"labels": labels(N + 1)}, "class_map.json", "it labels other nodes than 0 to 19"),
        ("flickr", {"labels": labels(**{"x": 1})}, "class_map.json", "ValueError: invalid literal"),
        ("flickr", {"labels": labels(**{"3": [0, 1]})}, "class_map.json", "its labels are not numbers in equal rows"),
        ("flickr", {"labels": [1, 2]}, "class_map.json", "expected a JSON object"),
        ("yelp", {"labels": {str(i): [0, 1] for i in range(N)}}, "class_map.json", "expected 100 zeros and ones for every node, found 2"),
        ("yelp", {"labels": {str(i): [2] * 100 for i in range(N)}}, "class_map.json", "expected 100 zeros and ones"),
        ("flickr", {"roles": {"tr": [0], "va": [1]}}, "role.json", "expected a JSON object with tr, va, te"),
        ("flickr", {"roles": {"tr": [0], "va": [0], "te": []}}, "role.json", "node 0 is in the list 'va' and in another one"),
        ("flickr", {"roles": {"tr": [0], "va": [1], "te": [20]}}, "role.json", "the list 'te' has node ids outside 0 to 19"),
        ("flickr", {"features": np.zeros(N)}, "feats.npy", r"it has shape \(20,\)"),
        ("flickr", {"features": np.zeros((N - 1, 3))}, "role.json", "the list 'te' has node ids outside 0 to 18, the rows of feats.npy"),
        ("flickr", {"adjacency": sp.csr_array((3, 3))}, "adj_full.npz", "it joins 3 by 3 nodes where feats.npy has 20 rows"),
    ],
)
def test_contents_that_do_not_fit(
    fake_graphsaint: Write, tmp_path: Path, name: str, replaced: dict[str, Any], file: str, reason: str
) -> None:
    raw = fake_graphsaint(name, **replaced)
    with pytest.raises(UserError, match=rf"{raw / file} cannot be used \({reason}.*delete it"):
        load(tmp_path, name)


@pytest.mark.parametrize("file", graphsaint.FILES)
def test_truncated_and_missing_files_are_named(fake_graphsaint: Write, tmp_path: Path, file: str) -> None:
    path = fake_graphsaint() / file
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(UserError, match=rf"{path} cannot be used \("):
        load(tmp_path)
    path.unlink()
    with pytest.raises(UserError, match=rf"'flickr' needs raw/{file} in {tmp_path / 'Flickr'} "):
        load(tmp_path)


def test_a_label_out_of_range_and_a_missing_one(fake_graphsaint: Write, tmp_path: Path) -> None:
    fake_graphsaint(labels=labels(**{"4": 7}))
    with pytest.raises(UserError, match="has label 7 at node 4: expected labels from 0 to 6"):
        load(tmp_path)
    fake_graphsaint(labels=labels(N - 1))
    with pytest.raises(UserError, match="has label -1 at node 19"):
        load(tmp_path)


def test_only_missing_files_are_downloaded(
    fake_graphsaint: Write, tmp_path: Path, web_server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fake_graphsaint() / graphsaint.ROLES
    whole, web_server.content = load(tmp_path).fingerprint(), path.read_bytes()
    path.unlink()
    monkeypatch.setattr(graphsaint, "ADDRESS", web_server.url + "?id={id}")
    assert load_graph(DatasetConfig("flickr", root=str(tmp_path))).fingerprint() == whole
    assert len(web_server.asked) == 1


@pytest.mark.parametrize("name", graphsaint.ORIGINS)
def test_convert_writes_the_equal_graph(fake_graphsaint: Write, tmp_path: Path, name: str) -> None:
    fake_graphsaint(name)
    same_converted(load(tmp_path, name), tmp_path)


@pytest.mark.parametrize(("name", "title"), [(name, title) for name, origin in graphsaint.ORIGINS.items() for title in origin.folders])
def test_convert_by_path_names_the_dataset(
    fake_graphsaint: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, title: str
) -> None:
    folder = fake_graphsaint(name).parent.rename(tmp_path / title)
    raw_refused(folder, name, tmp_path, capsys)
