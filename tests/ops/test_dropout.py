"""Counter-based dropout: the fast mask against its slow twin, and the statistics of the words."""

from dataclasses import replace

import pytest
import scipy.sparse as sp
import torch

from gas_cli.ops.csr import CSR
from gas_cli.ops.dropout import Mask, Noise, apply_mask, apply_mask_reference, drop_entries, dropout, dropout_csr, keep_mask
from gas_cli.ops.kernels import nvrtc

IDS = torch.arange(2000)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.77])
def test_fast_mask_equals_slow_twin_forward_and_backward(p):
    x = torch.randn(300, 33, requires_grad=True)
    ids = torch.randint(0, 2**31, (300,))
    out = dropout(x, p, Noise(3, 4), 5, ids)
    expected = keep_mask(p, Noise(3, 4), 5, ids, 33)
    assert torch.equal(out != 0, expected)
    torch.testing.assert_close(out, x * expected / (1 - p))
    out.backward(torch.ones_like(out))
    torch.testing.assert_close(x.grad, expected / (1 - p))


@pytest.mark.parametrize("p", [0.003, 0.3, 0.5, 0.999])
def test_keep_rate_is_exact_within_sampling_error(p):
    kept = keep_mask(p, Noise(0, 0), 0, IDS, 512).double().mean().item()
    sigma = (p * (1 - p) / (2000 * 512)) ** 0.5
    assert abs(kept - (1 - p)) < 5 * sigma


def correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    return torch.corrcoef(torch.stack([a.flatten().float(), b.flatten().float()]))[0, 1].item()


def test_masks_are_independent_across_rows_channels_steps_sites_and_seeds():
    base = keep_mask(0.5, Noise(0, 0), 0, IDS, 256)
    others = {
        "row": keep_mask(0.5, Noise(0, 0), 0, IDS + 1, 256),
        "channel": base.roll(1, dims=1),
        "step": keep_mask(0.5, Noise(0, 1), 0, IDS, 256),
        "site": keep_mask(0.5, Noise(0, 0), 1, IDS, 256),
        "seed": keep_mask(0.5, Noise(1, 0), 0, IDS, 256),
    }
    bound = 5 / base.numel() ** 0.5
    assert {name: c for name, other in others.items() if abs(c := correlation(base, other)) > bound} == {}


def test_every_row_and_channel_keeps_its_share():
    mask = keep_mask(0.5, Noise(7, 7), 0, IDS, 2000).float()
    bound = 6 * 0.5 / 2000**0.5  # 6 sigma over 4000 means
    assert (mask.mean(0) - 0.5).abs().max() < bound
    assert (mask.mean(1) - 0.5).abs().max() < bound


def test_the_mask_follows_the_node_not_its_place():
    x = torch.ones(2000, 8)
    order = torch.randperm(2000)
    whole = dropout(x, 0.5, Noise(0, 9), 2, IDS)
    assert torch.equal(dropout(x, 0.5, Noise(0, 9), 2, IDS[order]), whole[order])


def test_sparse_equals_dense():
    dense = torch.randn(50, 40) * (torch.rand(50, 40) < 0.2)
    sparse = dropout_csr(CSR.from_scipy(sp.csr_array(dense.numpy())), 0.4, Noise(1, 2), 3, IDS[:50])
    assert torch.equal(sparse.to_dense(), dropout(dense, 0.4, Noise(1, 2), 3, IDS[:50]))


@pytest.mark.parametrize("p", [0.01, 0.4, 0.99])
def test_dropped_entries_can_be_left_out(p):
    dense = torch.randn(50, 40) * (torch.rand(50, 40) < 0.2)
    dense[::7] = 0
    mask = Mask(p, (5, 6), IDS[:50])
    sparse = drop_entries(CSR.from_scipy(sp.csr_array(dense.numpy())), mask)
    expected = apply_mask(dense, mask)
    assert torch.equal(sparse.to_dense(), expected)
    assert sparse.nnz == int((expected != 0).sum())


def test_off_returns_the_input_itself():
    x = torch.randn(4, 4)
    assert dropout(x, 0.5, Noise.off(), 0, IDS[:4]) is x
    assert dropout(x, 0.0, Noise(0, 0), 0, IDS[:4]) is x


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_whole_tensor_operations_drop_alike(dtype):
    x, mask = torch.randn(200, 33, dtype=dtype), Mask(0.3, (5, 6), IDS[:200])
    assert torch.equal(apply_mask_reference(x, mask), apply_mask(x, mask))


@pytest.mark.gpu
def test_kernels_are_compiled_where_there_is_cuda():
    """Everywhere else the tests below would compare whole-tensor operations with themselves."""
    assert nvrtc.available()


@pytest.mark.gpu
@pytest.mark.parametrize("channels", [1, 2, 7, 32, 33, 256])
@pytest.mark.parametrize("p", [0.01, 0.3, 0.99])
def test_cuda_equals_the_cpu_to_the_bit(p, channels):
    x, mask = torch.randn(300, channels), Mask(p, (5, 6), IDS[:300])
    on_gpu = replace(mask, ids=mask.ids.cuda())
    assert torch.equal(apply_mask(x.cuda(), on_gpu).cpu(), apply_mask(x, mask))
    assert torch.equal(apply_mask_reference(x.cuda(), on_gpu).cpu(), apply_mask(x, mask))


@pytest.mark.gpu
def test_cuda_rounds_bfloat16_once():
    x, mask = torch.randn(300, 40).bfloat16(), Mask(0.3, (5, 6), IDS[:300])
    x[7, 3], x[8, 4] = float("nan"), float("inf")
    found = apply_mask(x.cuda(), replace(mask, ids=mask.ids.cuda())).cpu()
    assert torch.equal(found.nan_to_num(7.0), apply_mask(x.float(), mask).bfloat16().nan_to_num(7.0))


@pytest.mark.gpu
def test_cuda_drops_stored_entries_alike():
    dense = torch.randn(50, 40) * (torch.rand(50, 40) < 0.2)
    sparse = CSR.from_scipy(sp.csr_array(dense.numpy()))
    found = dropout_csr(sparse.to("cuda"), 0.4, Noise(1, 2), 3, IDS[:50].cuda())
    assert torch.equal(found.value.cpu(), dropout_csr(sparse, 0.4, Noise(1, 2), 3, IDS[:50]).value)
