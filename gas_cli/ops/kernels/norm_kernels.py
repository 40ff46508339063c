"""Batch normalisation with ReLU, compiled: two passes over the table forward and two backward.

Sums over rows are made per chunk of rows, whatever the threads, and combined by the caller. Tables are contiguous float32 [rows, width];
the width is a multiple of 16 (the caller pads what is not).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from gas_cli.ops.kernels.vectors import fused, keep, load, minus, plus, pointer, signs, store, zeros


@njit(nogil=True, cache=True)
def moments(x, chunk, sums, squares, first, stop):  # type: ignore[no-untyped-def]
    """For the chunks k in [first, stop): sums[k] of the rows, and squares[k] of their differences from the chunk's own mean."""
    rows, width = x.shape
    table, total, square = pointer(x), pointer(sums), pointer(squares)
    mean_of = np.empty(width, np.float32)
    mean = pointer(mean_of)
    sums[first:stop] = 0
    squares[first:stop] = 0
    for k in range(first, stop):
        begin, end, at = k * chunk, min((k + 1) * chunk, rows), k * width
        for i in range(begin, end):
            for c in range(0, width, 16):
                store(total, at + c, plus(load(total, at + c, zeros(16)), load(table, i * width + c, zeros(16))))
        for c in range(width):
            mean[c] = total[at + c] / np.float32(end - begin)
        for i in range(begin, end):
            for c in range(0, width, 16):
                difference = minus(load(table, i * width + c, zeros(16)), load(mean, c, zeros(16)))
                store(square, at + c, fused(difference, difference, load(square, at + c, zeros(16))))


@njit(nogil=True, cache=True)
def norm_relu(x, residual, scale, shift, out, bits, start, stop):  # type: ignore[no-untyped-def]
    """out = ReLU(scale · x + shift [+ residual]) in the rows [start, stop) and a bit for what is positive; a residual without rows is none.

    NaN stays NaN.
    """
    width, more = x.shape[1], residual.shape[0] > 0
    table, result, other, factor, level, words = pointer(x), pointer(out), pointer(residual), pointer(scale), pointer(shift), pointer(bits)
    for i in range(start, stop):
        for c in range(0, width, 16):
            at = i * width + c
            vector = fused(load(table, at, zeros(16)), load(factor, c, zeros(16)), load(level, c, zeros(16)))
            vector = plus(vector, load(other, at, zeros(16))) if more else vector
            word = signs(vector)
            words[at // 16] = word
            store(result, at, keep(word, vector))


@njit(nogil=True, cache=True)
def gradient_sums(grad, bits, x, mean, chunk, sums, products, first, stop):  # type: ignore[no-untyped-def]
    """For the chunks k in [first, stop): sums[k] = Σ g and products[k] = Σ g · (x - mean), with g the gradient before ReLU."""
    rows, width = x.shape
    table, source, words, middle = pointer(x), pointer(grad), pointer(bits), pointer(mean)
    total, product = pointer(sums), pointer(products)
    sums[first:stop] = 0
    products[first:stop] = 0
    for k in range(first, stop):
        for i in range(k * chunk, min((k + 1) * chunk, rows)):
            for c in range(0, width, 16):
                at, to = i * width + c, k * width + c
                vector = keep(words[at // 16], load(source, at, zeros(16)))
                difference = minus(load(table, at, zeros(16)), load(middle, c, zeros(16)))
                store(total, to, plus(load(total, to, zeros(16)), vector))
                store(product, to, fused(vector, difference, load(product, to, zeros(16))))


@njit(nogil=True, cache=True)
def norm_relu_backward(grad, bits, x, mean, along, across, level, out, residual, start, stop):  # type: ignore[no-untyped-def]
    """out = along · g + across · (x - mean) + level in the rows [start, stop), and residual = g unless that has no rows."""
    width, more = x.shape[1], residual.shape[0] > 0
    table, source, words, middle = pointer(x), pointer(grad), pointer(bits), pointer(mean)
    one, other, rest, result, copy = pointer(along), pointer(across), pointer(level), pointer(out), pointer(residual)
    for i in range(start, stop):
        for c in range(0, width, 16):
            at = i * width + c
            vector = keep(words[at // 16], load(source, at, zeros(16)))
            difference = minus(load(table, at, zeros(16)), load(middle, c, zeros(16)))
            summed = fused(load(other, c, zeros(16)), difference, load(rest, c, zeros(16)))
            store(result, at, fused(load(one, c, zeros(16)), vector, summed))
            if more:
                store(copy, at, vector)
