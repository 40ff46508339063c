"""Normal noise that is a function of (seed, step, site, node id, channel), the counterpart of `dropout`'s masks.

Channels 2k and 2k+1 of node v share two words of `dropout`'s generator, which Box and Muller's transform turns into two normal numbers:

    u = (word(v, 2k) + 1) / 2^32,  t = 2π word(v, 2k+1) / 2^32,    √(-2 ln u) · (cos t, sin t)

So a node gets the same noise in every partition, on every device and after a resume, and there is no generator's state to save.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import torch
from numba import njit
from torch import Tensor

from gas_cli.ops.dropout import Noise, words
from gas_cli.ops.kernels.csr_kernels import row_key, word
from gas_cli.ops.threads import over_equal_rows
from gas_cli.ops.twins import TWINS

_SCALE = 2.0**-32


def gaussian(noise: Noise, site: int, ids: Tensor, channels: int) -> Tensor:
    """Independent N(0, 1) numbers, float32 [n, channels], for the nodes `ids` [n]."""
    if TWINS.slow or ids.is_cuda:
        return gaussian_reference(noise, site, ids, channels)
    out = torch.empty(ids.numel(), channels)
    key0, key1 = noise.key(site)
    fill = partial(_fill, ids.contiguous().numpy(), np.uint32(key0), np.uint32(key1), out.numpy())
    over_equal_rows(fill, ids.numel(), channels)
    return out


def gaussian_reference(noise: Noise, site: int, ids: Tensor, channels: int) -> Tensor:
    """The same by whole-tensor operations: the slow twin, and the path on CUDA."""
    even = torch.arange(0, channels, 2, device=ids.device).expand(ids.numel(), -1)
    keys = noise.key(site)
    u, t = (words(ids.unsqueeze(1), columns, *keys).double() for columns in (even, even + 1))
    radius, angle = (-2 * ((u + 1) * _SCALE).log()).sqrt(), 2 * math.pi * _SCALE * t
    pairs = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=2)
    return pairs.flatten(1)[:, :channels].float()


@njit(nogil=True, cache=True)
def _fill(ids, key0, key1, out, first, stop):  # type: ignore[no-untyped-def]
    for i in range(first, stop):
        start, stride = row_key(ids[i], key0, key1)
        for c in range(0, out.shape[1], 2):
            u, t = word(start, stride, c), word(start, stride, c + 1)
            radius = math.sqrt(-2.0 * math.log((float(u) + 1.0) * _SCALE))
            angle = 2.0 * math.pi * _SCALE * float(t)
            out[i, c] = radius * math.cos(angle)
            if c + 1 < out.shape[1]:
                out[i, c + 1] = radius * math.sin(angle)
