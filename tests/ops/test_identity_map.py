"""GCNII's identity mapping: against the formula, gradients included."""

import pytest
import torch

from gas_cli.ops import threads
from gas_cli.ops.identity_map import identity_map, identity_map_relu
from gas_cli.ops.low_precision import low_precision


@pytest.mark.parametrize("active", [0, 3, 50])
@pytest.mark.parametrize("channels", [1, 6, 16, 40, 64])
def test_equals_the_formula_with_gradients(channels, active):
    """Also where only the first `active` rows have a gradient, and the products leave the others out."""
    outcomes = []
    for function in (identity_map_relu, lambda s, w, beta: ((1 - beta) * s + beta * (s @ w)).relu()):
        torch.manual_seed(0)
        s, weight = torch.randn(50, channels, requires_grad=True), torch.randn(channels, channels, requires_grad=True)
        out = function(s, weight, 0.3)
        (out * torch.randn(50, channels))[:active].sum().backward()
        outcomes.append([out.detach(), s.grad, weight.grad])
    torch.testing.assert_close(outcomes[0], outcomes[1], rtol=1e-5, atol=1e-5)


def test_nan_is_not_lost():
    """A diverged row shows in the result; a NaN in the gradient counts as a gradient."""
    s, weight = torch.randn(9, 17), torch.randn(17, 17, requires_grad=True)
    s[4] = float("nan")
    out = identity_map_relu(s, weight, 0.3)
    assert out.isnan().all(1).tolist() == [row == 4 for row in range(9)]
    out.backward(torch.zeros(9, 17).fill_diagonal_(float("nan")))
    assert weight.grad is not None and weight.grad.isnan().any()


def test_result_does_not_depend_on_threads(monkeypatch):
    monkeypatch.setattr(threads, "SERIAL_WORK", 0)
    torch.manual_seed(0)
    s, weight, results = torch.randn(200, 20), torch.randn(20, 20), []
    for count in (1, 2, 5):
        monkeypatch.setattr(torch, "get_num_threads", lambda count=count: count)
        results.append(identity_map_relu(s, weight, 0.3))
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])


def test_low_precision_rounds_the_product_alone():
    """What the identity carries keeps float32: with W = 0 nothing is rounded."""
    s = torch.rand(20, 8) + 1
    with low_precision(torch.device("cpu"), True):
        for function in (identity_map, identity_map_relu):
            torch.testing.assert_close(function(s, torch.zeros(8, 8), 0.25), 0.75 * s)
