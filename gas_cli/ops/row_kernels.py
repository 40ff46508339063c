"""Compiled weighted sums of float32 rows, with the sums in registers (`lanes`).

    out[i] = scale · (Σ_e value[e] · x[col[e]]  +  the same over a second matrix)  +  weight · anchor[i]

A row of up to 64 channels is summed in one pass over its entries: in 16s, or in two vectors that may overlap where there are fewer
channels. Tables are one-dimensional here, [rows · channels]. `out` must not be `anchor`, since overlapping channels are written twice; an
anchor or a second matrix without elements is none. Functions of a row take arrays one by one: numba would count references to those in a
tuple, row after row; and LLVM has to inline the functions, or the vectors leave their registers.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from gas_cli.ops.kernels import mix
from gas_cli.ops.lanes import load, multiply_add, store, zeros


@njit(nogil=True, cache=True)
def aggregate(ap, ac, av, ax, bp, bc, bv, bx, channels, scale, anchor, weight, out, start, stop):  # type: ignore[no-untyped-def]
    """The sums of the rows [start, stop) over two matrices, each given as rowptr, col, value and the table x that it multiplies."""
    for i in range(start, stop):
        _row(ap, ac, av, ax, bp, bc, bv, bx, i, channels, scale, anchor, weight, out)


@njit(nogil=True, cache=True)
def aggregate_dropped(  # type: ignore[no-untyped-def]
    ap, ac, av, ax, bp, bc, bv, bx, channels, scale, anchor, weight, ids, key0, key1, threshold, out, start, stop
):
    """The same, then zeros where `kernels.dropout_dense` has them for the nodes `ids`; its factor for the others belongs into `scale`."""
    for i in range(start, stop):
        _row(ap, ac, av, ax, bp, bc, bv, bx, i, channels, scale, anchor, weight, out)
        begin = mix(np.uint32(np.uint32(ids[i]) ^ key0))
        stride = np.uint32(mix(np.uint32(begin ^ key1)) | np.uint32(1))
        row = out[i * channels : (i + 1) * channels]
        for c in range(channels):
            word = mix(np.uint32(begin + np.uint32(np.uint32(c) * stride)))
            row[c] = row[c] if word >= threshold else np.float32(0)


@njit(nogil=True, forceinline=True)
def _row(ap, ac, av, ax, bp, bc, bv, bx, i, channels, scale, anchor, weight, out):  # type: ignore[no-untyped-def]
    if channels > 32:
        last = channels - 16
        for at in range(0, channels, 64):
            starts = (min(at, last), min(at + 16, last), min(at + 32, last), min(at + 48, last))
            _four(zeros(16), ap, ac, av, ax, bp, bc, bv, bx, i, channels, starts, scale, anchor, weight, out)
    elif channels >= 16:
        _two(zeros(16), ap, ac, av, ax, bp, bc, bv, bx, i, channels, channels - 16, scale, anchor, weight, out)
    elif channels >= 8:
        _two(zeros(8), ap, ac, av, ax, bp, bc, bv, bx, i, channels, channels - 8, scale, anchor, weight, out)
    elif channels >= 4:
        _two(zeros(4), ap, ac, av, ax, bp, bc, bv, bx, i, channels, channels - 4, scale, anchor, weight, out)
    elif channels >= 2:
        _two(zeros(2), ap, ac, av, ax, bp, bc, bv, bx, i, channels, channels - 2, scale, anchor, weight, out)
    else:
        _two(zeros(1), ap, ac, av, ax, bp, bc, bv, bx, i, channels, 0, scale, anchor, weight, out)


@njit(nogil=True, forceinline=True)
def _two(zero, ap, ac, av, ax, bp, bc, bv, bx, i, channels, second, scale, anchor, weight, out):  # type: ignore[no-untyped-def]
    """One row in two vectors that start at channels 0 and `second`."""
    s, t = _add_two(zero, zero, ap, ac, av, ax, i, channels, second)
    if bp.shape[0] > 0:
        s, t = _add_two(s, t, bp, bc, bv, bx, i, channels, second)
    o = i * channels
    store(out, o, _finish(s, scale, anchor, weight, o, zero))
    store(out, o + second, _finish(t, scale, anchor, weight, o + second, zero))


@njit(nogil=True, forceinline=True)
def _add_two(s, t, rowptr, col, value, x, i, channels, second):  # type: ignore[no-untyped-def]
    for e in range(rowptr[i], rowptr[i + 1]):
        factor, source = value[e], np.int64(col[e]) * channels
        s = multiply_add(factor, load(x, source, s), s)
        t = multiply_add(factor, load(x, source + second, t), t)
    return s, t


@njit(nogil=True, forceinline=True)
def _four(zero, ap, ac, av, ax, bp, bc, bv, bx, i, channels, starts, scale, anchor, weight, out):  # type: ignore[no-untyped-def]
    """64 channels of one row in four vectors that begin at `starts`."""
    s, t, u, v = _add_four(zero, zero, zero, zero, ap, ac, av, ax, i, channels, starts)
    if bp.shape[0] > 0:
        s, t, u, v = _add_four(s, t, u, v, bp, bc, bv, bx, i, channels, starts)
    o, p, q, r = i * channels + starts[0], i * channels + starts[1], i * channels + starts[2], i * channels + starts[3]
    store(out, o, _finish(s, scale, anchor, weight, o, zero))
    store(out, p, _finish(t, scale, anchor, weight, p, zero))
    store(out, q, _finish(u, scale, anchor, weight, q, zero))
    store(out, r, _finish(v, scale, anchor, weight, r, zero))


@njit(nogil=True, forceinline=True)
def _add_four(s, t, u, v, rowptr, col, value, x, i, channels, starts):  # type: ignore[no-untyped-def]
    for e in range(rowptr[i], rowptr[i + 1]):
        factor, source = value[e], np.int64(col[e]) * channels
        s = multiply_add(factor, load(x, source + starts[0], s), s)
        t = multiply_add(factor, load(x, source + starts[1], t), t)
        u = multiply_add(factor, load(x, source + starts[2], u), u)
        v = multiply_add(factor, load(x, source + starts[3], v), v)
    return s, t, u, v


@njit(nogil=True, forceinline=True)
def _finish(vector, scale, anchor, weight, at, zero):  # type: ignore[no-untyped-def]
    scaled = multiply_add(scale, vector, zero)
    return multiply_add(weight, load(anchor, at, zero), scaled) if anchor.shape[0] > 0 else scaled
