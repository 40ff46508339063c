"""Operations on short pieces of rows (the heads of an edge, the channels of a head) inside compiled kernels, eight numbers at a time.

LLVM vectorises a loop after checking that its arrays do not overlap, which takes longer than eight numbers do; these need no check, since
they load before they store. Arrays are one-dimensional; indices and lengths are unsigned, so that numba does not look for negative ones.
All are inlined: a call would count references to its arrays.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from gas_cli.ops.kernels import vectors

LANES = np.uint64(8)
ZERO = np.uint64(0)
LINE = np.uint64(16)
"""float32 numbers in a cache line."""


@njit(nogil=True, forceinline=True)
def copy(out, at, x, i, n):  # type: ignore[no-untyped-def]
    """out[at : at + n] = x[i : i + n]."""
    whole = n - n % LANES
    for k in range(ZERO, whole, LANES):
        vectors.store(out, at + k, vectors.load(x, i + k, vectors.zeros(8)))
    for k in range(whole, n):
        out[at + k] = x[i + k]


@njit(nogil=True, forceinline=True)
def add(out, at, x, i, y, j, n):  # type: ignore[no-untyped-def]
    """out[at : at + n] = x[i : i + n] + y[j : j + n]."""
    whole = n - n % LANES
    for k in range(ZERO, whole, LANES):
        vectors.store(out, at + k, vectors.add(vectors.load(x, i + k, vectors.zeros(8)), vectors.load(y, j + k, vectors.zeros(8))))
    for k in range(whole, n):
        out[at + k] = x[i + k] + y[j + k]


@njit(nogil=True, forceinline=True)
def subtract(out, at, x, i, y, j, n):  # type: ignore[no-untyped-def]
    """out[at : at + n] = x[i : i + n] - y[j : j + n]."""
    whole = n - n % LANES
    for k in range(ZERO, whole, LANES):
        vectors.store(out, at + k, vectors.subtract(vectors.load(x, i + k, vectors.zeros(8)), vectors.load(y, j + k, vectors.zeros(8))))
    for k in range(whole, n):
        out[at + k] = x[i + k] - y[j + k]


@njit(nogil=True, forceinline=True)
def column_maxima(out, x, n, width):  # type: ignore[no-untyped-def]
    """out[k] = the maximum of column k of x [n, width], n > 0."""
    whole = width - width % LANES
    for k in range(ZERO, whole, LANES):
        largest = vectors.load(x, k, vectors.zeros(8))
        for j in range(n):
            largest = vectors.maximum(vectors.load(x, j * width + k, vectors.zeros(8)), largest)
        vectors.store(out, k, largest)
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
        total = vectors.load(out, at + k, vectors.zeros(8))
        for j in range(n):
            total = vectors.add(total, vectors.load(x, j * width + k, vectors.zeros(8)))
        vectors.store(out, at + k, total)
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
        row = vectors.load(out, at + k, vectors.zeros(8))
        vectors.store(out, at + k, vectors.multiply_add(weight, vectors.load(x, i + k, vectors.zeros(8)), row))
    for k in range(whole, n):
        out[at + k] += weight * x[i + k]


@njit(nogil=True, forceinline=True, fastmath={"contract"})
def dot(x, i, y, j, n):  # type: ignore[no-untyped-def]
    """Σ x[i : i + n] · y[j : j + n]."""
    whole = n - n % LANES
    total = x.dtype.type(0)
    for k in range(ZERO, whole, LANES):
        total += vectors.dot(vectors.load(x, i + k, vectors.zeros(8)), vectors.load(y, j + k, vectors.zeros(8)))
    for k in range(whole, n):
        total += x[i + k] * y[j + k]
    return total


@njit(nogil=True, forceinline=True)
def ramp(out, at, start, step, n):  # type: ignore[no-untyped-def]
    """out[at : at + n] = start, start + step, start + 2 · step, …: 32-bit words that wrap."""
    whole = n - n % LANES
    for k in range(ZERO, whole, LANES):
        vectors.store(out, at + k, vectors.ramp(np.uint32(start + np.uint32(np.uint32(k) * step)), step, vectors.zeros(8)))
    for k in range(whole, n):
        out[at + k] = np.uint32(start + np.uint32(np.uint32(k) * step))


@njit(nogil=True, forceinline=True)
def prefetch(x, i, n):  # type: ignore[no-untyped-def]
    """Have x[i : i + n] brought to the cache."""
    for k in range(ZERO, n, LINE):
        vectors.prefetch(x, i + k)
    if n > np.uint64(1):  # a row may begin within a line and end in the next
        vectors.prefetch(x, i + n - np.uint64(1))
