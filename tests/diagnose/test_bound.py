"""Certified caps: measured errors never exceed them, and they are no larger than the layers' gains make them."""

from __future__ import annotations

import pytest
import scipy.sparse as sp
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gas_cli.config.model import APPNPConfig, GATConfig, GCNConfig, GCNIIConfig, GINConfig, PNAConfig, SAGEConfig
from gas_cli.diagnose.bound import Bound, exceeded, history_shares
from gas_cli.diagnose.probe import probe
from gas_cli.model.batch_norm import BatchNorm
from gas_cli.model.gain import Gain, norm_gain, spectral_norm
from gas_cli.ops.dropout import Noise
from gas_cli.passes.loss import Loss
from tests.builders import MODEL_IDS, MODELS, adjacencies, make_graph, random_adjacency, rows_of
from tests.passes.test_exactness import Lab

SLOW = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
FURTHER = [
    GCNConfig(num_layers=4, hidden_channels=6, batch_norm=True, activation="elu"),
    SAGEConfig(num_layers=3, hidden_channels=6, residual=True, linear=True, batch_norm=True),
    GINConfig(num_layers=3, hidden_channels=6, batch_norm=True),
    GCNIIConfig(num_layers=8, hidden_channels=4, alpha=0.3),
]
KNOWN = [
    pytest.param(model, id=name)
    for model, name in [*zip(MODELS, MODEL_IDS, strict=True), *((m, f"{m.name}-further") for m in FURTHER)]
    if isinstance(model, GCNConfig | SAGEConfig | GINConfig | GCNIIConfig | APPNPConfig)
]


def wild(lab: Lab, seed: int) -> None:
    """Random weights, norms that have seen something, and histories that are anything."""
    generator = torch.Generator().manual_seed(seed)
    network = lab.network.eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
        for module in network.modules():
            if isinstance(module, BatchNorm):
                module.running_mean.normal_(generator=generator)
                module.running_var.uniform_(0.1, 3.0, generator=generator)
        for table in rows_of(lab.histories):
            table.copy_(3 * torch.randn(table.shape, generator=generator))


def measured(lab: Lab, size: int = 1) -> tuple[list[torch.Tensor], list[torch.Tensor], list[torch.Tensor]]:
    """Exact rows, errors of what a step computes, and their caps, of all batches: lists over layers 1..L-1 and the scores."""
    histories = [(table - exact).norm(dim=1) for table, exact in zip(rows_of(lab.histories), lab.exact_inputs(), strict=True)]
    scores = lab.full_batch(Noise.off()).detach()[lab.problem.partition.node_perm]
    exact = [*lab.exact_inputs(), scores]
    bound, weights = Bound(lab.network), list(lab.network.parameters())
    errors, caps = ([torch.zeros(len(rows)) for rows in exact] for _ in range(2))
    for batch in lab.batches(size):
        step = probe(lab.network, batch, lab.method, Loss("full_batch", 1), 1, weights)
        targets = torch.cat([torch.arange(*bounds) for bounds in batch.ranges])
        found = bound.caps(batch.blocks[-1], [h[batch.blocks[-1].halo] for h in histories])
        for layer, output in enumerate(step.outputs):
            errors[layer][targets] = (output - exact[layer][targets]).norm(dim=1)
            caps[layer][targets] = found[layer]
    return exact, errors, caps


@pytest.mark.parametrize("model", KNOWN)
@SLOW
@given(drawn=adjacencies(), data=st.data())
def test_no_error_exceeds_its_cap(drawn, data, model):
    graph = make_graph(*drawn)
    lab = Lab(graph, data.draw(st.integers(1, min(5, graph.num_nodes))), model)
    wild(lab, data.draw(st.integers(0, 999)))
    exact, errors, caps = measured(lab, size=data.draw(st.integers(1, 2)))
    for rows, error, cap in zip(exact, errors, caps, strict=True):
        assert bool(torch.isfinite(cap).all())
        scale = float(rows.norm(dim=1).max()) if len(rows) else 0.0  # round-off is that of the sums behind a row
        assert bool((error <= cap * 1.0001 + 1e-4 * (1 + scale)).all()), float((error - cap).max())


