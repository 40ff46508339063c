"""Compiled loops of graph attention on the CPU: softmax over each target's edges, dropout, weighted sum, and their gradients.

As in `kernels.py` every loop is serial, takes a range of rows and adds each row up in the order of its entries; tables are
one-dimensional, as in `row_kernels.py`. Nothing that has a number for each edge and head is written, but for the gradient of a term. With

    z = score of the source + score of the target [+ term],   e = LeakyReLU(z),   α = exp(e - lse),   lse = log Σ exp(e)

the forward pass leaves lse [B, heads], and the backward pass computes α again, source by source. The gradient of a target's score then
takes no pass over edges at all: LeakyReLU' is 1 or `slope`, and the softmax's gradients Σ α (∂α - Σ α ∂α) = 0 add up to nothing, so it is

    (1 - slope) (<g, positive> - <g, out> share)   with `positive` = the part of out, `share` = the sum of α, of the entries with z > 0.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from gas_cli.ops.kernels.attention_steps import (
    add_by_scores,
    add_rows,
    constant,
    divide,
    draw,
    draw_tile,
    drop,
    edge_gradients,
    fill,
    gather_term,
    gather_tile,
    longest_row,
    note,
    scatter_term,
    select,
    softmax,
    sum_scores,
)
from gas_cli.ops.kernels.short_rows import ZERO, add, add_columns, copy, dot

TILE = np.uint64(64)
"""Edges whose gradients are computed at a time: few enough for their rows to stay in the cache in between."""


@njit(nogil=True, cache=True, fastmath={"contract"})
def node_scores(rows, attention, heads, channels, out, start, stop):  # type: ignore[no-untyped-def]
    """out[v, k] = <attention of head k, W h of v and head k>."""
    K, C = constant(heads), constant(channels)
    for v in range(np.uint64(start), np.uint64(stop)):
        for k in range(K):
            out[v * K + k] = dot(rows, (v * K + k) * C, attention, k * C, C)


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
def forward(  # type: ignore[no-untyped-def]
    ip, ic, own, by_own, own_ids, op, oc, halo, by_halo, halo_ids, by_target, term, key0, key1, threshold, scale, slope, heads, channels,
    learning, out, positive, share, lse, start, stop,
):  # fmt: skip
    """out[v] = Σ α · W h of the source over inner (ip, ic, own) and outer (op, oc, halo) entries of v, after dropout.

    For the backward pass (`learning`) also `positive`, `share` and `lse`. `term` [inner + outer entries, heads] may be empty.
    """
    K, C = constant(heads), constant(channels)
    longest = longest_row(ip, op, start, stop)
    z, weights, above = np.empty(longest * K, own.dtype), np.empty(longest * K, own.dtype), np.empty(longest * K, own.dtype)
    words, peak, total = np.empty(longest * K, np.uint32), np.empty(K, own.dtype), np.empty(K, own.dtype)
    for v in range(np.uint64(start), np.uint64(stop)):
        i, o = np.uint64(ip[v]), np.uint64(op[v])
        inside, n = np.uint64(ip[v + 1]) - i, np.uint64(ip[v + 1]) - i + np.uint64(op[v + 1]) - o
        fill(out, v * K * C, K * C)
        if learning:
            fill(positive, v * K * C, K * C)
            fill(share, v * K, K)
            fill(lse, v * K, K)
        if n == 0:
            continue
        sum_scores(z, ic, i, ZERO, inside, own, by_own, by_target, v, K, C)
        sum_scores(z, oc, o, inside, n, halo, by_halo, by_target, v, K, C)
        if term.shape[0] > 0:
            add(z, ZERO, z, ZERO, term, i * K, inside * K)
            add(z, inside * K, z, inside * K, term, (np.uint64(ic.shape[0]) + o) * K, (n - inside) * K)
        softmax(z, n, slope, weights, peak, total, K)
        if learning:
            select(above, weights, z, n * K)
            note(share, lse, above, n, peak, total, v, K)
        if threshold > 0:
            draw(words, ic, i, ZERO, inside, own_ids[v], own_ids, key0, key1, K)
            draw(words, oc, o, inside, n, own_ids[v], halo_ids, key0, key1, K)
            drop(weights, words, n * K, threshold)
        if learning:
            select(above, weights, z, n * K)
        add_rows(out, v, weights, ZERO, inside, own, ic, i, K, C)
        add_rows(out, v, weights, inside, n, halo, oc, o, K, C)
        divide(out, total, scale, v, K, C)
        if learning:
            add_rows(positive, v, above, ZERO, inside, own, ic, i, K, C)
            add_rows(positive, v, above, inside, n, halo, oc, o, K, C)
            divide(positive, total, scale, v, K, C)


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
def backward_targets(by_target, lse, out, positive, share, grad, slope, heads, channels, table, to_target, start, stop):  # type: ignore[no-untyped-def]
    """The gradient of the targets' scores; `table` [B, 3 heads]: what sources need of a target, its score, lse and <g, out>."""
    K, C = constant(heads), constant(channels)
    for v in range(np.uint64(start), np.uint64(stop)):
        copy(table, v * (K + K + K), by_target, v * K, K)
        copy(table, v * (K + K + K) + K, lse, v * K, K)
        for k in range(K):
            mean = dot(grad, (v * K + k) * C, out, (v * K + k) * C, C)
            above = dot(grad, (v * K + k) * C, positive, (v * K + k) * C, C)
            table[v * (K + K + K) + K + K + k] = mean
            to_target[v * K + k] = (above - mean * share[v * K + k]) * (grad.dtype.type(1) - slope)


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
def backward_sources(  # type: ignore[no-untyped-def]
    tp, tc, entry, first_entry, rows, by_source, row_ids, table, grad, target_ids, term, key0, key1, threshold, scale, slope, heads,
    channels, source_attention, target_attention, to_target, to_rows, to_source, to_term, start, stop,
):  # fmt: skip
    """The gradients of W h and of the scores of the sources [start, stop), the rows of the transpose (tp, tc).

    `to_target` may be empty: then they are no targets. `term` and `to_term` may be empty; else entry t of the transpose is entry
    `first_entry` + entry[t] of the block.
    """
    K, C = constant(heads), constant(channels)
    z, lse, mean = np.empty(TILE * K, rows.dtype), np.empty(TILE * K, rows.dtype), np.empty(TILE * K, rows.dtype)
    slopes, words = np.empty(TILE * K, rows.dtype), np.empty(TILE * K, np.uint32)
    for w in range(np.uint64(start), np.uint64(stop)):
        fill(to_rows, w * K * C, K * C)
        fill(to_source, w * K, K)
        for first in range(np.uint64(tp[w]), np.uint64(tp[w + 1]), TILE):
            n = min(TILE, np.uint64(tp[w + 1]) - first)
            gather_tile(z, lse, mean, slopes, tc, first, n, rows, by_source, table, grad, w, K, C)
            if term.shape[0] > 0:
                gather_term(z, term, entry, first, first_entry, n, K)
            if threshold > 0:
                draw_tile(words, tc, first, n, target_ids, row_ids[w], key0, key1, K)
            edge_gradients(z, lse, mean, slopes, words, n * K, threshold, scale, slope)
            add_rows(to_rows, w, z, ZERO, n, grad, tc, first, K, C)
            add_columns(to_source, w * K, slopes, n, K)
            if to_term.shape[0] > 0:
                scatter_term(to_term, slopes, entry, first, first_entry, n, K)
        add_by_scores(to_rows, to_source, source_attention, w, K, C)
        if to_target.shape[0] > 0:
            add_by_scores(to_rows, to_target, target_attention, w, K, C)
