"""A x of the first layer, computed once: batches carry it, and nothing but the time changes."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings

from gas_cli.batch.batch import Reading
from gas_cli.batch.builder import BatchBuilder
from gas_cli.config.history import HistoryConfig
from gas_cli.config.model import GATConfig, GCNConfig, GCNIIConfig, GINConfig, ModelConfig, SAGEConfig
from gas_cli.config.schemas import METHOD_SCHEMAS
from gas_cli.config.training import LipschitzConfig
from gas_cli.method.gas import GASLink
from gas_cli.model.gcn import GCN
from gas_cli.model.registry import build_model
from gas_cli.ops.dropout import Noise
from gas_cli.passes.drivers import forward, layerwise
from gas_cli.passes.loss import Loss
from gas_cli.report.recorder import read_metrics
from gas_cli.run import _with_what_is_read, prepare, train_once
from gas_cli.tables.histories import make_histories
from gas_cli.training.assemble import make_trainer
from gas_cli.training.trainer import Trainer
from tests.builders import adjacencies, make_config, make_graph, make_problem, random_adjacency

CPU = torch.device("cpu")
SUMMING: list[ModelConfig] = [
    GCNConfig(num_layers=3, hidden_channels=8, drop_input=False),
    GCNConfig(num_layers=2, hidden_channels=3, drop_input=False, residual=True),  # narrower than the features
    GCNConfig(num_layers=1, drop_input=False),
    SAGEConfig(num_layers=2, hidden_channels=6, drop_input=False),
    GINConfig(num_layers=2, hidden_channels=6, drop_input=False),
    GINConfig(num_layers=2, hidden_channels=6, dropout=0.0, residual=True),
]


ALONE = Reading(messages=False, own=False)


def outcome(network: torch.nn.Module, problem, sums: torch.Tensor | None):
    """Scores and gradients of two GAS steps with dropout, and exact scores after them."""
    network = copy.deepcopy(network).train()
    builder = BatchBuilder(
        problem.graph, problem.adj, problem.partition, problem.graph.splits[0], network.num_layers, sums, network.reading
    )
    store = make_histories(network.widths[1:], problem.partition.part_ptr, HistoryConfig(), CPU)
    link, found = GASLink(store), []
    for step, group in enumerate(([0, 1], [2])):
        batch = builder.build(group)
        link.begin(batch, None)
        scores = forward(network, batch, link, Noise(3, step))
        Loss("batch_mean", batch.num_train)(scores, batch, 2).backward()
        link.end(step)
        found.append(scores.detach())
    exact = layerwise(network.eval(), lambda inputs: (builder.build([part], inputs) for part in range(3)), problem.graph.num_nodes, CPU)
    return found, exact, [p.grad for p in network.parameters()]


@pytest.mark.parametrize("model", SUMMING, ids=lambda model: f"{model.name}-{model.num_layers}x{model.hidden_channels}")
@settings(max_examples=15, deadline=None)
@given(drawn=adjacencies())
def test_sums_computed_once_give_the_scores_and_gradients_of_sums_computed_in_each_step(drawn, model):
    matrix, directed = drawn
    if matrix.shape[0] < 3:
        return
    graph = make_graph(matrix, directed)
    network = build_model(model, graph.num_features, graph.num_classes, seed=1)
    assert not network.reading.messages
    problem = make_problem(graph, 3, model)
    torch.testing.assert_close(outcome(network, problem, problem.feature_sums), outcome(network, problem, None), rtol=1e-4, atol=2e-5)


def test_the_sums_are_those_of_the_normalised_adjacency():
    problem = make_problem(make_graph(random_adjacency(30, 4, 0)), 3, SUMMING[0])
    expected = torch.from_numpy(problem.adj.to_scipy().toarray()).double() @ problem.graph.x.double()
    torch.testing.assert_close(problem.feature_sums.double(), expected, rtol=1e-5, atol=1e-6)


def test_batches_carry_sums_instead_of_the_halo_s_features():
    problem = make_problem(make_graph(random_adjacency(30, 4, 0)), 3, SUMMING[0])
    batch = BatchBuilder(problem.graph, problem.adj, problem.partition, problem.graph.splits[0], 2, problem.feature_sums).build([1])
    assert (
        batch.blocks[1].num_halo > 0
        and batch.blocks[0].num_edges == batch.blocks[0].num_halo == 0
        and batch.x.halo.shape == (0, problem.graph.num_features)
    )
    start, stop = batch.ranges[0]
    assert torch.equal(batch.x.known, problem.feature_sums[start:stop])


def test_a_model_that_reads_the_sums_alone_is_given_no_features():
    problem = make_problem(make_graph(random_adjacency(30, 4, 0)), 3, SUMMING[0])
    sums = problem.feature_sums
    batch = BatchBuilder(problem.graph, problem.adj, problem.partition, problem.graph.splits[0], 2, sums, ALONE).build([0, 2])
    assert batch.x.target.shape == batch.x.halo.shape == (0, problem.graph.num_features)
    assert batch.nbytes == batch.blocks[0].nbytes + batch.blocks[1].nbytes + 4 * batch.blocks[-1].num_targets * problem.graph.num_features
    without = BatchBuilder(problem.graph, problem.adj, problem.partition, problem.graph.splits[0], 2, reading=ALONE).build([0, 2])
    assert without.x.target.shape[0] == without.blocks[-1].num_targets and without.x.halo.shape[0] == without.blocks[-1].num_halo


def test_sums_take_the_place_of_features_that_nothing_reads(tmp_path: Path):
    """The same losses, bit for bit, whether the problem still has the features or not; its batches are those of the sums."""
    graph, config = make_graph(random_adjacency(60, 4, 0)), make_config(SUMMING[0])
    problem = prepare(config, graph=graph)
    summed = problem.summed()
    assert summed.graph.x is problem.feature_sums is summed.feature_sums and summed.nbytes == problem.nbytes
    for name, one in (("whole", problem), ("summed", summed)):
        train_once(config, one, tmp_path / name, seed=0)
    losses = [[record["loss"] for record in read_metrics(tmp_path / name / "metrics.jsonl")] for name in ("whole", "summed")]
    assert losses[0] == losses[1]


@pytest.mark.parametrize(
    ("model", "method", "expected"),
    [(SUMMING[0], "gas", True), (SUMMING[0], "full_batch", True), (SUMMING[0], "cluster_gcn", False), (SUMMING[1], "gas", False)]
    + [(other, "gas", False) for other in SUMMING[3:5]],
)
def test_a_run_keeps_the_features_where_something_reads_them(model: ModelConfig, method: str, expected: bool):
    config = make_config(model)
    config.method = METHOD_SCHEMAS[method]()
    problem = prepare(config, graph=make_graph(random_adjacency(60, 4, 0)))
    assert _with_what_is_read(config, problem).x_summed == expected


def trainer_of(tmp_path: Path, model: ModelConfig, sparse: bool = False, **trainer) -> Trainer:
    graph = make_graph(random_adjacency(30, 4, 0), sparse_features=sparse)
    config = make_config(model)
    config.trainer = replace(config.trainer, **trainer)
    problem = prepare(config, graph=graph)
    return make_trainer(config, problem, tmp_path)


def test_training_uses_them(tmp_path: Path):
    assert trainer_of(tmp_path, SUMMING[0]).loader.builder.data.sums is not None
    assert trainer_of(tmp_path, SUMMING[0], lipschitz=LipschitzConfig(weight=0.1)).loader.builder.data.sums is not None


@pytest.mark.parametrize(
    ("model", "sparse", "trainer"),
    [
        (GCNConfig(drop_input=True, dropout=0.5), False, {}),
        (GCNConfig(drop_input=False, linear=True), False, {}),
        (GATConfig(drop_input=False), False, {}),
        (GCNIIConfig(drop_input=False), False, {}),
        (SUMMING[0], True, {}),
        (SUMMING[0], False, {"edge_dropout": 0.2}),
    ],
    ids=["input dropout", "input layer", "attention", "features encoded first", "sparse", "edge dropout"],
)
def test_training_does_not_where_the_sums_change_or_are_not_read(tmp_path: Path, model, sparse, trainer):
    assert trainer_of(tmp_path, model, sparse, **trainer).loader.builder.data.sums is None


@pytest.mark.parametrize("method", ["gas", "full_batch", "cluster_gcn"])
def test_runs_with_and_without_them_agree(tmp_path: Path, method: str, monkeypatch: pytest.MonkeyPatch):
    losses = []
    for wanted in (True, False):
        config = make_config(SUMMING[0])
        config.method, config.trainer = METHOD_SCHEMAS[method](), replace(config.trainer, epochs=4)
        if not wanted:
            monkeypatch.setattr(GCN, "convolution_reads", Reading())
        folder = tmp_path / str(wanted)
        folder.mkdir()
        train_once(config, prepare(config, graph=make_graph(random_adjacency(60, 4, 0))), folder, seed=0)
        losses.append(torch.tensor([record["loss"] for record in read_metrics(folder / "metrics.jsonl")]))
    assert len(losses[0]) == 4
    torch.testing.assert_close(*losses, rtol=1e-4, atol=1e-5)
