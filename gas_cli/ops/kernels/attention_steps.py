"""Steps of the compiled loops of graph attention: what happens to the edges of one target, or to a tile of the edges of one source.

K heads of C channels; an edge's numbers lie side by side, [edges · K]. All are inlined, as in `short_rows.py`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload

from gas_cli.ops.kernels.csr_kernels import mix, row_key
from gas_cli.ops.kernels.short_rows import LANES, ZERO, add, add_columns, add_scaled, column_maxima, copy, dot, prefetch, ramp, subtract
from gas_cli.ops.kernels.vectors import load, multiply_add, store, zeros

TARGET_KEY, SOURCE_KEY = 0x9E3779B1, 0x85EBCA77
"""Multipliers of the ids of an edge's ends in its key (`Block.edge_ids`)."""
AHEAD = np.uint64(8)
"""Rows are asked for this many edges before their turn, or every edge would wait for memory."""


def constant(number: Any) -> Any:
    """A number that is given as an int, or as the length of a tuple: then the compiler knows it and unrolls the loops over it."""
    return len(number) if isinstance(number, tuple) else number


@overload(constant)
def _constant(number):  # type: ignore[no-untyped-def]  # numba compares the signature with the lambdas'
    if isinstance(number, types.BaseTuple):
        return lambda number: np.uint64(len(number))
    return lambda number: np.uint64(number)  # noqa: PLW0108


def exponential(x: Any) -> Any:
    """e^x for x ≤ 0."""
    return math.exp(x)


@overload(exponential, inline="always")
def _exponential(x):  # type: ignore[no-untyped-def]
    """In float32 by Cephes' polynomial (relative error 1e-7), which vectorises; the C library's function does not."""
    if x != types.float32:
        return lambda x: math.exp(x)  # noqa: PLW0108

    def polynomial(x):  # type: ignore[no-untyped-def]
        x = np.float32(-87) if x < np.float32(-87) else x  # e^-87 is about the smallest normal number
        n = np.floor(x * np.float32(1.44269504) + np.float32(0.5))
        r = (x - n * np.float32(0.693359375)) + n * np.float32(2.12194440e-4)
        p = np.float32(1.9875691500e-4) * r + np.float32(1.3981999507e-3)
        p = p * r + np.float32(8.3334519073e-3)
        p = p * r + np.float32(4.1665795894e-2)
        p = p * r + np.float32(1.6666665459e-1)
        p = p * r + np.float32(5.0000001201e-1)
        power = np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)
        return (p * r * r + r + np.float32(1)) * power

    return polynomial


@njit(nogil=True, forceinline=True)
def longest_row(ip, op, start, stop):  # type: ignore[no-untyped-def]
    longest = 0
    for v in range(start, stop):
        longest = max(longest, ip[v + 1] - ip[v] + op[v + 1] - op[v])
    return np.uint64(longest)


@njit(nogil=True, forceinline=True)
def fill(x, at, n):  # type: ignore[no-untyped-def]
    for c in range(at, at + n):
        x[c] = 0


@njit(nogil=True, forceinline=True, error_model="numpy")
def divide(x, total, scale, v, K, C):  # type: ignore[no-untyped-def]
    """Row v times scale / total of each head."""
    for k in range(K):
        factor = scale / total[k]
        for c in range((v * K + k) * C, (v * K + k + np.uint64(1)) * C):
            x[c] *= factor


@njit(nogil=True, forceinline=True, error_model="numpy")
def note(share, lse, above, n, peak, total, v, K):  # type: ignore[no-untyped-def]
    """The sum of α of the edges with z > 0, and log Σ exp(e), of target v."""
    add_columns(share, v * K, above, n, K)
    for k in range(K):
        share[v * K + k] /= total[k]
        lse[v * K + k] = peak[k] + math.log(total[k])


@njit(nogil=True, forceinline=True)
def sum_scores(z, col, first, begin, end, rows, by_source, by_target, v, K, C):  # type: ignore[no-untyped-def]
    """z of the edges [begin, end) of target v, whose entries start at `first`; asks for the rows that are read later."""
    last = np.uint64(col.shape[0])
    for j in range(begin, end):
        e = first + j - begin
        if e + AHEAD < last:
            w = np.uint64(col[e + AHEAD])
            prefetch(by_source, w * K, K)
            prefetch(rows, w * K * C, K * C)
        add(z, j * K, by_source, np.uint64(col[e]) * K, by_target, v * K, K)


@njit(nogil=True, forceinline=True, fastmath={"contract"})
def softmax(z, n, slope, weights, peak, total, K):  # type: ignore[no-untyped-def]
    """weights = exp(LeakyReLU(z) - peak) of n edges; `peak` and `total` are each head's maximum and sum of weights. z keeps its sign."""
    for m in range(n * K):
        z[m] = z[m] if z[m] > 0 else z[m] * slope
    column_maxima(peak, z, n, K)
    for j in range(n):
        subtract(weights, j * K, z, j * K, peak, ZERO, K)
    for m in range(n * K):
        weights[m] = exponential(weights[m])
    fill(total, ZERO, K)
    add_columns(total, ZERO, weights, n, K)


