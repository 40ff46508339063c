"""Products of rounded operands: what they compute, what they reach, and what they do not change."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gas_cli.ops.low_precision import are_products_rounded, low_precision, rounded_product

CPU = torch.device("cpu")


def rounded(x: torch.Tensor) -> torch.Tensor:
    return x.bfloat16().double()


def test_the_product_and_its_gradients_are_those_of_rounded_operands():
    torch.manual_seed(0)
    x, y = torch.randn(30, 17, requires_grad=True), torch.randn(17, 9, requires_grad=True)
    out, grad = rounded_product(x, y), torch.randn(30, 9)
    out.backward(grad)
    expected = rounded(x.detach()) @ rounded(y.detach()), rounded(grad) @ rounded(y.detach()).T, rounded(x.detach()).T @ rounded(grad)
    for found, exact in zip((out, x.grad, y.grad), expected, strict=True):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found.double(), exact, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(
    "multiply",
    [
        lambda x, y: x @ y,
        torch.mm,
        torch.matmul,
        lambda x, y: x.mm(y),
        lambda x, y: nn.functional.linear(x, y.t()),
        lambda x, y: nn.functional.linear(x, y.t(), torch.zeros(4)),
    ],
    ids=["operator", "mm", "matmul", "method", "linear", "linear with bias"],
)
def test_every_way_to_multiply_is_reached_within_and_none_without(multiply):
    torch.manual_seed(0)
    x, y = torch.randn(8, 6), torch.randn(6, 4)
    with low_precision(CPU, True):
        assert are_products_rounded()
        found = multiply(x, y)
    assert torch.equal(found, rounded_product(x, y)) and not are_products_rounded()
    assert torch.equal(multiply(x, y), x @ y) and not torch.equal(found, x @ y)
    with low_precision(CPU, False):
        assert torch.equal(multiply(x, y), x @ y) and not are_products_rounded()


def test_modules_are_reached_and_their_bias_is_not_rounded():
    layer = nn.Linear(6, 4)
    x = torch.zeros(3, 6)
    with low_precision(CPU, True):
        assert torch.equal(layer(x), layer.bias.expand(3, 4))


def test_other_types_and_shapes_are_left_alone():
    with low_precision(CPU, True):
        double = torch.ones(2, 2, dtype=torch.float64) * (1 + 2**-30)
        assert torch.equal(double @ torch.eye(2, dtype=torch.float64), double)
        vector = torch.full((2,), 1 + 2**-12)
        assert torch.equal(torch.eye(2) @ vector, vector)


def test_an_error_within_ends_it():
    with pytest.raises(ZeroDivisionError), low_precision(CPU, True):
        raise ZeroDivisionError
    assert not are_products_rounded()
