"""The generated folder like OGB's is read like one."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from benchmarks import ogb_folder
from benchmarks.ogb_folder import FORMS, write_folder
from gas_cli.config.dataset import DatasetConfig
from gas_cli.graph.load import load_graph

SCALE = {"products": 0.0005, "arxiv": 0.02}


@pytest.mark.parametrize("name", SCALE)
def test_it_loads_with_the_sizes_of_the_real_one(tmp_path: Path, name: str) -> None:
    form, scale = FORMS[name], SCALE[name]
    write_folder(tmp_path, name, scale)
    graph = load_graph(DatasetConfig(f"ogbn-{name}", root=str(tmp_path), download=False))
    assert graph.num_nodes == round(scale * form.nodes)
    assert (graph.num_features, graph.num_classes) == (form.features, form.classes)
    assert 0.2 * scale * form.edges < graph.num_edges <= 2 * scale * form.edges  # so small a graph draws many edges twice
    shares = [int(mask.sum()) / graph.num_nodes for mask in (graph.splits[0].train, graph.splits[0].val, graph.splits[0].test)]
    np.testing.assert_allclose(shares, list(form.shares.values()), atol=0.002)
    assert graph.y.unique().tolist() == list(range(form.classes))


def test_tables_are_numbers_as_ogb_writes_them(tmp_path: Path) -> None:
    form, scale = FORMS["products"], SCALE["products"]
    folder = write_folder(tmp_path, "products", scale)
    edges = gzip.decompress((folder / "raw/edge.csv.gz").read_bytes()).decode().splitlines()
    assert len(edges) == round(scale * form.edges)
    assert all(str(int(cell)) == cell for line in edges[:500] for cell in line.split(","))
    features = gzip.decompress((folder / "raw/node-feat.csv.gz").read_bytes()).decode().splitlines()
    assert {len(line.split(",")) for line in features} == {form.features}
    assert 1 < np.std([float(cell) for cell in features[0].split(",")]) < 2  # a normal centre and normal noise


def test_numbers_of_any_length_become_text() -> None:
    numbers = np.array([[0, 7], [10, 123456], [99, 100]])
    assert b"".join(ogb_folder._lines(numbers)) == b"0,7\n10,123456\n99,100\n"
