"""What is exact in GNNAutoScale, tested exactly: for every model, dense and sparse features, every placement, odd graphs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gas_cli.batch.batch import Rows
from gas_cli.batch.builder import BatchBuilder
from gas_cli.config.history import HistoryConfig
from gas_cli.graph.graph import Graph
from gas_cli.method.gas import GASLink
from gas_cli.method.method import Alone
from gas_cli.model.registry import build_model
from gas_cli.ops.dropout import Noise
from gas_cli.partition.groups import epoch_groups
from gas_cli.passes.drivers import forward, last_layer, layerwise
from gas_cli.passes.loss import Loss
from gas_cli.prepared.problem import Problem
from gas_cli.tables.histories import make_histories
from scripts.lib.live_bytes import LiveBytes
from tests.builders import (
    MODEL_IDS,
    MODELS,
    adjacencies,
    has_batch_norm,
    in_original_order,
    make_graph,
    make_problem,
    random_adjacency,
    rows_of,
)
from tests.precision import EXACT, in_precision, round_off, with_features, with_halo

CPU = torch.device("cpu")
PLACEMENTS = [pytest.param(("host", "device"), id="cpu"), pytest.param(("pinned",), marks=pytest.mark.gpu, id="cuda")]
"""Where histories can lie, by the device that computes."""
CLOSE = {"rtol": 1e-4, "atol": 1e-5}
SLOW = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def device_of(placement: str) -> torch.device:
    return torch.device("cuda") if placement == "pinned" else CPU


class Lab:
    """One model on one graph in parts, next to the same model on the whole graph."""

    def __init__(self, graph: Graph, num_parts: int, model, placement: str = "host", dtype: str = "float32") -> None:
        self.device = device_of(placement)
        self.network = build_model(model, graph.num_features, graph.num_classes, seed=1, edge_dim=graph.edge_dim).to(self.device)
        self.problem = make_problem(graph, num_parts, model)
        self.network.observe(self.problem.adj)
        self.whole = make_problem(graph, 1, model)
        self.builder = self._builder(self.problem)
        config = HistoryConfig(placement=placement, dtype=dtype)
        self.histories = make_histories(self.network.widths[1:], self.problem.partition.part_ptr, config, self.device)

    @property
    def method(self) -> Any:
        """What a monitor asks of GAS on these histories."""
        return SimpleNamespace(
            histories=self.histories,
            link=lambda through: GASLink(self.histories.map(through)),
            learns_from=lambda batch: batch.num_train > 0,
        )

    def _builder(self, problem: Problem) -> BatchBuilder:
        return BatchBuilder(problem.graph, problem.adj, problem.partition, problem.graph.splits[0], self.network.num_layers)

    def batches(self, size: int = 1, epoch: int = 1):
        return [self.builder.build(g).to(self.device) for g in epoch_groups(self.problem.partition.num_parts, size, True, 0, epoch)]

    def passes(self, inputs: bool):
        """All nodes once, as exact inference asks for them."""
        return self.batches()

    def full_batch(self, noise: Noise) -> torch.Tensor:
        """Scores of a plain full-batch forward pass, in the order of node ids."""
        batch = self._builder(self.whole).build([0]).to(self.device)
        link = Alone()
        return in_original_order(self.whole, forward(self.network, batch, link, noise).cpu())

    def gas_epoch(self, size: int = 1, epoch: int = 1) -> torch.Tensor:
        """One epoch of forward passes with frozen weights and no dropout; every batch's scores, in the order of node ids."""
        link = GASLink(self.histories)
        scores = torch.zeros(self.problem.graph.num_nodes, self.problem.graph.num_classes)
        with torch.no_grad():
            for step, batch in enumerate(self.batches(size, epoch)):
                link.begin(batch, None)
                scores[batch.blocks[-1].target_ids.cpu()] = forward(self.network, batch, link, Noise.off()).cpu()
                link.end(step)
        return scores

    def exact_inputs(self) -> list[torch.Tensor]:
        """The exact inputs of layers 1..L-1, from a full-batch pass, in the order of the parts."""
        recorded: list[torch.Tensor] = []

        class Recording(Alone):
            def between(self, layer: int, h: torch.Tensor) -> Rows:
                recorded.append(h.detach())
                return super().between(layer, h)

        batch = self._builder(self.whole).build([0]).to(self.device)
        with torch.no_grad():
            forward(self.network, batch, Recording(), Noise.off())
        order = self.problem.partition.node_perm
        return [in_original_order(self.whole, rows.cpu())[order] for rows in recorded]


