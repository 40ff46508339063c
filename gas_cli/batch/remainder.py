"""What the messages that a step draws leave of all of them, in O(messages of the targets + K log K).

As in `gas_cli.batch.split`, NumPy does the sorting, outside of the kernels.
"""

from __future__ import annotations

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from gas_cli.batch.split import Cut
from gas_cli.ops.csr import CSR


class Remainder:
    """P − P̂ for rows of one matrix P [N, N] on the host. Holds O(N) scratch: one thread at a time."""

    def __init__(self, matrix: CSR) -> None:
        self.matrix = matrix
        self._weight = np.zeros(matrix.num_cols, matrix.arrays[2].dtype)
        self._place = np.full(matrix.num_cols, -1, np.int32)

    def __call__(self, targets: NDArray[np.int64], cut: Cut) -> tuple[CSR, Tensor]:
        """The rows P − P̂ as CSR [B, K] of the `targets` [B], and the ascending positions int64 [K] of its columns; P̂ is the `cut`, whose
        entries are some of P's with any weights. Where both are equal there is no entry."""
        sources = np.concatenate([targets, cut.halo.numpy()])
        try:
            rowptr, source, value, found = _subtract(
                *self.matrix.arrays, targets, sources, *cut.inner.arrays, *cut.outer.arrays, self._weight, self._place
            )
            found = np.sort(found)
            col = _number(source, found, self._place)
        except BaseException:  # Ctrl-C between the kernels must not leave marks
            self._weight.fill(0)
            self._place.fill(-1)
            raise
        rest = CSR(torch.from_numpy(rowptr), torch.from_numpy(col), torch.from_numpy(value), found.size)
        return rest, torch.from_numpy(found)


@njit(nogil=True, cache=True)
def _subtract(  # type: ignore[no-untyped-def]
    rowptr, col, value, targets, sources, inner_ptr, inner_col, inner_value, outer_ptr, outer_col, outer_value, weight, place
):
    """Row pointers, columns and values of what is left, and the columns as they come, which then have -2 in `place`.

    `weight` is all zeros, on entry as on return.
    """
    num_targets = targets.shape[0]
    most = 0
    for r in range(num_targets):
        most += rowptr[targets[r] + 1] - rowptr[targets[r]]
    ptr = np.zeros(num_targets + 1, np.int64)
    source = np.empty(most, np.int64)
    rest = np.empty(most, value.dtype)
    found = np.empty(most, np.int64)
    at, num_found = 0, 0
    for r in range(num_targets):
        for t in range(inner_ptr[r], inner_ptr[r + 1]):
            weight[sources[inner_col[t]]] = inner_value[t]
        for t in range(outer_ptr[r], outer_ptr[r + 1]):
            weight[sources[num_targets + outer_col[t]]] = outer_value[t]
        for e in range(rowptr[targets[r]], rowptr[targets[r] + 1]):
            w = col[e]
            left = value[e] - weight[w]
            weight[w] = 0
            if left != 0:
                source[at], rest[at] = w, left
                at += 1
                if place[w] == -1:
                    place[w] = -2
                    found[num_found] = w
                    num_found += 1
        ptr[r + 1] = at
    return ptr, source[:at].copy(), rest[:at].copy(), found[:num_found].copy()


@njit(nogil=True, cache=True)
def _number(source, found, place):  # type: ignore[no-untyped-def]
    """The places of the columns `source` among `found`; `place` is all -1 on return."""
    for k in range(found.shape[0]):
        place[found[k]] = k
    col = np.empty(source.shape[0], np.int32)
    for t in range(source.shape[0]):
        col[t] = place[source[t]]
    for w in found:
        place[w] = -1
    return col
