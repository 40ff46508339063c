"""Messages with dropout, factor and h_0 in one pass: against one operation after another, gradients included."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gas_cli.ops import threads
from gas_cli.ops.aggregate import Masks, aggregate, aggregate_reference
from gas_cli.ops.csr import CSR
from gas_cli.ops.dropout import Mask
from tests.builders import adjacencies, random_adjacency


def block(n: int = 40, targets: int = 12, seed: int = 0) -> tuple[CSR, CSR]:
    """The weighted, directed messages of the first `targets` of n nodes, from themselves and from the others."""
    matrix = random_adjacency(n, 5, seed, directed=True)
    matrix.data[:] = torch.rand(matrix.nnz, generator=torch.Generator().manual_seed(seed)).numpy() + 0.1
    whole = matrix[:targets]
    return CSR.from_scipy(whole[:, :targets]), CSR.from_scipy(whole[:, targets:])


def masks_of(inner: CSR, outer: CSR, p: float = 0.4) -> Masks:
    return Mask(p, (1, 2), torch.arange(inner.num_cols)), Mask(p, (1, 2), torch.arange(100, 100 + outer.num_cols))


def outcome(function, inner, outer, masks, initial: bool, channels: int, dtype=torch.float32):
    """Result and gradients of one of the twins, on the same numbers."""
    torch.manual_seed(0)
    rows = [torch.randn(n, channels, dtype=dtype, requires_grad=True) for n in (inner.num_cols, outer.num_cols, inner.num_rows)]
    out = function(inner, outer, rows[0], rows[1], masks, 0.9, rows[2] if initial else None, 0.1)
    (out * torch.randn(out.shape, dtype=dtype)).sum().backward()
    return [out.detach(), *(x.grad for x in rows)]


@pytest.mark.parametrize("initial", [False, True])
@pytest.mark.parametrize("dropped", [False, True])
@pytest.mark.parametrize("channels", [1, 7, 15, 64, 72])
def test_equals_slow_twin_with_gradients(channels, dropped, initial):
    inner, outer = block()
    masks = masks_of(inner, outer) if dropped else None
    fast, slow = (outcome(f, inner, outer, masks, initial, channels) for f in (aggregate, aggregate_reference))
    torch.testing.assert_close(fast, slow, rtol=1e-5, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(adjacencies(), st.integers(1, 40), st.booleans())
def test_equals_slow_twin_on_odd_graphs(graph, channels, dropped):
    a = CSR.from_scipy(graph[0])
    empty = CSR(torch.zeros(a.num_rows + 1, dtype=torch.int64), torch.zeros(0, dtype=torch.int32), torch.zeros(0), 0)
    masks = masks_of(a, empty) if dropped else None
    fast, slow = (outcome(f, a, empty, masks, True, channels) for f in (aggregate, aggregate_reference))
    torch.testing.assert_close(fast, slow, rtol=1e-5, atol=1e-5)


def test_gradcheck_in_double_precision():
    inner, outer = block(12, 5)
    masks = masks_of(inner, outer)
    inputs = [torch.randn(n, 3, dtype=torch.float64, requires_grad=True) for n in (5, 7, 5)]
    assert torch.autograd.gradcheck(lambda x, y, h: aggregate(inner, outer, x, y, masks, 0.9, h, 0.1), inputs)


def test_low_precision_is_widened():
    inner, outer = block()
    x, y = torch.randn(12, 5).bfloat16(), torch.randn(28, 5).bfloat16()
    assert torch.equal(aggregate(inner, outer, x, y, None), aggregate(inner, outer, x.float(), y.float(), None))


def test_result_does_not_depend_on_threads(monkeypatch):
    monkeypatch.setattr(threads, "SERIAL_WORK", 0)
    inner, outer = block(300, 200)
    results = []
    for count in (1, 2, 5):
        monkeypatch.setattr(torch, "get_num_threads", lambda count=count: count)
        results.append(outcome(aggregate, inner, outer, masks_of(inner, outer), True, 33))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.gpu
@pytest.mark.parametrize("channels", [3, 64])
def test_cuda_equals_cpu_with_gradients(channels):
    inner, outer = block()
    masks = masks_of(inner, outer)
    moved = inner.to("cuda"), outer.to("cuda"), tuple(replace(mask, ids=mask.ids.cuda()) for mask in masks)

    def on_cuda(inner, outer, target, halo, masks, scale, initial, weight):
        return aggregate(*moved[:2], target.cuda(), halo.cuda(), moved[2], scale, initial.cuda(), weight).cpu()

    found, expected = (outcome(f, inner, outer, masks, True, channels) for f in (on_cuda, aggregate))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
