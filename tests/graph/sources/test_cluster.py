from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch_geometric.data import Batch
from torch_geometric.datasets import GNNBenchmarkDataset

from gas_cli.config.compose import compose_config
from gas_cli.config.dataset import ClusterConfig
from gas_cli.errors import UserError
from gas_cli.graph.graph import Graph
from gas_cli.graph.load import load_graph
from tests.graph.sources.compare import edges_of

SMALL = ClusterConfig(num_train_graphs=60, num_val_graphs=6, num_test_graphs=9)


def drawn(**changed: Any) -> Graph:
    return load_graph(replace(SMALL, root="nowhere", **changed))


def components(graph: Graph) -> tuple[int, np.ndarray]:
    count, component = sp.csgraph.connected_components(graph.adj.to_scipy(), directed=False)
    return count, component


def test_the_graphs_have_the_published_statistics() -> None:
    graph = drawn()
    count, component = components(graph)
    assert count == 75  # at these probabilities a graph in two pieces is not to be expected
    sizes = np.stack([np.bincount(graph.y[torch.from_numpy(component == c)], minlength=6) for c in range(count)])
    assert sizes.min() >= 5 and sizes.max() <= 34 and abs(sizes.sum(1).mean() - 117) < 12
    same = graph.y[graph.adj.col.long()] == torch.repeat_interleave(graph.y, graph.adj.rowptr.diff())
    within = (sizes * (sizes - 1)).sum()
    between = (sizes.sum(1) ** 2 - (sizes**2).sum(1)).sum()
    assert int(same.sum()) / within == pytest.approx(0.55, abs=0.01) and int((~same).sum()) / between == pytest.approx(0.25, abs=0.01)


def test_one_node_of_each_community_tells_its_class() -> None:
    graph = drawn()
    assert isinstance(graph.x, torch.Tensor) and torch.equal(graph.x.sum(1), torch.ones(graph.num_nodes))
    told = graph.x.argmax(1)
    assert torch.equal(told[told > 0] - 1, graph.y[told > 0])
    _, component = components(graph)
    pairs = set(zip(component[told > 0].tolist(), told[told > 0].tolist(), strict=True))
    assert int((told > 0).sum()) == len(pairs) == 75 * 6


def test_the_adjacency_is_symmetric_sorted_and_without_loops_and_masks_are_whole_graphs() -> None:
    graph = drawn()
    dense = graph.adj.to_scipy()
    assert (dense != dense.T).nnz == 0 and not dense.diagonal().any() and dense.has_sorted_indices and graph.symmetric and graph.inductive
    _, component = components(graph)
    split = graph.splits[0]
    assert [len(np.unique(component[mask])) for mask in (split.train, split.val, split.test)] == [60, 6, 9]
    assert torch.equal(split.train | split.val | split.test, torch.ones(graph.num_nodes, dtype=torch.bool))


def test_the_seed_decides() -> None:
    assert drawn().fingerprint() == drawn().fingerprint() != drawn(graph_seed=1).fingerprint()


def test_the_settings_are_those_of_the_command_line() -> None:
    config = compose_config(["dataset=cluster", "dataset.num_train_graphs=3"])
    assert isinstance(config.dataset, ClusterConfig) and config.dataset.num_train_graphs == 3
    with pytest.raises(UserError, match=r"dataset.num_train_graphs=0"):
        compose_config(["dataset=cluster", "dataset.num_train_graphs=0"])


def write_file(tmp_path: Path, content: Any = None) -> Path:
    """PyG's raw file with a few tiny graphs."""

    def one(size: int) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(size)
        pairs = torch.randint(0, size, (2, 6), generator=generator)
        pairs = pairs[:, pairs[0] != pairs[1]]
        pairs = torch.unique(torch.cat([pairs, pairs.flip(0)], 1), dim=1)
        y = torch.randint(0, 6, (size,), generator=generator)
        return {"x": torch.eye(7)[y + 1], "edge_index": pairs, "edge_attr": torch.ones(pairs.shape[1], 1), "y": y}

    path = tmp_path / "SBM/CLUSTER/raw/CLUSTER_v2.pt"
    path.parent.mkdir(parents=True)
    torch.save([[one(4), one(5)], [one(6)], [one(7), one(3)]] if content is None else content, path)
    return path


def test_the_file_equals_pyg(tmp_path: Path) -> None:
    write_file(tmp_path)
    graph = load_graph(ClusterConfig(root=str(tmp_path)))
    parts = [GNNBenchmarkDataset(str(tmp_path / "SBM"), "CLUSTER", split=part) for part in ("train", "val", "test")]
    data = Batch.from_data_list([graph for part in parts for graph in part])
    assert edges_of(graph) == set(zip(*data.edge_index.tolist(), strict=True)) and graph.symmetric
    assert torch.equal(graph.x, data.x) and torch.equal(graph.y, data.y)
    assert [int(mask.sum()) for mask in (graph.splits[0].train, graph.splits[0].val, graph.splits[0].test)] == [9, 6, 10]


TENSORS = {"x": torch.ones(2, 7), "edge_index": torch.zeros(2, 0, dtype=torch.long), "y": torch.zeros(2)}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([1, 2], "expected three lists of graphs"),
        ([[{"x": 1}], [TENSORS], [TENSORS]], "expected three lists of graphs"),
        ([[{**TENSORS, "y": torch.zeros(3)}], [TENSORS], [TENSORS]], "the shapes of a graph's x"),
        ([[{**TENSORS, "edge_index": torch.full((2, 1), 2)}], [TENSORS], [TENSORS]], "the shapes of a graph's x"),
        ([[Path("x")]], "it holds more than tensors"),
    ],
)
def test_contents_that_are_no_graphs(tmp_path: Path, content: Any, reason: str) -> None:
    path = write_file(tmp_path, content)
    with pytest.raises(UserError, match=rf"{path} cannot be used \({reason}"):
        load_graph(ClusterConfig(root=str(tmp_path)))


def test_truncated_file_is_named(tmp_path: Path) -> None:
    path = write_file(tmp_path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UserError, match=rf"{path} cannot be used \("):
        load_graph(ClusterConfig(root=str(tmp_path)))
