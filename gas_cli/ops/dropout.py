"""Dropout whose mask is a function of (seed, step, site, node id, channel) and is stored nowhere.

    word(v, c) = mix(s_v + c · t_v)  with  s_v = mix(v ^ k_0),  t_v = mix(s_v ^ k_1) | 1,  (k_0, k_1) from (seed, step, site)
    keep(v, c) = word(v, c) >= p · 2^32

`mix` is a 32-bit finaliser (`csr_kernels.mix`). The mask does not depend on the batch a node is in, on threads or on the device, so that
one part equals full batch with dropout on, and the backward pass recomputes it. The keep rate is exact to 2^-32 for every p.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gas_cli.ops.csr import CSR
from gas_cli.ops.csr_tensors import row_ids
from gas_cli.ops.kernels import csr_kernels, cuda_kernels, feature_kernels, nvrtc
from gas_cli.ops.threads import over_equal_rows, over_rows
from gas_cli.ops.twins import TWINS

_WORD = 0xFFFFFFFF


@dataclass(frozen=True)
class Noise:
    """The randomness of one training step; `active=False` (evaluation) turns every dropout off."""

    seed: int
    step: int
    active: bool = True

    @classmethod
    def off(cls) -> Noise:
        return cls(0, 0, active=False)

    def key(self, site: int) -> tuple[int, int]:
        """Two 32-bit words for one place in the network, by SplitMix64 over (seed, step, site)."""
        word = 0
        for part in (self.seed, self.step, site):
            word = _splitmix(word ^ (part & 0xFFFFFFFFFFFFFFFF))
        return word >> 32, word & _WORD


@dataclass(frozen=True)
class Mask:
    """One dropout of the rows of the nodes `ids` int64 [n]: probability p, the two words of `Noise.key`."""

    p: float
    key: tuple[int, int]
    ids: Tensor

    def words(self) -> tuple[Any, np.uint32, np.uint32, np.uint32]:
        """What compiled kernels draw it from: ids, key, threshold."""
        return self._words

    @cached_property
    def _words(self) -> tuple[Any, np.uint32, np.uint32, np.uint32]:
        return self.ids.contiguous().numpy(), np.uint32(self.key[0]), np.uint32(self.key[1]), _threshold(self.p)

    @property
    def cuda_words(self) -> cuda_kernels.Words:
        """Key and threshold for kernels on CUDA, which take the ids as a tensor."""
        return *self.key, int(_threshold(self.p))

    @property
    def scale(self) -> np.float32:
        """The factor 1/(1-p) of what is kept."""
        return np.float32(1 / (1 - self.p))


def make_mask(p: float, noise: Noise, site: int, ids: Tensor) -> Mask | None:
    """The mask of one place and step; None where nothing is dropped."""
    return Mask(p, noise.key(site), ids) if noise.active and p > 0 else None


def dropout(x: Tensor, p: float, noise: Noise, site: int, ids: Tensor) -> Tensor:
    """x [n, C] with each entry zeroed with probability p, else divided by 1-p; `ids` [n] are the rows' global node ids."""
    mask = make_mask(p, noise, site, ids)
    return x if mask is None else masked(x, mask)


def masked(x: Tensor, mask: Mask) -> Tensor:
    """x [n, C] with what the mask drops zeroed and the rest divided by 1-p."""
    return _Dropout.apply(x, mask) if x.numel() else x  # type: ignore[no-untyped-call]


def dropout_csr(x: CSR, p: float, noise: Noise, site: int, ids: Tensor) -> CSR:
    """The same on the stored entries of a sparse matrix, which takes no gradient; what is dropped stays, as zeros."""
    mask = make_mask(p, noise, site, ids)
    return x if mask is None else mask_entries(x, mask)


def mask_entries(x: CSR, mask: Mask) -> CSR:
    """x with what the mask drops zeroed and the rest divided by 1-p, in the same pattern."""
    if x.value.is_cuda and nvrtc.available():
        value = cuda_kernels.dropout_sparse(x, mask.ids, mask.cuda_words, float(mask.scale))
    elif x.value.is_cuda:
        rows = row_ids(x.rowptr, x.nnz)
        value = x.value * (_keep(words(mask.ids[rows], x.col, *mask.key), mask.p) * float(mask.scale))
    else:
        value = torch.empty_like(x.value)
        arguments = (*x.arrays, *mask.words(), mask.scale, value.numpy())
        over_rows(partial(csr_kernels.dropout_sparse, *arguments), x.arrays[0], 1)
    return x.with_values(value)


