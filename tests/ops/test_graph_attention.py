"""Graph attention: the compiled kernels against their slow twin, forward and backward."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gas_cli.batch.batch import Block
from gas_cli.ops import threads
from gas_cli.ops.attention import EdgeDropout, graph_attention_reference
from gas_cli.ops.csr import CSR
from gas_cli.ops.dropout import Noise
from gas_cli.ops.graph_attention import graph_attention
from tests.builders import adjacencies, random_adjacency

KEPT = EdgeDropout(0.5, Noise.off(), 3)
DROPPED = EdgeDropout(0.4, Noise(1, 2), 3)


def make_block(matrix, num_targets: int) -> Block:
    """The first nodes as targets, the others as halo, with scattered ids."""
    ids = torch.randperm(1000, generator=torch.Generator().manual_seed(0))[: matrix.shape[0]]
    inner, outer = (CSR.from_scipy(part) for part in (matrix[:num_targets, :num_targets], matrix[:num_targets, num_targets:]))
    return Block(inner, outer, ids[:num_targets], ids[num_targets:], torch.arange(num_targets, matrix.shape[0]))


def make_inputs(block: Block, heads: int, channels: int, with_term: bool, dtype=torch.float64, size: float = 1.0) -> list[Tensor]:
    """own, halo, source, target and, if asked for, term."""
    generator = torch.Generator().manual_seed(5)
    width = heads * channels
    shapes = [(block.num_targets, width), (block.num_halo, width), (heads, channels), (heads, channels)]
    shapes += [(block.num_edges, heads)] * with_term
    return [(size * torch.randn(s, dtype=dtype, generator=generator)).requires_grad_() for s in shapes]


def run(function, block: Block, drop: EdgeDropout, inputs: list[Tensor]) -> list[Tensor]:
    """The output and all gradients of a weighted sum of it."""
    own, halo, source, target, *term = (t.detach().requires_grad_() for t in inputs)
    out = function(own, halo, source, target, block, drop, *term)
    weight = torch.arange(out.numel(), dtype=out.dtype).sin().to(out.device).view_as(out)
    return [out.detach(), *torch.autograd.grad((out * weight).sum(), [own, halo, source, target, *term])]


SIZES = {torch.float64: [(2, 3), (3, 9), (9, 2)], torch.float32: [(1, 1), (1, 7), (2, 3), (8, 8), (9, 17)]}
"""Heads and channels: fewer, as many and more than the eight of a vector. Every unrolled pair is compiled anew, for seconds."""


@pytest.mark.parametrize("drop", [KEPT, DROPPED], ids=["kept", "dropped"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["double", "single"])
@settings(max_examples=40, deadline=None)
@given(drawn=adjacencies(), share=st.floats(0, 1), data=st.data(), with_term=st.booleans())
def test_equals_slow_twin_with_all_gradients(drawn, share, data, with_term, dtype, drop):
    matrix, directed = drawn
    sizes = data.draw(st.sampled_from(SIZES[dtype]))
    num_targets = max(1, round(share * matrix.shape[0]))
    block = make_block(matrix, num_targets)
    block.inner.symmetric = not directed  # as batches have it: the transpose is then the matrix itself
    inputs = make_inputs(block, *sizes, with_term, dtype)
    close = {"rtol": 1e-9, "atol": 1e-9} if dtype == torch.float64 else {"rtol": 1e-4, "atol": 1e-4}
    fast, slow = (run(function, block, drop, inputs) for function in (graph_attention, graph_attention_reference))
    for found, expected in zip(fast, slow, strict=True):
        torch.testing.assert_close(found, expected, **close)


@pytest.mark.parametrize("with_term", [False, True])
def test_gradcheck_in_double_precision(with_term):
    block = make_block(random_adjacency(9, 3, 1, directed=True), 6)
    inputs = make_inputs(block, 2, 3, with_term)
    assert torch.autograd.gradcheck(lambda own, halo, s, t, *term: graph_attention(own, halo, s, t, block, DROPPED, *term), inputs)


def test_a_source_with_more_edges_than_a_tile_and_scores_beyond_exp():
    """Softmax takes off each target's maximum, and gradients of a busy source are added up in several tiles."""
    n = 3 * 64 + 5
    block = make_block(random_adjacency(n, n * 0.9, 0), n)
    inputs = make_inputs(block, 2, 3, False, size=30.0)
    fast, slow = (run(function, block, DROPPED, inputs) for function in (graph_attention, graph_attention_reference))
    for found, expected in zip(fast, slow, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)
    single = run(graph_attention, block, DROPPED, [t.float() for t in inputs])
    assert all(t.isfinite().all() for t in single)


def test_dropout_keeps_and_drops_what_the_slow_twin_does():
    """Head k of node w is e_w: the output is α itself, zero exactly where the mask of `dropout` has zeros."""
    n = 40
    block = make_block(random_adjacency(n, 6, 0), n)
    rows, zeros = torch.eye(n), torch.zeros(1, n)
    fast, slow = (f(rows, torch.zeros(0, n), zeros, zeros, block, DROPPED) for f in (graph_attention, graph_attention_reference))
    assert torch.equal(fast == 0, slow == 0)
    assert 0.2 < (fast[block.edge_target, block.edge_source] == 0).float().mean() < 0.6


def test_result_does_not_depend_on_threads(monkeypatch):
    monkeypatch.setattr(threads, "SERIAL_WORK", 0)
    block = make_block(random_adjacency(200, 8, 0, directed=True), 150)
    inputs = make_inputs(block, 8, 8, True, torch.float32)
    results = []
    for count in (1, 2, 5):
        monkeypatch.setattr(torch, "get_num_threads", lambda count=count: count)
        results.append(run(graph_attention, block, DROPPED, inputs))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_evaluation_saves_nothing_and_gives_the_same():
    block = make_block(random_adjacency(30, 4, 0), 20)
    inputs = make_inputs(block, 8, 8, True, torch.float32)
    own, halo, source, target, term = inputs
    with torch.no_grad():
        found = graph_attention(own, halo, source, target, block, KEPT, term)
    assert torch.equal(found, graph_attention(own, halo, source, target, block, KEPT, term))


def test_not_a_number_shows_in_its_targets_only():
    """A training that diverges has to be seen: NaN does not vanish in the maximum or the exponential."""
    block = make_block(random_adjacency(30, 4, 0), 30)
    own, halo, source, target = (t.detach() for t in make_inputs(block, 8, 8, False, torch.float32))
    own[3] = float("nan")
    found, expected = (f(own, halo, source, target, block, KEPT) for f in (graph_attention, graph_attention_reference))
    assert found.isnan().any()
    assert torch.equal(found.isnan(), expected.isnan())


def test_low_precision_is_widened():
    block = make_block(random_adjacency(20, 4, 0), 20)
    own, halo, source, target = (t.detach() for t in make_inputs(block, 2, 4, False, torch.float32))
    low, narrow = own.bfloat16(), halo.bfloat16()
    assert torch.equal(
        graph_attention(low, narrow, source, target, block, KEPT), graph_attention(low.float(), narrow.float(), source, target, block, KEPT)
    )


@pytest.mark.gpu
def test_cuda_equals_cpu():
    block = make_block(random_adjacency(60, 5, 0), 40)
    inputs = make_inputs(block, 8, 8, True, torch.float32)
    on_gpu = run(graph_attention, block.to(torch.device("cuda")), DROPPED, [t.detach().cuda() for t in inputs])
    for found, expected in zip(on_gpu, run(graph_attention, block, DROPPED, inputs), strict=True):
        torch.testing.assert_close(found.cpu(), expected, rtol=1e-3, atol=1e-4)
