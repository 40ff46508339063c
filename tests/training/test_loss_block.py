"""The last layer of a training step reads only the messages of training targets, where these are few: losses and gradients stay."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings

from gas_cli.batch.builder import FEW, BatchBuilder, with_loss_block
from gas_cli.config.history import HistoryConfig
from gas_cli.config.model import ConvConfig, GCNConfig, GINConfig
from gas_cli.graph.graph import Split
from gas_cli.method.gas import GASLink
from gas_cli.model.registry import build_model
from gas_cli.ops.dropout import Noise
from gas_cli.passes.drivers import forward
from gas_cli.passes.loss import Loss
from gas_cli.report.recorder import read_metrics
from gas_cli.run import prepare, train_once
from gas_cli.tables.histories import make_histories
from tests.builders import MODEL_IDS, MODELS, adjacencies, has_batch_norm, make_config, make_graph, make_problem, random_adjacency, rows_of

CPU = torch.device("cpu")


def with_few_training(graph, count: int):
    """The graph with only its first `count` nodes in training."""
    train = torch.arange(graph.num_nodes) < count
    return replace(graph, splits=(Split(train, ~train, ~train),))


def step(network: torch.nn.Module, problem, loss_blocks: bool):
    """Loss, gradients, and what the step left in the histories, with dropout."""
    network = copy.deepcopy(network).train()
    builder = BatchBuilder(problem.graph, problem.adj, problem.partition, problem.graph.splits[0], network.num_layers)
    store = make_histories(network.widths[1:], problem.partition.part_ptr, HistoryConfig(), CPU)
    link, losses = GASLink(store), []
    for number in range(builder.num_parts):
        batch = with_loss_block(builder.build([number])) if loss_blocks else builder.build([number])
        link.begin(batch, None)
        scores = forward(network, batch, link, Noise(3, number))
        if batch.num_train:
            losses.append(Loss("batch_mean", batch.num_train)(scores, batch, 2))
            losses[-1].backward()
        link.end(number)
    return [loss.detach() for loss in losses], [p.grad for p in network.parameters()], rows_of(store)


@pytest.mark.parametrize(
    "model", [m for m in MODELS if not has_batch_norm(m)], ids=[i for m, i in zip(MODELS, MODEL_IDS, strict=True) if not has_batch_norm(m)]
)
@settings(max_examples=10, deadline=None)
@given(drawn=adjacencies())
def test_losses_gradients_and_histories_are_those_of_all_messages(drawn, model):
    matrix, directed = drawn
    if matrix.shape[0] < 3:
        return
    graph = with_few_training(make_graph(matrix, directed), 1)
    network = build_model(model, graph.num_features, graph.num_classes, seed=1)
    problem = make_problem(graph, 2, model)
    network.observe(problem.adj)
    assert not network.reading.others
    torch.testing.assert_close(step(network, problem, True), step(network, problem, False), rtol=1e-4, atol=5e-5)


@pytest.mark.parametrize(
    "model", [m for m in MODELS if has_batch_norm(m)], ids=[i for m, i in zip(MODELS, MODEL_IDS, strict=True) if has_batch_norm(m)]
)
def test_a_last_layer_with_batch_norm_needs_all_of_its_targets(model):
    assert build_model(model, 5, 3, seed=0).reading.others


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("linear", [False, True])
def test_a_batch_norm_inside_the_last_convolution_needs_them_too(inside: bool, linear: bool):
    model = GINConfig(num_layers=2, hidden_channels=6, mlp_batch_norm=inside, linear=linear)
    assert build_model(model, 5, 3, seed=0).reading.others is inside


def test_a_batch_norm_before_the_last_layer_does_not():
    assert not build_model(GCNConfig(num_layers=2, hidden_channels=6, batch_norm=True), 5, 3, seed=0).reading.others


def test_nothing_is_promised_of_a_convolution_from_elsewhere():
    assert build_model(ConvConfig(num_layers=2, hidden_channels=6), 5, 3, seed=0).reading.others


def test_the_block_holds_the_messages_of_training_targets_and_of_no_others():
    graph = with_few_training(make_graph(random_adjacency(60, 4, 0)), 4)
    problem = make_problem(graph, 3, MODELS[0])
    batch = BatchBuilder(problem.graph, problem.adj, problem.partition, problem.graph.splits[0], 2).build([0, 1])
    block = with_loss_block(batch).blocks[-1]
    for whole, few in ((batch.blocks[-1].inner, block.inner), (batch.blocks[-1].outer, block.outer)):
        training = torch.zeros(batch.blocks[-1].num_targets, 1).index_fill_(0, batch.train_rows, 1.0)
        expected = whole.to_dense() * training
        assert few.shape == whole.shape and torch.equal(few.to_dense(), expected) and not few.symmetric


@pytest.mark.parametrize(("count", "built"), [(5, True), (40, False)])
def test_it_is_built_only_where_few_train(count: int, built: bool):
    graph = with_few_training(make_graph(random_adjacency(60, 4, 0)), count)
    problem = make_problem(graph, 1, MODELS[0])
    batch = BatchBuilder(problem.graph, problem.adj, problem.partition, problem.graph.splits[0], 2).build([0])
    block = with_loss_block(batch).blocks[-1]
    assert (block is not batch.blocks[-1]) is built
    if built:
        assert block.num_edges < FEW * batch.blocks[-1].num_edges


def test_a_monitored_run_measures_the_scores_of_every_target(tmp_path: Path):
    """Its batches carry loss blocks, and right after a fill with one part nothing is approximate."""
    graph = with_few_training(make_graph(random_adjacency(60, 4, 0)), 5)
    config = make_config(MODELS[0], num_parts=1, epochs=1, evaluation__monitor=1, optimizer__lr=0.0)
    (tmp_path / "run").mkdir()
    train_once(config, prepare(config, graph=graph), tmp_path / "run", seed=0)
    monitor = read_metrics(tmp_path / "run" / "metrics.jsonl")[-1]["monitor"]
    assert monitor["scores"]["closeness"]["max"] < 1e-5
