"""ReLU(batch norm [+ residual]) in two passes: against torch's operations, gradients included."""

import pytest
import torch

from gas_cli.ops import threads
from gas_cli.ops.norm_relu import CHUNK, is_compiled, norm_relu, norm_relu_reference


def outcome(function, rows: int, channels: int, residual: bool, offset: float = 0.0) -> list[torch.Tensor]:
    torch.manual_seed(0)
    x = (torch.randn(rows, channels) * torch.rand(channels) + offset).requires_grad_()
    added, weight, bias = torch.randn(rows, channels, requires_grad=True), torch.randn(channels), torch.randn(channels)
    parameters = [weight.requires_grad_(), bias.requires_grad_()]
    result = function(x, added if residual else None, *parameters, 1e-5)
    (result.out * torch.randn(rows, channels)).sum().backward()
    grads = [t.grad for t in (x, *parameters, *([added] if residual else []))]
    return [result.out.detach(), result.mean, result.variance, *grads]


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize(("rows", "channels"), [(2, 16), (50, 32), (CHUNK, 16), (3 * CHUNK + 7, 48)])
def test_equals_slow_twin_with_gradients(rows, channels, residual):
    fast, slow = (outcome(f, rows, channels, residual) for f in (norm_relu, norm_relu_reference))
    torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-4)


def test_variance_survives_a_large_mean():
    """Squares of differences, not differences of squares."""
    x = torch.randn(1000, 16) * 0.1 + 1000
    result = norm_relu(x, None, torch.ones(16), torch.zeros(16), 1e-5)
    torch.testing.assert_close(result.variance, x.double().var(0, unbiased=False).float(), rtol=1e-2, atol=0)


def test_result_does_not_depend_on_threads(monkeypatch):
    monkeypatch.setattr(threads, "SERIAL_WORK", 0)
    results = []
    for count in (1, 2, 5):
        monkeypatch.setattr(torch, "get_num_threads", lambda count=count: count)
        results.append(outcome(norm_relu, 3 * CHUNK + 7, 32, True))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_nan_is_not_lost():
    x = torch.randn(40, 16)
    x[3, 5] = float("nan")
    assert norm_relu(x, None, torch.ones(16), torch.zeros(16), 1e-5).out[:, 5].isnan().all()


def test_other_widths_and_precisions_are_left_to_torch():
    assert is_compiled(torch.zeros(2, 32))
    assert not any(is_compiled(x) for x in (torch.zeros(2, 33), torch.zeros(2, 32, dtype=torch.float64), torch.zeros(2, 32).bfloat16()))
