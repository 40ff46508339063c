"""Compiled weighted sums of float32 rows, with the sums in registers (`lanes`).

    out[i] = scale · (Σ_e value[e] · x[col[e]]  +  the same over a second matrix)  +  weight · anchor[i]

A row of up to 64 channels is summed in one pass over its entries: in 16s, or in two vectors that may overlap where there are fewer
channels. Tables are contiguous; a second matrix or an anchor without rows is none.

LLVM has to inline every function of a row, or the vectors leave their registers, which is three times slower.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from gas_cli.ops.kernels.csr_kernels import row_key, word
from gas_cli.ops.kernels.vectors import load, multiply_add, pointer, store, zeros


@njit(nogil=True, cache=True)
def aggregate(ap, ac, av, ax, bp, bc, bv, bx, channels, scale, anchor, weight, out, start, stop):  # type: ignore[no-untyped-def]
    """The sums of the rows [start, stop) over two matrices, each given as rowptr, col, value and the table x that it multiplies."""
    both, anchored = bp.shape[0] > 0, anchor.shape[0] > 0
    ac, av, ax, bc, bv, bx = pointer(ac), pointer(av), pointer(ax), pointer(bc), pointer(bv), pointer(bx)
    base, result = pointer(anchor), pointer(out)
    for i in range(start, stop):
        first, last = (bp[i], bp[i + 1]) if both else (0, 0)
        at = i * channels
        _row(ap[i], ap[i + 1], ac, av, ax, first, last, bc, bv, bx, channels, scale, base, anchored, weight, result, at)


@njit(nogil=True, cache=True)
def aggregate_dropped(  # type: ignore[no-untyped-def]
    ap, ac, av, ax, bp, bc, bv, bx, channels, scale, ids, key0, key1, threshold, out, start, stop
):
    """The same, then zeros where `kernels.dropout_dense` has them for the nodes `ids`; its factor for the others belongs into `scale`."""
    both = bp.shape[0] > 0
    ac, av, ax, bc, bv, bx = pointer(ac), pointer(av), pointer(ax), pointer(bc), pointer(bv), pointer(bx)
    result = pointer(out)
    for i in range(start, stop):
        first, last = (bp[i], bp[i + 1]) if both else (0, 0)
        at = i * channels
        _row(ap[i], ap[i + 1], ac, av, ax, first, last, bc, bv, bx, channels, scale, result, False, scale, result, at)
        begin, stride = row_key(ids[i], key0, key1)
        for c in range(channels):
            result[at + c] = result[at + c] if word(begin, stride, c) >= threshold else np.float32(0)


@njit(nogil=True, forceinline=True)
def _row(a, a_stop, ac, av, ax, b, b_stop, bc, bv, bx, channels, scale, base, anchored, weight, out, at):  # type: ignore[no-untyped-def]
    """out[at : at + channels] from the entries [a, a_stop) of one matrix and [b, b_stop) of the other."""
    if channels > 32:
        last = channels - 16
        for c in range(0, channels, 64):
            p, q, r, s = min(c, last), min(c + 16, last), min(c + 32, last), min(c + 48, last)
            _four(zeros(16), a, a_stop, ac, av, ax, b, b_stop, bc, bv, bx, channels, p, q, r, s, scale, base, anchored, weight, out, at)
    elif channels >= 16:
        _two(zeros(16), a, a_stop, ac, av, ax, b, b_stop, bc, bv, bx, channels, channels - 16, scale, base, anchored, weight, out, at)
    elif channels >= 8:
        _two(zeros(8), a, a_stop, ac, av, ax, b, b_stop, bc, bv, bx, channels, channels - 8, scale, base, anchored, weight, out, at)
    elif channels >= 4:
        _two(zeros(4), a, a_stop, ac, av, ax, b, b_stop, bc, bv, bx, channels, channels - 4, scale, base, anchored, weight, out, at)
    elif channels >= 2:
        _two(zeros(2), a, a_stop, ac, av, ax, b, b_stop, bc, bv, bx, channels, channels - 2, scale, base, anchored, weight, out, at)
    else:
        _two(zeros(1), a, a_stop, ac, av, ax, b, b_stop, bc, bv, bx, channels, 0, scale, base, anchored, weight, out, at)


@njit(nogil=True, forceinline=True)
def _two(zero, a, a_stop, ac, av, ax, b, b_stop, bc, bv, bx, channels, second, scale, base, anchored, weight, out, at):  # type: ignore[no-untyped-def]
    """One row in two vectors that begin at channels 0 and `second`."""
    s, t = _add_two(zero, zero, a, a_stop, ac, av, ax, channels, second)
    s, t = _add_two(s, t, b, b_stop, bc, bv, bx, channels, second)
    store(out, at, _finish(s, scale, base, anchored, weight, at, zero))
    store(out, at + second, _finish(t, scale, base, anchored, weight, at + second, zero))


@njit(nogil=True, forceinline=True)
def _add_two(s, t, start, stop, col, value, x, channels, second):  # type: ignore[no-untyped-def]
    for e in range(start, stop):
        factor, source = value[e], np.int64(col[e]) * channels
        s = multiply_add(factor, load(x, source, s), s)
        t = multiply_add(factor, load(x, source + second, t), t)
    return s, t


@njit(nogil=True, forceinline=True)
def _four(zero, a, a_stop, ac, av, ax, b, b_stop, bc, bv, bx, channels, c, d, e, f, scale, base, anchored, weight, out, at):  # type: ignore[no-untyped-def]
    """64 channels of one row in four vectors that begin at channels c, d, e and f."""
    s, t, u, v = _add_four(zero, zero, zero, zero, a, a_stop, ac, av, ax, channels, c, d, e, f)
    s, t, u, v = _add_four(s, t, u, v, b, b_stop, bc, bv, bx, channels, c, d, e, f)
    store(out, at + c, _finish(s, scale, base, anchored, weight, at + c, zero))
    store(out, at + d, _finish(t, scale, base, anchored, weight, at + d, zero))
    store(out, at + e, _finish(u, scale, base, anchored, weight, at + e, zero))
    store(out, at + f, _finish(v, scale, base, anchored, weight, at + f, zero))


@njit(nogil=True, forceinline=True)
def _add_four(s, t, u, v, start, stop, col, value, x, channels, c, d, e, f):  # type: ignore[no-untyped-def]
    for k in range(start, stop):
        factor, source = value[k], np.int64(col[k]) * channels
        s = multiply_add(factor, load(x, source + c, s), s)
        t = multiply_add(factor, load(x, source + d, t), t)
        u = multiply_add(factor, load(x, source + e, u), u)
        v = multiply_add(factor, load(x, source + f, v), v)
    return s, t, u, v


@njit(nogil=True, forceinline=True)
def _finish(vector, scale, base, anchored, weight, at, zero):  # type: ignore[no-untyped-def]
    scaled = multiply_add(scale, vector, zero)
    return multiply_add(weight, load(base, at, zero), scaled) if anchored else scaled
