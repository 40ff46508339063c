"""Sparse-dense products: the compiled kernel against its slow twin, forward and backward."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gas_cli.ops import threads
from gas_cli.ops.csr import CSR
from gas_cli.ops.dropout import Mask, apply_mask
from gas_cli.ops.kernels import row_kernels
from gas_cli.ops.spmm import block_spmm, row_sums, spmm, spmm_reference
from tests.builders import adjacencies, random_adjacency


def weighted(seed: int = 0, n: int = 40) -> CSR:
    matrix = random_adjacency(n, 5, seed, directed=True)
    matrix.data[:] = torch.rand(matrix.nnz, generator=torch.Generator().manual_seed(seed)).numpy() + 0.1
    return CSR.from_scipy(matrix)


@settings(max_examples=40, deadline=None)
@given(adjacencies(), st.integers(1, 9))
def test_equals_slow_twin(graph, channels):
    a = CSR.from_scipy(graph[0])
    x = torch.randn(a.num_cols, channels)
    torch.testing.assert_close(spmm(a, x), spmm_reference(a, x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 72, 100, 130])
def test_every_width_equals_slow_twin(channels):
    """Rows are summed in vectors of 1 to 16 lanes that overlap where the width is no multiple."""
    whole = weighted().to_scipy()[:12]
    inner, outer = CSR.from_scipy(whole[:, :12]), CSR.from_scipy(whole[:, 12:])
    x, anchor = torch.randn(40, channels), torch.randn(12, channels)
    expected = spmm_reference(CSR.from_scipy(whole), x)
    terms = [(inner, x[:12]), (outer, x[12:])]
    torch.testing.assert_close(row_sums(terms), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(row_sums(terms, 0.9, anchor, 0.1), 0.9 * expected + 0.1 * anchor, rtol=1e-5, atol=1e-5)
    mask = Mask(0.3, (1, 2), torch.arange(5, 17))
    torch.testing.assert_close(row_sums(terms, 0.9, mask=mask), apply_mask(0.9 * expected, mask), rtol=1e-5, atol=1e-5)


def test_gradient_equals_slow_twin():
    a, x = weighted(), torch.randn(40, 7)
    fast, slow = x.clone().requires_grad_(), x.clone().requires_grad_()
    weight = torch.randn(40, 7)
    (spmm(a, fast) * weight).sum().backward()
    (spmm_reference(a, slow) * weight).sum().backward()
    torch.testing.assert_close(fast.grad, slow.grad)


@pytest.mark.parametrize("active", [0, 3, 40])
@pytest.mark.parametrize("channels", [1, 15, 16, 40, 64])
def test_gradient_without_a_transpose_equals_slow_twin(channels, active, monkeypatch):
    """Rows are added where they belong, channels shared among threads; rows without a gradient are passed over."""
    a, x, weight = weighted(), torch.randn(40, channels), torch.randn(40, channels)
    weight[active:] = 0
    slow = x.clone().requires_grad_()
    (spmm_reference(a, slow) * weight).sum().backward()
    monkeypatch.setattr(threads, "SERIAL_WORK", 0)
    results = []
    for count in (1, 2, 5):
        monkeypatch.setattr(torch, "get_num_threads", lambda count=count: count)
        fast = x.clone().requires_grad_()
        (spmm(a, fast) * weight).sum().backward()
        results.append(fast.grad)
    torch.testing.assert_close(results[0], slow.grad, rtol=1e-5, atol=1e-5)
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])
    assert a._transposed is None


def test_gradcheck_in_double_precision():
    a = weighted(n=8)
    assert torch.autograd.gradcheck(lambda x: spmm(a, x), torch.randn(8, 3, dtype=torch.float64, requires_grad=True))


def test_block_equals_one_product_with_concatenated_rows():
    whole = weighted().to_scipy()[:12]
    inner, outer = CSR.from_scipy(whole[:, :12]), CSR.from_scipy(whole[:, 12:])
    target, halo = torch.randn(12, 4, requires_grad=True), torch.randn(28, 4, requires_grad=True)
    rows = torch.cat([target, halo]).detach().requires_grad_()
    block_spmm(inner, outer, target, halo).square().sum().backward()
    spmm_reference(CSR.from_scipy(whole), rows).square().sum().backward()
    torch.testing.assert_close(torch.cat([target.grad, halo.grad]), rows.grad)


def test_rows_without_gradient_build_no_transpose():
    whole = weighted().to_scipy()[:12]
    inner, outer = CSR.from_scipy(whole[:, :12]), CSR.from_scipy(whole[:, 12:])
    block_spmm(inner, outer, torch.randn(12, 4, requires_grad=True), torch.randn(28, 4)).sum().backward()
    assert inner._transposed is not None
    assert outer._transposed is None


def test_result_does_not_depend_on_threads(monkeypatch):
    monkeypatch.setattr(threads, "SERIAL_WORK", 0)
    a, x = weighted(n=200), torch.randn(200, 16)
    results = []
    for count in (1, 2, 5):
        monkeypatch.setattr(torch, "get_num_threads", lambda count=count: count)
        results.append(spmm(a, x))
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


def test_an_error_on_a_worker_thread_is_raised_where_the_work_was_given(monkeypatch):
    monkeypatch.setattr(threads, "SERIAL_WORK", 0)

    def fail_in_the_end(start: int, stop: int) -> None:
        if stop == 64:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        threads.over_equal_rows(fail_in_the_end, 64, 1)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.integers(1, 7))
def test_pieces_cover_every_row_once(degrees, count):
    rowptr = np.concatenate([[0], np.cumsum(degrees)])
    seen: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threads, "SERIAL_WORK", 0)
        patch.setattr(torch, "get_num_threads", lambda: count)
        threads.over_rows(lambda start, stop: seen.extend(range(start, stop)), rowptr, 1)
    assert sorted(seen) == list(range(len(degrees)))


def test_low_precision_is_widened():
    a, x = weighted(), torch.randn(40, 4).bfloat16()
    assert torch.equal(spmm(a, x), spmm(a, x.float()))


def test_a_block_without_halo():
    a = CSR.from_scipy(random_adjacency(6, 2, 0))
    empty = CSR(torch.zeros(7, dtype=torch.int64), torch.zeros(0, dtype=torch.int32), torch.zeros(0), 0)
    x = torch.randn(6, 3)
    assert torch.equal(block_spmm(a, empty, x, torch.zeros(0, 3)), spmm(a, x))


@pytest.mark.gpu
def test_cuda_equals_cpu():
    a, x = weighted(), torch.randn(40, 7)
    on_gpu = x.cuda().requires_grad_()
    on_cpu = x.clone().requires_grad_()
    spmm(a.to("cuda"), on_gpu).square().sum().backward()
    spmm(a, on_cpu).square().sum().backward()
    torch.testing.assert_close(on_gpu.grad.cpu(), on_cpu.grad, rtol=1e-4, atol=1e-4)


def with_hubs(seed: int, rows: int = 70, columns: int = 3000) -> CSR:
    """Rows of 0 to 2,999 entries: what a CUDA kernel gives a group of lanes, and what it gives a block."""
    rng = np.random.default_rng(seed)
    dense = rng.random((rows, columns)) < np.where(rng.random(rows) < 0.2, rng.random(rows), 0.003)[:, None]
    dense[3] = False
    return CSR.from_scipy(sp.csr_array(dense * rng.random((rows, columns))))


@pytest.mark.gpu
@pytest.mark.parametrize("channels", [1, 2, 3, 7, 8, 40, 64, 128, 130, 256, 300])
@pytest.mark.parametrize("end", ["plain", "anchored", "masked"])
@pytest.mark.parametrize("both", [False, True])
def test_cuda_sums_rows_as_the_cpu_does(both, end, channels):
    terms = [(with_hubs(seed), torch.randn(3000, channels)) for seed in range(1 + both)]
    anchor = torch.randn(70, channels) if end == "anchored" else None
    mask = Mask(0.4, (1, 2), torch.arange(100, 170)) if end == "masked" else None
    expected = row_sums(terms, 0.9, anchor, 0.1, mask)
    on_gpu = [(a.to("cuda"), x.cuda()) for a, x in terms]
    moved = None if anchor is None else anchor.cuda(), 0.1, None if mask is None else replace(mask, ids=mask.ids.cuda())
    found = row_sums(on_gpu, 0.9, *moved)
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(found, row_sums(on_gpu, 0.9, *moved))  # to the last bit, every time
    assert mask is None or torch.equal(found.cpu() == 0, expected == 0)


@pytest.mark.gpu
def test_cuda_reads_rows_that_do_not_begin_at_whole_vectors():
    a, x = weighted().to("cuda"), torch.randn(41 * 8 + 1, device="cuda")[1:].view(41, 8)[:40]
    torch.testing.assert_close(row_sums([(a, x)]).cpu(), row_sums([(weighted(), x.cpu())]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("masked", [False, True])
def test_rows_without_columns_never_reach_a_kernel(monkeypatch: pytest.MonkeyPatch, masked: bool) -> None:
    """A kernel writes at least one number per row, which would lie behind an empty table: memory of somebody else."""

    def written(*arguments: object) -> None:
        raise AssertionError("a kernel was called")

    for name in ("aggregate", "aggregate_dropped"):
        monkeypatch.setattr(row_kernels, name, written)
    a = CSR.from_scipy(random_adjacency(20, 4, 0))
    mask = Mask(0.5, (1, 2), torch.arange(20)) if masked else None
    assert row_sums([(a, torch.empty(20, 0)), (a, torch.empty(20, 0))], mask=mask).shape == (20, 0)
    with pytest.raises(AssertionError, match="a kernel was called"):
        row_sums([(a, torch.empty(20, 1))], mask=mask)
