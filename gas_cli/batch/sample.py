"""Draws neighbours of the targets of a layer and cuts their messages out of a matrix, in O(messages + H log H).

As in `gas_cli.batch.split`, NumPy does the sorting of the halo, outside of the kernels.
"""

from __future__ import annotations

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray

from gas_cli.batch.split import Cut, Entries
from gas_cli.ops.csr import CSR
from gas_cli.ops.kernels.csr_kernels import row_key, word

ALL = -1
"""Neighbours per node: all that it has."""


class Sampler:
    """Draws from the rows of one matrix [N, N] on the host; columns ascend in each row. Holds O(N) scratch: one thread at a time.

    Of a target's neighbours without itself, all of n or `fan_out` different ones stay, each set of them with the same probability; its
    self-loop stays always. The weights of those that stay are multiplied by n / fan_out, so that the expected sum is that over all. With
    `means` they are multiplied by the ratio of the sums of weights instead, so that a mean stays one.
    """

    def __init__(self, matrix: CSR, means: bool) -> None:
        self.matrix, self.means = matrix, means
        self._attr_row = np.empty(0, np.int64) if matrix.attr_row is None else matrix.attr_row.numpy()
        self._number = np.full(matrix.num_cols, -1, np.int32)
        self._taken = np.zeros(int(matrix.rowptr.diff().max()) if matrix.num_rows else 0, np.bool_)

    def layers(self, seeds: NDArray[np.int64], fan_outs: list[int], keys: list[tuple[int, int]]) -> list[tuple[NDArray[np.int64], Cut]]:
        """(targets, their messages) of each layer, the last layer first, whose targets are the `seeds`, all different.

        The targets of the next one are these and then their halo, ascending. The two 32-bit words of a layer's key decide what is drawn.
        """
        layers, targets = [], seeds
        try:
            self._number[seeds] = np.arange(seeds.size, dtype=np.int32)
            for fan_out, key in zip(fan_outs, keys, strict=True):
                layers.append((targets, self._cut(targets, fan_out, key)))
                targets = np.concatenate([targets, layers[-1][1].halo.numpy()])
            self._number[targets] = -1
        except BaseException:  # Ctrl-C between the kernels must not leave marks
            self._number.fill(-1)
            self._taken.fill(False)
            raise
        return layers

    def _cut(self, targets: NDArray[np.int64], fan_out: int, key: tuple[int, int]) -> Cut:
        rowptr, col, value = self.matrix.arrays
        key0, key1 = np.uint32(key[0]), np.uint32(key[1])
        ptr, loops, entry, halo = _draw(rowptr, col, targets, fan_out, key0, key1, self._taken, self._number)
        halo = np.sort(halo)
        inner_ptr, outer_ptr, number = _order(col, ptr, entry, targets.size, halo, self._number)
        inner, outer = (
            Entries(p, np.empty(p[-1], np.int32), np.empty(p[-1], value.dtype), np.empty(p[-1] if self._attr_row.size else 0, np.int64))
            for p in (inner_ptr, outer_ptr)
        )
        _fill(rowptr, value, self._attr_row, targets, ptr, loops, entry, number, self.means, *inner, *outer)
        attr_row = None if self.matrix.attr_row is None else torch.from_numpy(np.concatenate([inner.attr_row, outer.attr_row]))
        return Cut(_csr(inner, targets.size), _csr(outer, halo.size), torch.from_numpy(halo), attr_row)


def _csr(entries: Entries, num_cols: int) -> CSR:
    rowptr, col, value = (torch.from_numpy(array) for array in entries[:3])
    return CSR(rowptr, col, value, num_cols)