@njit(nogil=True, forceinline=True)
def select(above, weights, z, n):  # type: ignore[no-untyped-def]
    """The weights where z > 0."""
    for m in range(n):
        above[m] = weights[m] if z[m] > 0 else weights.dtype.type(0)


@njit(nogil=True, forceinline=True)
def draw_edge(words, at, target_id, source_id, key0, key1, K):  # type: ignore[no-untyped-def]
    """The words of one edge's heads, but for their last `mix`, as `dropout.words` draws them for `Block.edge_ids`."""
    edge = np.uint32(np.uint32(target_id) * np.uint32(TARGET_KEY) + np.uint32(source_id) * np.uint32(SOURCE_KEY))
    start, stride = row_key(edge, key0, key1)
    ramp(words, at, start, stride, K)


@njit(nogil=True, forceinline=True)
def draw(words, col, first, begin, end, target_id, ids, key0, key1, K):  # type: ignore[no-untyped-def]
    for j in range(begin, end):
        draw_edge(words, j * K, target_id, ids[np.uint64(col[first + j - begin])], key0, key1, K)


@njit(nogil=True, forceinline=True)
def drop(weights, words, n, threshold):  # type: ignore[no-untyped-def]
    for m in range(n):
        weights[m] = weights[m] if mix(words[m]) >= threshold else weights.dtype.type(0)


@njit(nogil=True, forceinline=True, fastmath={"contract"})
def add_rows(out, v, weights, begin, end, rows, col, first, K, C):  # type: ignore[no-untyped-def]
    """out[v] += Σ weight · row of the other end, over the edges [begin, end), the first of which is entry `first`; head by head."""
    whole = C - C % LANES
    for k in range(K):
        for c in range(ZERO, whole, LANES):
            total = load(out, (v * K + k) * C + c, zeros(8))  # stays in a register
            for j in range(begin, end):
                row = load(rows, (np.uint64(col[first + j - begin]) * K + k) * C + c, zeros(8))
                total = multiply_add(weights[j * K + k], row, total)
            store(out, (v * K + k) * C + c, total)
        for j in range(begin, end):
            w = np.uint64(col[first + j - begin])
            for c in range(whole, C):
                out[(v * K + k) * C + c] += weights[j * K + k] * rows[(w * K + k) * C + c]


@njit(nogil=True, forceinline=True, error_model="numpy", fastmath={"contract"})
def edge_gradients(z, lse, mean, slopes, words, n, threshold, scale, slope):  # type: ignore[no-untyped-def]
    """Of n edges and heads: z becomes α after dropout; `slopes`, the gradient of that α, becomes that of z."""
    for m in range(n):
        above = z[m] > 0
        alpha = exponential((z[m] if above else z[m] * slope) - lse[m])
        kept = scale if threshold == 0 or mix(words[m]) >= threshold else z.dtype.type(0)
        gradient = alpha * (slopes[m] * kept - mean[m])
        slopes[m] = gradient if above else gradient * slope
        z[m] = alpha * kept


@njit(nogil=True, forceinline=True)
def gather_tile(z, lse, mean, slopes, tc, first, n, rows, by_source, table, grad, w, K, C):  # type: ignore[no-untyped-def]
    """What n edges of source w know of their targets: z, lse, <g, out>, and the gradient <g, W h> of α after dropout."""
    T, last = K + K + K, np.uint64(tc.shape[0])
    for j in range(n):
        if first + j + AHEAD < last:
            v = np.uint64(tc[first + j + AHEAD])
            prefetch(grad, v * K * C, K * C)
            prefetch(table, v * T, T)
        v = np.uint64(tc[first + j])
        add(z, j * K, by_source, w * K, table, v * T, K)
        copy(lse, j * K, table, v * T + K, K)
        copy(mean, j * K, table, v * T + K + K, K)
        for k in range(K):
            slopes[j * K + k] = dot(grad, (v * K + k) * C, rows, (w * K + k) * C, C)


@njit(nogil=True, forceinline=True)
def gather_term(z, term, entry, first, first_entry, n, K):  # type: ignore[no-untyped-def]
    for j in range(n):
        add(z, j * K, z, j * K, term, (first_entry + np.uint64(entry[first + j])) * K, K)


@njit(nogil=True, forceinline=True)
def scatter_term(to_term, slopes, entry, first, first_entry, n, K):  # type: ignore[no-untyped-def]
    for j in range(n):
        copy(to_term, (first_entry + np.uint64(entry[first + j])) * K, slopes, j * K, K)


@njit(nogil=True, forceinline=True)
def draw_tile(words, tc, first, n, target_ids, source_id, key0, key1, K):  # type: ignore[no-untyped-def]
    for j in range(n):
        draw_edge(words, j * K, target_ids[np.uint64(tc[first + j])], source_id, key0, key1, K)


@njit(nogil=True, forceinline=True, fastmath={"contract"})
def add_by_scores(to_rows, to_scores, attention, v, K, C):  # type: ignore[no-untyped-def]
    """What row v gets through its scores, <attention, row> of each head."""
    for k in range(K):
        add_scaled(to_rows, (v * K + k) * C, to_scores[v * K + k], attention, k * C, C)
