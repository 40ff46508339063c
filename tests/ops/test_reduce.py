"""Means, sums and maxima of neighbours: the compiled kernel against whole-tensor operations and PyG, forward and backward."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.nn.aggr import MultiAggregation

from gas_cli.ops import reduce, threads
from gas_cli.ops.csr import CSR
from gas_cli.ops.reduce import Columns, aggregate, back_by_kernel, back_by_tensors, by_kernel, by_tensors
from tests.builders import adjacencies, random_adjacency

ALL = ("mean", "std", "var", "sum", "max", "min")


def block_of(matrix, num_targets: int, zeros: float = 0.0) -> tuple[CSR, CSR]:
    """The rows of the first nodes as (inner, outer), some weights 0 as edge dropout leaves them."""
    matrix = matrix[:num_targets].copy()
    matrix.data[:] = torch.rand(matrix.nnz, generator=torch.Generator().manual_seed(0)).numpy() + 0.1
    matrix.data[: int(zeros * matrix.nnz)] = 0
    return CSR.from_scipy(matrix[:, :num_targets]), CSR.from_scipy(matrix[:, num_targets:])


def edges_of(inner: CSR, outer: CSR) -> tuple[torch.Tensor, torch.Tensor]:
    rows = torch.arange(inner.num_rows)
    source = torch.cat([inner.col.long(), outer.col.long() + inner.num_rows])
    target = torch.cat([torch.repeat_interleave(rows, a.rowptr.diff()) for a in (inner, outer)])
    kept = torch.cat([inner.value, outer.value]) != 0
    return source[kept], target[kept]


@settings(max_examples=40, deadline=None)
@given(adjacencies(), st.data())
def test_kernel_equals_whole_tensor_operations(graph, data):
    num_targets = data.draw(st.integers(1, graph[0].shape[0]))
    inner, outer = block_of(graph[0], num_targets, zeros=data.draw(st.sampled_from([0.0, 0.3, 1.0])))
    rows = torch.randint(-2, 3, (graph[0].shape[0], 7)).float()  # many equal maxima
    target, halo = rows[:num_targets], rows[num_targets:]
    means = data.draw(st.integers(0, 7))
    columns = Columns(means, data.draw(st.integers(means, 7)))
    fast, slow = by_kernel(inner, outer, target, halo, columns), by_tensors(inner, outer, target, halo, columns)
    torch.testing.assert_close(fast, slow)
    grad = torch.randn(num_targets, 7)
    for a, first in ((inner, 0), (outer, num_targets)):
        arguments = grad, fast[1], fast[2], columns, a, first
        torch.testing.assert_close(back_by_kernel(*arguments), back_by_tensors(*arguments))


@pytest.mark.parametrize("names", [("mean",), ("mean", "max"), ("max", "mean"), ALL, ALL[::-1]], ids="-".join)
def test_equals_pyg_forward_and_backward(names):
    inner, outer = block_of(random_adjacency(40, 5, 0, directed=True), 12, zeros=0.2)
    source, index = edges_of(inner, outer)
    mine, theirs = (torch.randn(40, len(names) * 3, generator=torch.Generator().manual_seed(1)).requires_grad_() for _ in range(2))
    found = aggregate(inner, outer, mine[:12], mine[12:], names)
    pyg = [MultiAggregation([name])(theirs[source, a * 3 : a * 3 + 3], index, dim_size=12) for a, name in enumerate(names)]
    expected, weight = torch.stack(pyg, dim=1), torch.randn(12, len(names), 3)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    (found * weight).sum().backward()
    (expected * weight).sum().backward()
    torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-4, atol=1e-4)


def test_gradcheck_in_double_precision():
    inner, outer = block_of(random_adjacency(12, 4, 0, directed=True), 6)
    rows = torch.randn(12, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: aggregate(inner, outer, x[:6], x[6:], ("mean", "std", "max")), rows)


def test_the_gradient_of_equal_maxima_goes_to_the_first_source_and_to_targets_before_halo():
    """Target 0 hears targets 1 and 2 and one halo node, all equal; target 1 only the halo; target 2 nobody."""
    inner = CSR(torch.tensor([0, 2, 2, 2]), torch.tensor([1, 2], dtype=torch.int32), torch.ones(2), 3)
    outer = CSR(torch.tensor([0, 1, 2, 2]), torch.tensor([0, 0], dtype=torch.int32), torch.ones(2), 1)
    target, halo = torch.ones(3, 2, requires_grad=True), torch.ones(1, 2, requires_grad=True)
    out = aggregate(inner, outer, target, halo, ("max",))
    assert out.flatten().tolist() == [1, 1, 1, 1, 0, 0]
    out.sum().backward()
    assert target.grad.tolist() == [[0, 0], [1, 1], [0, 0]] and halo.grad.tolist() == [[1, 1]]


def test_halo_rows_without_gradient_build_no_transpose():
    inner, outer = block_of(random_adjacency(30, 4, 0, directed=True), 12)
    aggregate(inner, outer, torch.randn(12, 4, requires_grad=True), torch.randn(18, 4), ("mean", "max")).sum().backward()
    assert inner._transposed is not None and outer._transposed is None


def test_results_do_not_depend_on_threads_or_on_chunks(monkeypatch):
    monkeypatch.setattr(threads, "SERIAL_WORK", 0)
    inner, outer = block_of(random_adjacency(200, 6, 0), 120)
    rows, columns, grad = torch.randn(200, 24), Columns(8, 12), torch.randn(120, 24)
    outcomes = []
    for count in (1, 2, 5):
        monkeypatch.setattr(torch, "get_num_threads", lambda count=count: count)
        results = by_kernel(inner, outer, rows[:120], rows[120:], columns)
        outcomes.append([*results, back_by_kernel(grad, *results[1:], columns, inner, 0)])
    assert all(torch.equal(a, b) for other in outcomes[1:] for a, b in zip(outcomes[0], other, strict=True))
    whole = by_tensors(inner, outer, rows[:120], rows[120:], columns)
    monkeypatch.setattr(reduce, "_CHUNK", 1)
    chunked = by_tensors(inner, outer, rows[:120], rows[120:], columns)
    assert all(torch.equal(a, b) for a, b in zip(whole, chunked, strict=True))


def test_not_a_number_is_not_hidden():
    inner, outer = block_of(random_adjacency(8, 8, 0), 8)
    rows = torch.zeros(8, 2)
    rows[3] = float("nan")
    hears = inner.to_dense()[:, 3] != 0
    for by in (by_kernel, by_tensors):
        reduced = by(inner, outer, rows, rows[:0], Columns(0, 1))[0]
        assert hears.any() and reduced[hears].isnan().all() and not reduced[~hears].isnan().any()


@pytest.mark.gpu
def test_cuda_equals_cpu():
    inner, outer = block_of(random_adjacency(60, 6, 0), 25, zeros=0.1)
    rows = torch.randn(60, 8)
    on_cpu, on_gpu = rows.clone().requires_grad_(), rows.cuda().requires_grad_()
    aggregate(inner, outer, on_cpu[:25], on_cpu[25:], ("mean", "max")).square().sum().backward()
    aggregate(inner.to("cuda"), outer.to("cuda"), on_gpu[:25], on_gpu[25:], ("mean", "max")).square().sum().backward()
    torch.testing.assert_close(on_gpu.grad.cpu(), on_cpu.grad, rtol=1e-4, atol=1e-4)