def leave_the_kink(network: torch.nn.Module) -> None:
    """On a complete graph all rows of a layer are equal, so batch norm gives its bias. At 0, ReLU's kink, round-off would decide."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "norm" in name and name.endswith("bias"):
                parameter.copy_(torch.linspace(-1, 1, 2 * parameter.numel())[::2])  # never 0


@pytest.mark.parametrize("model", MODELS, ids=MODEL_IDS)
@SLOW
@given(drawn=adjacencies(), sparse=st.booleans())
def test_one_part_equals_full_batch_with_dropout_and_gradients(drawn, sparse, model):
    """One part never reads a history, and the order of the nodes changes nothing, gradients included. Dropout is on.

    In float64 two orders of nodes agree. In float32, whose sums are compiled kernels, the result is the same but for round-off.
    """
    graph = make_graph(*drawn, sparse_features=sparse)
    network = build_model(model, graph.num_features, graph.num_classes, seed=1, edge_dim=graph.edge_dim).train()
    network.observe(make_problem(graph, 1, model).adj)
    leave_the_kink(network)
    as_numbered = torch.arange(graph.num_nodes)
    permuted = torch.randperm(graph.num_nodes, generator=torch.Generator().manual_seed(7))

    def outcome(order: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Scores in the order of node ids, and all gradients, in float64."""
        twin = in_precision(network, dtype)
        problem = make_problem(graph, 1, model, order=order)
        batch = BatchBuilder(problem.graph, problem.adj, problem.partition, problem.graph.splits[0], twin.num_layers).build([0])
        batch = with_features(batch, dtype)
        store = make_histories(twin.widths[1:], problem.partition.part_ptr, HistoryConfig(), CPU)
        for table in rows_of(store):
            table.fill_(float("nan"))  # a history that were read would show
        link = with_halo(GASLink(store), dtype)
        link.begin(batch, None)
        scores = forward(twin, batch, link, Noise(3, 4))
        assert scores.dtype == dtype
        Loss("full_batch", batch.num_train)(scores, batch, 1).backward()
        gradients = [p.grad.double() for p in twin.parameters() if p.grad is not None]
        return in_original_order(problem, scores.detach()).double(), gradients

    scores, gradients = outcome(as_numbered, torch.float64)
    largest = max((float(gradient.abs().max()) for gradient in gradients), default=0.0)
    torch.testing.assert_close(outcome(permuted, torch.float64), (scores, gradients), rtol=EXACT, atol=EXACT * max(1.0, largest))
    single_scores, single_gradients = outcome(permuted, torch.float32)
    torch.testing.assert_close(single_scores, scores, **CLOSE)
    if not has_batch_norm(model):
        # Equal rows normalise to zero plus round-off, where ReLU's derivative jumps: scores are continuous there, gradients are not.
        torch.testing.assert_close(single_gradients, gradients, rtol=1e-4, atol=round_off(graph, network, largest))


@pytest.mark.parametrize("placements", PLACEMENTS)
@pytest.mark.parametrize("model", MODELS, ids=MODEL_IDS)
@SLOW
@given(drawn=adjacencies(), sparse=st.booleans(), data=st.data())
def test_frozen_weights_become_exact_layer_by_layer(drawn, sparse, data, model, placements):
    """After epoch k the histories of layers 1..k are exact, whatever the batches; in epoch L so is every score."""
    graph = make_graph(*drawn, sparse_features=sparse)
    lab = Lab(graph, data.draw(st.integers(1, min(6, graph.num_nodes))), model, data.draw(st.sampled_from(placements)))
    lab.network.eval()
    exact = lab.exact_inputs()
    for epoch in range(1, lab.network.num_layers + 1):
        scores = lab.gas_epoch(size=data.draw(st.integers(1, 3)), epoch=epoch)
        for layer in range(min(epoch, len(exact))):
            torch.testing.assert_close(rows_of(lab.histories)[layer], exact[layer], **CLOSE)
    torch.testing.assert_close(scores, lab.full_batch(Noise.off()).detach(), **CLOSE)


def test_scores_are_not_exact_before_that():
    """The test above can fail: with empty histories the first epoch is wrong."""
    lab = Lab(make_graph(random_adjacency(40, 5, 0)), 6, MODELS[0])
    lab.network.eval()
    assert not torch.allclose(lab.gas_epoch(), lab.full_batch(Noise.off()).detach(), **CLOSE)


