"""Features and edge attributes larger than memory: they stay in their file, and nothing else changes."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from gas_cli.batch import loader
from gas_cli.batch.builder import BatchBuilder
from gas_cli.batch.loader import BatchLoader
from gas_cli.config.compose import compose_config
from gas_cli.config.model import GATConfig
from gas_cli.config.partitioner import PartitionerConfig
from gas_cli.graph.graph import Graph, Split
from gas_cli.model.registry import build_model
from gas_cli.ops.csr import CSR
from gas_cli.partition import permute
from gas_cli.passes.drivers import layerwise
from gas_cli.run import prepare, run
from tests.builders import make_config, make_graph, make_problem, random_adjacency


@pytest.fixture
def nothing_is_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(permute, "COPIED_BYTES", 0)


def mapped(values: np.ndarray, path: Path) -> torch.Tensor:
    np.save(path, values)
    return torch.from_numpy(np.load(path, mmap_mode="c"))


def batches(graph: Graph) -> list:
    problem = make_problem(graph, 6, GATConfig())
    builder = BatchBuilder(problem.graph, problem.adj, problem.partition, problem.graph.splits[0], 2)
    return [builder.build(group) for group in ([0], [1, 2], [3, 5], [0, 1, 2, 3, 4, 5])]


def test_batches_of_mapped_tables_equal_those_in_memory_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = make_graph(random_adjacency(40, 4, 0), edge_dim=3)
    expected = batches(graph)
    monkeypatch.setattr(permute, "COPIED_BYTES", 0)
    on_disk = replace(graph, x=mapped(graph.x.numpy(), tmp_path / "x.npy"), edge_attr=mapped(graph.edge_attr.numpy(), tmp_path / "e.npy"))
    assert on_disk.fingerprint() == graph.fingerprint()
    problem = make_problem(on_disk, 6, GATConfig())
    assert problem.graph.x.data_ptr() == on_disk.x.data_ptr() and problem.graph.edge_attr.data_ptr() == on_disk.edge_attr.data_ptr()
    for found, wanted in zip(batches(on_disk), expected, strict=True):
        for one, other in ((found.x.target, wanted.x.target), (found.x.halo, wanted.x.halo), (found.y, wanted.y)):
            assert torch.equal(one, other)
        assert torch.equal(found.blocks[-1].edge_attr, wanted.blocks[-1].edge_attr)


def records(folder: Path) -> list[dict[str, object]]:
    lines = (json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines())
    return [{key: value for key, value in line.items() if key not in ("seconds", "peak_memory")} for line in lines]


@pytest.mark.parametrize("method", ["gas", "full_batch", "cluster_gcn"])
def test_a_run_on_features_that_stay_on_the_disk_is_the_same_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    graph = make_graph(random_adjacency(60, 4, 0))
    folder = tmp_path / "mine"
    folder.mkdir()
    np.save(folder / "edges.npy", np.stack(graph.adj.to_scipy().tocoo().coords))
    np.save(folder / "features.npy", graph.x.numpy())
    np.save(folder / "labels.npy", graph.y.numpy())
    for part in ("train", "val", "test"):
        np.save(folder / f"{part}_mask.npy", getattr(graph.splits[0], part).numpy())
    small = [
        "partitioner=random",
        "partitioner.num_parts=6",
        "partitioner.cache=null",
        "trainer.batch_parts=2",
        "trainer.epochs=3",
        "device=cpu",
    ]
    config = compose_config(["dataset=folder", f"dataset.path={folder}", f"method={method}", *small])
    run(config, tmp_path / "copied")
    monkeypatch.setattr(permute, "COPIED_BYTES", 0)
    run(config, tmp_path / "mapped")
    assert records(tmp_path / "mapped") == records(tmp_path / "copied")


def anonymous_bytes() -> int:
    """Memory of this process that no file backs."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("RssAnon"))


def ring(num_nodes: int, x: torch.Tensor) -> Graph:
    nodes = np.arange(num_nodes)
    ends = np.concatenate([nodes, nodes]), np.concatenate([(nodes + 1) % num_nodes, (nodes - 1) % num_nodes])
    adj = CSR.from_scipy(sp.csr_array((np.ones(2 * num_nodes), ends), shape=(num_nodes, num_nodes)))
    role = torch.arange(num_nodes) % 3
    return Graph("ring", x, adj, role.clone(), (Split(role == 0, role == 1, role == 2),), 3, "accuracy", symmetric=False)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.usefixtures("nothing_is_copied")
def test_memory_holds_a_few_batches_and_not_the_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the check of the graph to two exact passes with kept batches: 256 MiB of features, of which a batch reads a 64th."""
    monkeypatch.setattr(loader, "CACHE_BYTES", 16 << 20)
    n, columns = 1 << 14, 4096
    np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (n, columns)).flush()  # a file of holes: zeros that take no room
    graph = ring(n, torch.from_numpy(np.load(tmp_path / "x.npy", mmap_mode="c")))
    model = GATConfig(num_layers=2, hidden_channels=2, heads=1)
    config = make_config(model)
    config.partitioner = PartitionerConfig(name="random", num_parts=64, cache=None)
    peaks = [anonymous_bytes()]
    problem = prepare(config, graph=graph)
    peaks.append(anonymous_bytes())
    network = build_model(model, columns, 3, seed=0).eval()
    served = BatchLoader(BatchBuilder(problem.graph, problem.adj, problem.partition, problem.graph.splits[0], 2), 0)

    def watched(inputs):
        for batch in served.batches([[part] for part in range(64)], keep=True, inputs=inputs):
            peaks.append(anonymous_bytes())
            yield batch

    for _ in range(2):
        layerwise(network, watched, n, torch.device("cpu"))
    assert problem.graph.x.data_ptr() == graph.x.data_ptr()
    assert max(peaks) - peaks[0] < 128 << 20