@pytest.mark.parametrize("model", KNOWN)
def test_one_part_has_caps_of_zero_and_several_have_not(model):
    if model.num_layers == 1:
        return  # reads only features
    for num_parts in (1, 6):
        lab = Lab(make_graph(random_adjacency(40, 5, 0)), num_parts, model)
        wild(lab, 3)
        _, errors, caps = measured(lab)
        assert all(bool((cap == 0).all()) for cap in caps) == (num_parts == 1)
        assert not caps[0].any()  # the first layer's output is exact
        assert num_parts == 1 or (float(caps[-1].max()) > 0 and float(caps[-1].max()) < 1e4 * (1 + float(errors[-1].max())))


def test_a_cap_can_be_reached():
    """A path of two nodes in two parts, one channel, everything positive: nothing is lost in the inequalities."""
    graph = make_graph(sp.csr_array([[0.0, 1.0], [1.0, 0.0]]), classes=1)
    lab = Lab(graph, 2, APPNPConfig(num_layers=3, alpha=0.25, hidden_channels=2))
    lab.network.eval()
    for table, exact in zip(rows_of(lab.histories), lab.exact_inputs(), strict=True):
        table.copy_(exact + 2.0)
    _, errors, caps = measured(lab)
    torch.testing.assert_close(errors[-1], caps[-1], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(caps[-1], torch.full((2,), 0.75 * (0.5 * 0.75 * 0.5 * 2 + 0.5 * 2)))


def test_negative_edge_weights_count_by_their_size():
    matrix = random_adjacency(30, 4, 2)
    matrix.data[:] = torch.randn(matrix.nnz, generator=torch.Generator().manual_seed(1)).numpy()
    lab = Lab(make_graph(matrix, directed=True), 4, GINConfig(num_layers=3, hidden_channels=6))
    wild(lab, 5)
    _, errors, caps = measured(lab)
    assert all(bool((error <= cap * 1.0001 + 1e-3).all()) for error, cap in zip(errors, caps, strict=True))


def test_models_without_a_constant_say_so():
    graph = make_graph(random_adjacency(20, 3, 0))
    for model in (
        GATConfig(num_layers=2, hidden_channels=2),
        PNAConfig(num_layers=2, hidden_channels=2),
        GCNConfig(num_layers=3, batch_norm=True, track_running_stats=False),
        GINConfig(num_layers=3, mlp_batch_norm=True, track_running_stats=False),
        GCNIIConfig(num_layers=3, hidden_channels=4, batch_norm=True, track_running_stats=False),
    ):
        assert not Bound(Lab(graph, 2, model).network).known


def test_an_error_above_its_cap_is_counted():
    cap, norm = torch.tensor([1.0, 1.0, 0.0]), torch.ones(3)
    assert exceeded(cap, torch.tensor([1.00001, 1.1, 1e-5]), norm, "float32") == 1
    assert exceeded(cap, torch.tensor([1.00001, 1.1, 1e-5]), norm, "bfloat16") == 0


def test_history_shares_count_weights_by_their_size():
    lab = Lab(make_graph(random_adjacency(30, 4, 1)), 3, GCNConfig())
    for batch in lab.batches():
        inner, outer = batch.blocks[-1].inner.to_dense().abs().sum(1), batch.blocks[-1].outer.to_dense().abs().sum(1)
        torch.testing.assert_close(history_shares(batch.blocks[-1]), outer / (inner + outer))
    assert not history_shares(lab._builder(lab.whole).build([0]).blocks[-1]).any()


def test_gains():
    weight = torch.randn(5, 3)
    assert spectral_norm(weight) == pytest.approx(float(torch.linalg.svdvals(weight)[0]), rel=1e-5)
    assert spectral_norm(torch.zeros(0, 3)) == 0
    assert Gain(1.0, 2.0).times(3.0).with_residual() == Gain(4.0, 6.0)
    norm = BatchNorm(4).eval()
    norm.running_var.copy_(torch.tensor([4.0, 1.0, 1.0, 0.25]))
    assert norm_gain(norm) == pytest.approx(2.0, rel=1e-4)