@pytest.mark.parametrize("placements", PLACEMENTS)
@pytest.mark.parametrize("model", MODELS, ids=MODEL_IDS)
@SLOW
@given(drawn=adjacencies(), sparse=st.booleans(), data=st.data())
def test_layerwise_inference_equals_full_batch_and_writes_no_history(drawn, sparse, data, model, placements):
    graph = make_graph(*drawn, sparse_features=sparse)
    lab = Lab(graph, data.draw(st.integers(1, min(6, graph.num_nodes))), model, data.draw(st.sampled_from(placements)))
    lab.network.eval()
    n, expected = graph.num_nodes, lab.full_batch(Noise.off()).detach()
    scores = layerwise(lab.network, lab.passes, n, lab.device)
    torch.testing.assert_close(in_original_order(lab.problem, scores), expected, **CLOSE)
    assert not any(table.any() for table in rows_of(lab.histories))
    # A refresh writes the exact inputs of every layer, after which one layer's work gives exact scores.
    layerwise(lab.network, lab.passes, n, lab.device, lab.histories)
    for table, exact in zip(rows_of(lab.histories), lab.exact_inputs(), strict=True):
        torch.testing.assert_close(table.cpu(), exact, **CLOSE)
    scores = last_layer(lab.network, lab.passes, n, lab.histories)
    torch.testing.assert_close(in_original_order(lab.problem, scores), expected, **CLOSE)


def test_a_refresh_needs_no_tables_beside_the_histories():
    """In float32 on the host the histories hold the exact inputs while the pass reads them; other precisions need tables of their own."""
    peaks = {}
    for dtype in ("float32", "bfloat16"):
        lab = Lab(make_graph(random_adjacency(400, 4, 3)), 5, MODELS[0], dtype=dtype)
        lab.network.eval()
        counter, batches = LiveBytes(), lab.batches()
        counter.ignore([rows_of(lab.histories), list(lab.network.parameters())])
        with counter:
            layerwise(lab.network, lambda inputs, batches=batches: batches, 400, CPU, lab.histories)
        peaks[dtype] = counter.peak
    assert peaks["float32"] + 400 * 8 * 4 <= peaks["bfloat16"]


@pytest.mark.parametrize("model", MODELS, ids=MODEL_IDS)
def test_every_training_node_counts_once_so_the_losses_average_to_the_full_batch_loss(model):
    """Weighting `full_batch`: with exact histories and frozen weights the mean loss over an epoch's batches is the full-batch loss."""
    lab = Lab(make_graph(random_adjacency(50, 4, 3)), 7, model)
    lab.network.eval()
    layerwise(lab.network, lab.passes, 50, CPU, lab.histories)
    mask = lab.problem.graph.splits[0].train
    loss, batches = Loss("full_batch", int(mask.sum())), lab.batches(size=2)
    link = GASLink(lab.histories)
    total = 0.0
    for batch in batches:
        link.begin(batch, None)
        scores = forward(lab.network, batch, link, Noise.off())
        total += loss(scores, batch, len(batches)).item() if batch.num_train else 0.0
    whole = lab._builder(lab.whole).build([0])
    expected = Loss("full_batch", whole.num_train)(forward(lab.network, whole, Alone(), Noise.off()), whole, 1)
    assert total / len(batches) == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_low_precision_histories_err_by_their_rounding_only(dtype):
    lab = Lab(make_graph(random_adjacency(40, 5, 0)), 6, MODELS[0], dtype=dtype)
    lab.network.eval()
    for epoch in range(3):
        scores = lab.gas_epoch(epoch=epoch)
    error = (scores - lab.full_batch(Noise.off()).detach()).abs().max()
    assert 0 < error < 0.05


@pytest.mark.gpu
@pytest.mark.parametrize("model", MODELS, ids=MODEL_IDS)
def test_cuda_equals_cpu(model):
    lab = Lab(make_graph(random_adjacency(60, 5, 0)), 5, model)
    expected = lab.full_batch(Noise(0, 1)).detach()
    on_gpu = Lab(make_graph(random_adjacency(60, 5, 0)), 5, model, placement="pinned")
    torch.testing.assert_close(on_gpu.full_batch(Noise(0, 1)).detach(), expected, rtol=1e-3, atol=1e-4)
