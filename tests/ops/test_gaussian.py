"""Keyed normal noise: normal, independent, and the same for a node wherever it is."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gas_cli.ops.dropout import Noise
from gas_cli.ops.gaussian import gaussian, gaussian_reference


@given(st.integers(0, 40), st.integers(1, 9), st.integers(0, 2**40), st.integers(0, 2**20))
def test_the_kernel_equals_the_slow_twin(n, channels, seed, site):
    ids = torch.randint(0, 2**31, (n,), generator=torch.Generator().manual_seed(seed % 1000))
    noise = Noise(seed, 3)
    torch.testing.assert_close(gaussian(noise, site, ids, channels), gaussian_reference(noise, site, ids, channels), rtol=1e-6, atol=1e-6)


def test_a_node_has_its_noise_in_any_order_and_company_but_not_at_another_step_or_site():
    ids = torch.arange(50)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(0))[:20]
    whole = gaussian(Noise(0, 1), 5, ids, 7)
    assert torch.equal(gaussian(Noise(0, 1), 5, ids[order], 7), whole[order])
    for other in (gaussian(Noise(0, 2), 5, ids, 7), gaussian(Noise(1, 1), 5, ids, 7), gaussian(Noise(0, 1), 6, ids, 7)):
        assert not (other == whole).any()


@pytest.mark.parametrize("threads", [1, 2])
def test_it_is_standard_normal_and_uncorrelated(threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        drawn = gaussian(Noise(0, 0), 0, torch.arange(40_000), 6).double().numpy()
    finally:
        torch.set_num_threads(before)
    assert np.isfinite(drawn).all()
    moments = [(drawn**k).mean() for k in (1, 2, 3, 4)]
    assert np.allclose(moments, [0, 1, 0, 3], atol=0.05)
    assert np.allclose(np.corrcoef(drawn.T), np.eye(6), atol=0.02)
    assert abs(np.corrcoef(drawn[:-1, 0], drawn[1:, 0])[0, 1]) < 0.02
    below = [(drawn < z).mean() for z in (-1.959964, -0.67449, 0.67449, 1.959964)]
    assert np.allclose(below, [0.025, 0.25, 0.75, 0.975], atol=0.005)
