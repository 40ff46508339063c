"""Gradients: layer by layer equal to those of full batch, and what histories do to them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gas_cli.diagnose.gradient import add, bias, full_gradient, gradients, parameters
from gas_cli.diagnose.probe import probe
from gas_cli.method.method import Alone
from gas_cli.ops.dropout import Noise
from gas_cli.passes.drivers import NO_NOISE, forward, layerwise
from gas_cli.passes.loss import Loss
from gas_cli.tables.histories import Histories
from tests.builders import MODEL_IDS, MODELS, adjacencies, make_graph, random_adjacency, rows_of
from tests.passes.test_exactness import CPU, Lab

SLOW = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def exact_histories(lab: Lab, noise: Noise = NO_NOISE) -> Histories:
    layerwise(lab.network, lab.passes, lab.problem.graph.num_nodes, CPU, lab.histories, noise=noise)
    return lab.histories


def of_full_batch(lab: Lab, noise: Noise = NO_NOISE) -> list[torch.Tensor]:
    whole = lab._builder(lab.whole).build([0])
    scores = forward(lab.network, whole, Alone(), noise)
    return gradients(Loss("full_batch", whole.num_train)(scores, whole, 1), list(lab.network.parameters()))


@pytest.mark.parametrize("noise", [NO_NOISE, Noise(3, 7)], ids=["evaluation", "dropout"])
@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
@pytest.mark.parametrize("model", MODELS, ids=MODEL_IDS)
@SLOW
@given(drawn=adjacencies(), data=st.data())
def test_layer_by_layer_equals_full_batch(drawn, data, model, sparse, noise):
    """In batches of any parts, halo rows included: nothing is cut. Under dropout, too: its masks are the same in any batches."""
    graph = make_graph(*drawn, sparse_features=sparse)
    lab = Lab(graph, data.draw(st.integers(1, min(5, graph.num_nodes))), model)
    lab.network.eval()
    exact = exact_histories(lab, noise)
    size = data.draw(st.integers(1, 3))
    loss = Loss("full_batch", int(graph.splits[0].train.sum()))
    found = full_gradient(lab.network, lambda inputs: lab.batches(size), exact, loss, noise)
    torch.testing.assert_close(found, of_full_batch(lab, noise), rtol=1e-3, atol=1e-5)
    assert all(parameter.grad is None for parameter in lab.network.parameters())


def batch_gradients(lab: Lab) -> list[torch.Tensor]:
    weights = list(parameters(lab.network).values())
    total, loss = [torch.zeros_like(w) for w in weights], Loss("full_batch", int(lab.problem.graph.splits[0].train.sum()))
    for batch in lab.batches():
        add(total, probe(lab.network, batch, lab.method, loss, 1, weights).gradient)
    return total


@pytest.mark.parametrize("model", MODELS, ids=MODEL_IDS)
def test_exact_histories_leave_a_bias_of_the_cut_messages_and_one_part_leaves_none(model):
    for num_parts in (1, 5):
        lab = Lab(make_graph(random_adjacency(40, 5, 0)), num_parts, model)
        lab.network.eval()
        exact_histories(lab)
        before = [table.clone() for table in rows_of(lab.histories)]
        found = bias(batch_gradients(lab), of_full_batch(lab), list(parameters(lab.network)))
        assert (found["total"] > 0.01) == (num_parts > 1 and model.num_layers > 1)
        assert num_parts > 1 or found["total"] < 1e-4
        torch.testing.assert_close(before, rows_of(lab.histories), rtol=0, atol=0)


def test_bias_is_relative_and_none_without_a_gradient():
    found = bias([torch.tensor([3.0, 0.0]), torch.zeros(2)], [torch.tensor([0.0, 4.0]), torch.zeros(2)], ["a", "b"])
    assert found == {"total": 1.25, "cosine": 0.0, "weights": {"a": 1.25, "b": None}}
