"""GCNII's identity mapping: against the formula, gradients included."""

import torch

from gas_cli.ops.identity_map import identity_map, identity_map_relu


def test_equals_the_formula_with_gradients():
    outcomes = []
    for function in (identity_map_relu, lambda s, w, beta: ((1 - beta) * s + beta * (s @ w)).relu()):
        torch.manual_seed(0)
        s, weight = torch.randn(50, 6, requires_grad=True), torch.randn(6, 6, requires_grad=True)
        out = function(s, weight, 0.3)
        (out * torch.randn(50, 6)).sum().backward()
        outcomes.append([out.detach(), s.grad, weight.grad])
    torch.testing.assert_close(outcomes[0], outcomes[1])


def test_gradcheck_in_double_precision():
    inputs = [torch.randn(n, 4, dtype=torch.float64, requires_grad=True) for n in (7, 4)]
    assert torch.autograd.gradcheck(lambda s, w: identity_map_relu(s, w, 0.3), inputs)


def test_autocast_lowers_the_product_alone():
    """What the identity carries keeps float32: with W = 0 nothing is rounded."""
    s = torch.rand(20, 8) + 1
    with torch.autocast("cpu", torch.bfloat16):
        for function in (identity_map, identity_map_relu):
            torch.testing.assert_close(function(s, torch.zeros(8, 8), 0.25), 0.75 * s)