def drop_entries(x: CSR, mask: Mask) -> CSR:
    """The same with what is dropped left out, so that products have less to do; on CUDA, and for the slow twins, it stays as zeros."""
    if TWINS.slow or x.value.is_cuda:
        return mask_entries(x, mask)
    draw, rows = mask.words(), x.num_rows
    counts, rowptr = np.empty(rows, np.int64), np.zeros(rows + 1, np.int64)
    over_rows(partial(feature_kernels.count_kept, *x.arrays[:2], *draw, counts), x.arrays[0], 1)
    np.cumsum(counts, out=rowptr[1:])
    col, value = x.col.new_empty(int(rowptr[-1])), x.value.new_empty(int(rowptr[-1]))
    arguments = (*x.arrays, *draw, mask.scale, rowptr, col.numpy(), value.numpy())
    over_rows(partial(feature_kernels.keep_entries, *arguments), x.arrays[0], 1)
    return CSR(torch.from_numpy(rowptr), col, value, x.num_cols)


def keep_mask(p: float, noise: Noise, site: int, ids: Tensor, channels: int) -> Tensor:
    """The mask itself, bool [n, channels], by whole-tensor operations."""
    key0, key1 = noise.key(site)
    columns = torch.arange(channels, device=ids.device).expand(ids.numel(), channels)
    return _keep(words(ids.unsqueeze(1), columns, key0, key1), p)


def _splitmix(word: int) -> int:
    word = (word + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return word ^ (word >> 31)


def _threshold(p: float) -> np.uint32:
    return np.uint32(min(round(p * 2**32), _WORD))


def _mix(h: Tensor) -> Tensor:
    """`csr_kernels.mix` on int64 tensors that hold 32-bit words: products wrap, and their low 32 bits are right."""
    h = h ^ (h >> 16)
    h = (h * 0x7FEB352D) & _WORD
    h = h ^ (h >> 15)
    h = (h * 0x846CA68B) & _WORD
    return h ^ (h >> 16)


def words(ids: Tensor, columns: Tensor, key0: int, key1: int) -> Tensor:
    """word(v, c) of ids and columns that broadcast, int64 with values below 2^32."""
    start = _mix((ids.long() & _WORD) ^ key0)
    stride = _mix(start ^ key1) | 1
    return _mix((start + columns.long() * stride) & _WORD)


def _keep(words: Tensor, p: float) -> Tensor:
    return words >= int(_threshold(p))


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, mask: Mask) -> Tensor:
        ctx.mask = mask
        return apply_mask(x, mask)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return apply_mask(grads[0], ctx.mask), None


def apply_mask(x: Tensor, mask: Mask) -> Tensor:
    """x [n, C] with what the mask drops zeroed and the rest divided by 1-p, without autograd; a tensor of its own."""
    if x.is_cuda:
        if x.dtype in cuda_kernels.DROPOUT_DTYPES and nvrtc.available():
            return cuda_kernels.dropout(x, mask.ids, mask.cuda_words, float(mask.scale))
        return apply_mask_reference(x, mask)
    if x.dtype not in (torch.float32, torch.float64):  # numba knows no bfloat16
        return apply_mask(x.float(), mask).to(x.dtype)
    out = x.new_empty(x.shape)
    arguments = (array(x), *mask.words(), mask.scale, out.numpy())
    over_equal_rows(partial(csr_kernels.dropout_dense, *arguments), *x.shape)
    return out


def apply_mask_reference(x: Tensor, mask: Mask) -> Tensor:
    """The same by whole-tensor operations: the slow twin, and the path on CUDA where no kernel can be compiled."""
    columns = torch.arange(x.shape[1], device=x.device).expand(x.shape)
    return x * (_keep(words(mask.ids.unsqueeze(1), columns, *mask.key), mask.p) * float(mask.scale)).to(x.dtype)


def array(x: Tensor) -> NDArray[Any]:
    """The values of x, contiguous, as compiled kernels take them."""
    x = x.detach() if x.requires_grad else x
    return x.numpy() if x.is_contiguous() else x.contiguous().numpy()
