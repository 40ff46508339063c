"""ReLU that leaves one bit per entry for its backward pass, which also tells which rows have a gradient at all.

Tables are contiguous float32; a row's bits are ⌈channels / 16⌉ words of 16.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from gas_cli.ops.kernels.vectors import any_nonzero, keep, load, pointer, signs, store, zeros


@njit(nogil=True, cache=True)
def relu(x, bits, channels, start, stop):  # type: ignore[no-untyped-def]
    """x = max(x, 0) in the rows [start, stop), and the bits of what was positive; NaN stays NaN."""
    whole, words = channels // 16, (channels + 15) // 16
    table, like = pointer(x), zeros(16)
    for i in range(start, stop):
        at = i * channels
        for w in range(whole):
            vector = load(table, at + 16 * w, like)
            word = signs(vector)
            bits[i * words + w] = word
            store(table, at + 16 * w, keep(word, vector))
        if whole < words:
            word = np.uint16(0)
            for c in range(16 * whole, channels):
                positive = not table[at + c] <= 0
                word |= np.uint16(positive) << np.uint16(c - 16 * whole)
                table[at + c] = table[at + c] if positive else np.float32(0)
            bits[i * words + whole] = word


@njit(nogil=True, cache=True)
def relu_backward(grad, bits, channels, out, live, start, stop):  # type: ignore[no-untyped-def]
    """out = grad where the bit is set, else 0; live[i] tells whether row i of it has anything but zeros."""
    whole, words = channels // 16, (channels + 15) // 16
    source, target, like = pointer(grad), pointer(out), zeros(16)
    for i in range(start, stop):
        at = i * channels
        alive = False
        for w in range(whole):
            vector = keep(bits[i * words + w], load(source, at + 16 * w, like))
            alive |= any_nonzero(vector)
            store(target, at + 16 * w, vector)
        if whole < words:
            word = bits[i * words + whole]
            for c in range(16 * whole, channels):
                kept = source[at + c] if (word >> np.uint16(c - 16 * whole)) & np.uint16(1) else np.float32(0)
                alive |= kept != 0
                target[at + c] = kept
        live[i] = alive
