"""Operations on short pieces of rows (the heads of an edge, the channels of a head) inside compiled kernels, eight numbers at a time.

LLVM vectorises a loop after checking that its arrays do not overlap, which takes longer than eight numbers do; these need no check, since
they load before they store. Arrays are one-dimensional; indices and lengths are unsigned, so that numba does not look for negative ones.
All are inlined: a call would count references to its arrays.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from gas_cli.ops import lanes

LANES = np.uint64(8)
ZERO = np.uint64(0)
LINE = np.uint64(16)
"""float32 numbers in a cache line."""


@njit(nogil=True, forceinline=True)
def copy(out, at, x, i, n):  # type: ignore[no-untyped-def]
    """out[at : at + n] = x[i : i + n]."""
    whole = n - n % LANES
    for k in range(ZERO, whole, LANES):
        lanes.store(out, at + k, lanes.load(x, i + k, lanes.zeros(8)))
    for k in range(whole, n):
        out[at + k] = x[i + k]


@njit(nogil=True, forceinline=True)
def add(out, at, x, i, y, j, n):  # type: ignore[no-untyped-def]
    """out[at : at + n] = x[i : i + n] + y[j : j + n]."""
    whole = n - n % LANES
    for k in range(ZERO, whole, LANES):
        lanes.store(out, at + k, lanes.add(lanes.load(x, i + k, lanes.zeros(8)), lanes.load(y, j + k, lanes.zeros(8))))
    for k in range(whole, n):
        out[at + k] = x[i + k] + y[j + k]


@njit(nogil=True, forceinline=True)
def subtract(out, at, x, i, y, j, n):  # type: ignore[no-untyped-def]
    """out[at : at + n] = x[i : i + n] - y[j : j + n]."""
    whole = n - n % LANES
    for k in range(ZERO, whole, LANES):
        lanes.store(out, at + k, lanes.subtract(lanes.load(x, i + k, lanes.zeros(8)), lanes.load(y, j + k, lanes.zeros(8))))
    for k in range(whole, n):
        out[at + k] = x[i + k] - y[j + k]


@njit(nogil=True, forceinline=True)
def column_maxima(out, x, n, width):  # type: ignore[no-untyped-def]
    """out[k] = the maximum of column k of x [n, width], n > 0."""
    whole = width - width % LANES
    for k in range(ZERO, whole, LANES):
        largest = lanes.load(x, k, lanes.zeros(8))
        for j in range(n):
            largest = lanes.maximum(lanes.load(x, j * width + k, lanes.zeros(8)), largest)
        lanes.store(out, k, largest)
    for k in range(whole, width):
        peak = x[k]
        for j in range(n):
            peak = x[j * width + k] if x[j * width + k] > peak else peak
        out[k] = peak


@njit(nogil=True, forceinline=True)
def add_columns(out, at, x, n, width):  # type: ignore[no-untyped-def]
    """out[at + k] += the sum of column k of x [n, width]."""
    whole = width - width % LANES
    for k in range(ZERO, whole, LANES):
        total = lanes.load(out, at + k, lanes.zeros(8))
        for j in range(n):
            total = lanes.add(total, lanes.load(x, j * width + k, lanes.zeros(8)))
        lanes.store(out, at + k, total)
    for k in range(whole, width):
        column = out[at + k]
        for j in range(n):
            column += x[j * width + k]
        out[at + k] = column


@njit(nogil=True, forceinline=True, fastmath={"contract"})
def add_scaled(out, at, weight, x, i, n):  # type: ignore[no-untyped-def]
    """out[at : at + n] += weight · x[i : i + n]."""
    whole = n - n % LANES
    for k in range(ZERO, whole, LANES):
        row = lanes.load(out, at + k, lanes.zeros(8))
        lanes.store(out, at + k, lanes.multiply_add(weight, lanes.load(x, i + k, lanes.zeros(8)), row))
    for k in range(whole, n):
        out[at + k] += weight * x[i + k]


@njit(nogil=True, forceinline=True, fastmath={"contract"})
def dot(x, i, y, j, n):  # type: ignore[no-untyped-def]
    """Σ x[i : i + n] · y[j : j + n]."""
    whole = n - n % LANES
    total = x.dtype.type(0)
    for k in range(ZERO, whole, LANES):
        total += lanes.dot(lanes.load(x, i + k, lanes.zeros(8)), lanes.load(y, j + k, lanes.zeros(8)))
    for k in range(whole, n):
        total += x[i + k] * y[j + k]
    return total


@njit(nogil=True, forceinline=True)
def ramp(out, at, start, step, n):  # type: ignore[no-untyped-def]
    """out[at : at + n] = start, start + step, start + 2 · step, …: 32-bit words that wrap."""
    whole = n - n % LANES
    for k in range(ZERO, whole, LANES):
        lanes.store(out, at + k, lanes.ramp(np.uint32(start + np.uint32(np.uint32(k) * step)), step, lanes.zeros(8)))
    for k in range(whole, n):
        out[at + k] = np.uint32(start + np.uint32(np.uint32(k) * step))


@njit(nogil=True, forceinline=True)
def prefetch(x, i, n):  # type: ignore[no-untyped-def]
    """Have x[i : i + n] brought to the cache."""
    for k in range(ZERO, n, LINE):
        lanes.prefetch(x, i + k)
    if n > np.uint64(1):  # a row may begin within a line and end in the next
        lanes.prefetch(x, i + n - np.uint64(1))