@njit(nogil=True, cache=True)
def _draw(rowptr, col, targets, fan_out, key0, key1, taken, number):  # type: ignore[no-untyped-def]
    """Row pointers of what stays of each target's row, the entry of its self-loop or -1, the entries that stay (the loop first), and the
    nodes without a `number` among their columns as they come, which then have -2 there. `taken` is all false, on entry as on return.

    The different ones of n are drawn by Floyd's algorithm: for k = n-fan_out..n-1 one of 0..k, or k itself where that one is taken.
    """
    ptr = np.zeros(targets.shape[0] + 1, np.int64)
    loops = np.empty(targets.shape[0], np.int64)
    for r in range(targets.shape[0]):
        v = targets[r]
        low, high = rowptr[v], rowptr[v + 1]
        while low < high:
            middle = (low + high) // 2
            if col[middle] < v:
                low = middle + 1
            else:
                high = middle
        looped = low < rowptr[v + 1] and col[low] == v
        loops[r] = low if looped else -1
        others = rowptr[v + 1] - rowptr[v] - looped
        ptr[r + 1] = ptr[r] + looped + (others if fan_out < 0 else min(others, fan_out))
    entry = np.empty(ptr[-1], np.int64)
    halo = np.empty(ptr[-1], np.int64)
    num_halo = 0
    for r in range(targets.shape[0]):
        v, at = targets[r], ptr[r]
        if loops[r] >= 0:
            entry[at] = loops[r]
            at += 1
        first, stay = at, ptr[r + 1] - at
        others = rowptr[v + 1] - rowptr[v] - (loops[r] >= 0)
        start, stride = row_key(v, key0, key1)
        for i in range(stay):
            k = others - stay + i
            if stay < others:
                drawn = np.int64((np.uint64(word(start, stride, i)) * np.uint64(k + 1)) >> np.uint64(32))
                k = k if taken[drawn] else drawn
                taken[k] = True
            entry[at] = k
            at += 1
        for at in range(first, ptr[r + 1]):
            k = entry[at]
            taken[k] = False
            e = rowptr[v] + k
            entry[at] = e + 1 if 0 <= loops[r] <= e else e
            w = col[entry[at]]
            if number[w] == -1:
                number[w] = -2
                halo[num_halo] = w
                num_halo += 1
    return ptr, loops, entry, halo[:num_halo].copy()


@njit(nogil=True, cache=True)
def _order(col, ptr, entry, num_targets, halo, number):  # type: ignore[no-untyped-def]
    """Number the halo behind the targets, and sort the entries of each row by the numbers of their columns: row pointers of those among
    the targets and of the rest, and the numbers by entry."""
    for k in range(halo.shape[0]):
        number[halo[k]] = num_targets + k
    numbers = np.empty(entry.shape[0], np.int64)
    for t in range(entry.shape[0]):
        numbers[t] = number[col[entry[t]]]
    inner_ptr = np.zeros(num_targets + 1, np.int64)
    outer_ptr = np.zeros(num_targets + 1, np.int64)
    for r in range(num_targets):
        start, stop = ptr[r], ptr[r + 1]
        gap = 1
        while gap < (stop - start) // 3:
            gap = 3 * gap + 1
        while gap > 0:  # Shell's sort: rows are short, or nearly in order
            for t in range(start + gap, stop):
                key, which, at = numbers[t], entry[t], t
                while at >= start + gap and numbers[at - gap] > key:
                    numbers[at], entry[at] = numbers[at - gap], entry[at - gap]
                    at -= gap
                numbers[at], entry[at] = key, which
            gap //= 3
        inside = 0
        while start + inside < stop and numbers[start + inside] < num_targets:
            inside += 1
        inner_ptr[r + 1] = inner_ptr[r] + inside
        outer_ptr[r + 1] = outer_ptr[r] + stop - start - inside
    return inner_ptr, outer_ptr, numbers


@njit(nogil=True, cache=True)
def _fill(  # type: ignore[no-untyped-def]
    rowptr, value, attr_row, targets, ptr, loops, entry, numbers, means,
    inner_ptr, inner_col, inner_value, inner_attr, outer_ptr, outer_col, outer_value, outer_attr,
):  # fmt: skip
    """Both matrices from the sorted entries, weights multiplied."""
    num_targets = targets.shape[0]
    for r in range(num_targets):
        v = targets[r]
        looped = 1 if loops[r] >= 0 else 0
        others, stay = rowptr[v + 1] - rowptr[v] - looped, ptr[r + 1] - ptr[r] - looped
        factor = 1.0
        if stay < others:
            factor = others / stay
            if means:
                whole, drawn = 0.0, 0.0
                for e in range(rowptr[v], rowptr[v + 1]):
                    whole += 0.0 if e == loops[r] else value[e]
                for t in range(ptr[r], ptr[r + 1]):
                    drawn += 0.0 if entry[t] == loops[r] else value[entry[t]]
                factor = whole / drawn if drawn > 0 else 0.0
        i, o = inner_ptr[r], outer_ptr[r]
        for t in range(ptr[r], ptr[r + 1]):
            e = entry[t]
            weight = value[e] if e == loops[r] else value[e] * factor
            if numbers[t] < num_targets:
                inner_col[i], inner_value[i] = numbers[t], weight
                if attr_row.shape[0] > 0:
                    inner_attr[i] = attr_row[e]
                i += 1
            else:
                outer_col[o], outer_value[o] = numbers[t] - num_targets, weight
                if attr_row.shape[0] > 0:
                    outer_attr[o] = attr_row[e]
                o += 1
