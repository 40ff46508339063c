"""Small graphs and problems for the tests: by hypothesis, and by hand."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from hypothesis import strategies as st

from gas_cli.config.dataset import DatasetConfig
from gas_cli.config.history import HistoryConfig
from gas_cli.config.model import (
    APPNPConfig,
    GATConfig,
    GCNConfig,
    GCNIIConfig,
    GINConfig,
    HiddenLayersConfig,
    ModelConfig,
    PNAConfig,
    PNAJKConfig,
    SAGEConfig,
)
from gas_cli.config.partitioner import PartitionerConfig
from gas_cli.config.root import Config
from gas_cli.config.schemas import METHOD_SCHEMAS
from gas_cli.config.training import EvaluationConfig, OptimizerConfig, TrainerConfig
from gas_cli.graph.graph import Graph, Split
from gas_cli.graph.normalize import normalize
from gas_cli.ops.csr import CSR
from gas_cli.partition.partition import Partition, Quality
from gas_cli.partition.permute import permute_graph
from gas_cli.prepared.problem import Problem
from gas_cli.tables.histories import Histories

MODELS: list[ModelConfig] = [
    GCNConfig(num_layers=3, hidden_channels=8),
    GCNConfig(num_layers=2, hidden_channels=16, linear=True, batch_norm=True, residual=True),
    GCNConfig(num_layers=1, hidden_channels=4),
    GCNIIConfig(num_layers=4, hidden_channels=6),
    GCNIIConfig(num_layers=3, hidden_channels=16, shared_weights=False, batch_norm=True, residual=True),
    APPNPConfig(num_layers=4, hidden_channels=6),
    SAGEConfig(num_layers=3, hidden_channels=6),
    GINConfig(num_layers=3, hidden_channels=6, linear=True),
    GATConfig(num_layers=3, hidden_channels=4, heads=2, out_heads=3),
    GATConfig(num_layers=2, hidden_channels=4, heads=2, version=2, residual=True),
    PNAConfig(num_layers=3, hidden_channels=5, aggregators=["max", "mean", "min"], scalers=["identity", "amplification", "attenuation"]),
    PNAJKConfig(num_layers=2, hidden_channels=5, batch_norm=True, residual=True),
]
MODEL_IDS = [
    "gcn3",
    "gcn2-linear-bn-res",
    "gcn1",
    "gcnii4",
    "gcnii3-star-bn-res",
    "appnp4",
    "sage3",
    "gin3-linear",
    "gat3",
    "gatv2-res",
    "pna3",
    "pna-jk2-bn-res",
]


def has_batch_norm(config: ModelConfig) -> bool:
    """Whether a batch norm mixes the rows of a batch."""
    return isinstance(config, HiddenLayersConfig) and config.batch_norm


def random_adjacency(num_nodes: int, degree: float, seed: int, directed: bool = False) -> sp.csr_array:
    """A random loop-free pattern with weights 1."""
    matrix = sp.random_array((num_nodes, num_nodes), density=min(1.0, degree / num_nodes), rng=np.random.default_rng(seed)).tocsr()
    matrix = matrix if directed else matrix + matrix.T
    matrix.setdiag(0)
    matrix.eliminate_zeros()
    matrix.data[:] = 1
    return sp.csr_array(matrix)


@st.composite
def adjacencies(draw: st.DrawFn, max_nodes: int = 24) -> tuple[sp.csr_array, bool]:
    """(adjacency, directed): sparse random graphs, stars, several components, isolated nodes, no edges at all."""
    n = draw(st.integers(1, max_nodes))
    kind = draw(st.sampled_from(["random", "star", "components", "empty"]))
    directed = draw(st.booleans())
    if kind == "empty":
        matrix = sp.csr_array((n, n))
    elif kind == "star":
        matrix = sp.csr_array((np.ones(n - 1), (np.zeros(n - 1, int), np.arange(1, n))), shape=(n, n))
    else:
        matrix = random_adjacency(n, draw(st.floats(0.2, 6.0)), draw(st.integers(0, 99)), directed=True).tolil()
        if kind == "components":
            matrix[: n // 2, n // 2 :] = 0
            matrix[n // 2 :, : n // 2] = 0
        matrix = matrix.tocsr()
        matrix.eliminate_zeros()
    if not directed:
        matrix = sp.csr_array(((matrix + matrix.T) > 0).astype(np.float64))
    return sp.csr_array(matrix), directed


def make_graph(
    matrix: sp.csr_array,
    directed: bool = False,
    sparse_features: bool = False,
    num_features: int = 5,
    classes: int = 3,
    seed: int = 0,
    edge_dim: int = 0,
) -> Graph:
    """A graph with random features, labels and masks on a given adjacency; with `edge_dim` every direction of an edge has attributes."""
    rng = np.random.default_rng(seed)
    n = matrix.shape[0]
    dense = rng.standard_normal((n, num_features)).astype(np.float32)
    if sparse_features:
        dense[rng.random(dense.shape) < 0.6] = 0
    role = rng.integers(0, 3, n)
    role[0] = 0  # never an empty training mask
    masks = [torch.from_numpy(role == k) for k in range(3)]
    adj = CSR.from_scipy(matrix)
    adj.symmetric = not directed
    return Graph(
        name="test",
        x=CSR.from_scipy(sp.csr_array(dense)) if sparse_features else torch.from_numpy(dense),
        adj=adj,
        y=torch.from_numpy(rng.integers(0, classes, n)),
        splits=(Split(*masks),),
        num_classes=classes,
        metric="accuracy",
        symmetric=not directed,
        edge_attr=torch.from_numpy(rng.standard_normal((adj.nnz, edge_dim), np.float32)) if edge_dim else None,
    ).validate()


def make_parts(num_nodes: int, num_parts: int, seed: int = 0) -> Partition:
    """A random division into `num_parts` non-empty parts."""
    rng = np.random.default_rng(seed)
    part = np.concatenate([np.arange(num_parts), rng.integers(0, num_parts, num_nodes - num_parts)])
    rng.shuffle(part)
    ptr = np.concatenate([[0], np.cumsum(np.bincount(part, minlength=num_parts))])
    return Partition(torch.from_numpy(np.argsort(part, kind="stable")), torch.from_numpy(ptr), Quality(0.0, 0.0, 1.0))


def make_problem(graph: Graph, num_parts: int, model: ModelConfig, seed: int = 0, order: torch.Tensor | None = None) -> Problem:
    """`graph` in random parts; `order` [N] instead sets the order of the nodes in a single part."""
    partition = make_parts(graph.num_nodes, num_parts, seed)
    if order is not None:
        partition = Partition(order, torch.tensor([0, graph.num_nodes]), partition.quality)
    graph = permute_graph(graph, partition)
    adj = normalize(graph.adjacency(), model.normalization, model.self_loops)
    return Problem(graph, adj, partition, {"partition": f"{num_parts}-{seed}"})


def make_config(model: ModelConfig, num_parts: int = 4, batch_parts: int = 1, epochs: int = 3, **settings: object) -> Config:
    """A configuration by hand; `settings` are `group__name=value`."""
    config = Config(
        device="cpu",
        dataset=DatasetConfig(name="test"),
        partitioner=PartitionerConfig(num_parts=num_parts, cache=None),
        model=model,
        history=HistoryConfig(),
        optimizer=OptimizerConfig(lr=0.01),
        trainer=TrainerConfig(epochs=epochs, batch_parts=batch_parts, prefetch=0),
        evaluation=EvaluationConfig(),
    )
    for key, value in settings.items():
        group, _, name = key.partition("__")
        target, attribute = (getattr(config, group), name) if name else (config, group)
        assert hasattr(target, attribute), key
        setattr(target, attribute, METHOD_SCHEMAS[value]() if key == "method" else value)
    return config


def rows_of(histories: Histories) -> list[torch.Tensor]:
    """The rows of every table, in the order of the layers."""
    histories.flush()
    return [table.state() for table in histories]


def in_original_order(problem: Problem, rows: torch.Tensor) -> torch.Tensor:
    """Rows in the order of positions, put back into the order of node ids."""
    original = torch.empty_like(rows)
    original[problem.partition.node_perm] = rows
    return original
