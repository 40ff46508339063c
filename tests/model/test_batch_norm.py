"""Batch normalisation with ReLU in one operation: as the two are one after the other, running statistics included."""

import copy

import pytest
import torch

from gas_cli.model.batch_norm import BatchNorm
from gas_cli.model.model import held_statistics


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize(("rows", "channels", "tracked"), [(30, 16, True), (30, 16, False), (1, 16, True), (30, 7, True)])
def test_equals_norm_and_relu(rows, channels, tracked, residual, training):
    fused = BatchNorm(channels, tracked).train(training)
    plain = copy.deepcopy(fused)
    for _ in range(2):
        x, added = torch.randn(rows, channels) + 1, torch.randn(rows, channels) if residual else None
        expected = plain(x)
        expected = (expected if added is None else expected + added).relu()
        torch.testing.assert_close(fused.relu(x.clone().requires_grad_() * 1, added), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(dict(fused.named_buffers()), dict(plain.named_buffers()))


def test_held_statistics_do_not_move():
    norm = BatchNorm(16)
    with held_statistics(norm):
        norm.relu(torch.randn(30, 16))
    assert norm.running_mean is not None and not norm.running_mean.any()
