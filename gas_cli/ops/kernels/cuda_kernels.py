"""The CUDA kernels as functions of tensors; their sources are in the folder `cuda`.

A row of a table is the work of a group of lanes, 32 for wide rows and fewer for narrow ones, that read neighbouring channels together.
Rows are independent and each is summed in order, so results do not depend on how many run at a time.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from gas_cli.ops.csr import CSR
from gas_cli.ops.kernels.nvrtc import BLOCK, WARP, Argument, Kernel

FOLDER = Path(__file__).parent / "cuda"
"""Their sources."""


def _kernel(file: str, name: str, **constants: int) -> Kernel:
    """The kernel `name` of a source file, with what it takes as constants."""
    defined = "".join(f"#define {key} {value}\n" for key, value in constants.items())
    return Kernel(lambda: "".join([defined, *((FOLDER / each).read_text(encoding="utf-8") for each in ("words.cuh", file))]), name)


_dropout = {torch.float32: _kernel("dropout.cu", "dropout"), torch.bfloat16: _kernel("dropout.cu", "dropout_bfloat16")}
_dropout_sparse = _kernel("dropout.cu", "dropout_sparse")

ROW_SUMS_THREADS = 128
"""Of a block of `row_sums`: few, so that a block whose rows are done makes room."""
LONG_ROW_SUMS_THREADS = 256
_row_sums = {
    vector: [_kernel("row_sums.cu", name, VEC=vector, THREADS=LONG_ROW_SUMS_THREADS) for name in ("row_sums", "long_row_sums")]
    for vector in (4, 2, 1)
}
_gather = {width: _kernel("gather.cu", "gather", WIDTH=width) for width in (16, 8, 4, 2)}

GATHER_BLOCKS = 32
"""Blocks that read page-locked memory: enough bytes on their way for the bus, and few enough that most of the device is left to others.
A grid with a block for every row would hold all of it until the last row has come."""

DROPOUT_DTYPES = tuple(_dropout)

Term = tuple[CSR, Tensor]
"""A matrix [n, m] and the table [m, C] that it multiplies."""
Words = tuple[int, int, int]
"""The two words of a mask's key, and its threshold."""


def dropout(x: Tensor, ids: Tensor, words: Words, scale: float) -> Tensor:
    """`kernels.dropout_dense` of x [n, C], float32 or bfloat16."""
    x, out = x.contiguous(), torch.empty_like(x, memory_format=torch.contiguous_format)
    rows, channels = x.shape
    size = (ctypes.c_int64(rows), ctypes.c_uint32(channels))
    blocks, threads = _rows_per_block(rows, channels)
    _dropout[x.dtype].launch(blocks, x, ids.contiguous(), out, *size, *_mask(words, scale), threads=threads)
    return out


def dropout_sparse(x: CSR, ids: Tensor, words: Words, scale: float) -> Tensor:
    """`kernels.dropout_sparse`: the values [nnz] of x after it."""
    out = torch.empty_like(x.value)
    blocks, threads = _rows_per_block(x.num_rows, x.nnz // max(1, x.num_rows))
    tensors = (x.rowptr, x.col, x.value, ids.contiguous(), out)
    _dropout_sparse.launch(blocks, *tensors, ctypes.c_int64(x.num_rows), *_mask(words, scale), threads=threads)
    return out


def row_sums(terms: Sequence[Term], scale: float, anchor: Tensor | None, weight: float, mask: tuple[Tensor, Words] | None) -> Tensor:
    """scale · Σ a x over one or two `terms` + weight · anchor, float32 [n, C], with what the mask (ids, words) drops zeroed."""
    (a, x), *others = terms
    x = x.contiguous()
    b, y = others[0] if others else (a, x)
    y, rows, channels = y.contiguous(), a.num_rows, x.shape[1]
    out = x.new_empty(rows, channels)
    if not out.numel():
        return out
    anchor = None if anchor is None else anchor.contiguous()
    ids, words = (a.rowptr, (0, 0, 0)) if mask is None else (mask[0].contiguous(), mask[1])
    # A vector of channels is read at once, so rows have to begin at multiples of it.
    vector = next(v for v in _row_sums if channels % v == 0 and all(t.data_ptr() % (4 * v) == 0 for t in (x, y)))
    lanes = _lanes(-(-channels // vector))
    arguments: list[Argument] = [
        *(a.rowptr, a.col, a.value, x, b.rowptr, b.col, b.value, y, x if anchor is None else anchor, ids, out),
        *(ctypes.c_int64(rows), ctypes.c_int64(channels)),
        *(ctypes.c_uint32(bool(flag)) for flag in (others, anchor is not None, mask is not None)),
        *(ctypes.c_float(scale), ctypes.c_float(weight)),
        *(ctypes.c_uint32(word) for word in words),
    ]
    short, long = _row_sums[vector]
    chunks = -(-channels // (lanes * vector))
    groups = ROW_SUMS_THREADS // lanes
    short.launch(-(-rows // groups), *arguments, threads=(lanes, groups), blocks_y=chunks)
    blocks = -(-rows // LONG_ROW_SUMS_THREADS)
    long.launch(blocks, *arguments, threads=(lanes, LONG_ROW_SUMS_THREADS // lanes), blocks_y=chunks)
    return out


def gather(table: Tensor, index: Tensor) -> Tensor:
    """The rows `index` int64 [k], on the device, of a table [N, C] in page-locked host memory: [k, C] on the device."""
    out = torch.empty(index.numel(), table.shape[1], dtype=table.dtype, device=index.device)
    nbytes = table.shape[1] * table.element_size()
    width = next(width for width in _gather if nbytes % width == 0 and table.data_ptr() % width == 0)
    pieces = nbytes // width
    lanes = _lanes(pieces)
    blocks = min(GATHER_BLOCKS, -(-index.numel() * lanes // BLOCK))
    size = ctypes.c_int64(index.numel()), ctypes.c_int64(pieces)
    _gather[width].launch(blocks, index, table, out, *size, threads=(lanes, BLOCK // lanes))
    return out


def _mask(words: Words, scale: float) -> Sequence[ctypes.c_uint32 | ctypes.c_float]:
    return *(ctypes.c_uint32(word) for word in words), ctypes.c_float(scale)


def _rows_per_block(rows: int, width: int) -> tuple[int, tuple[int, int]]:
    """Blocks, and their threads as (lanes of a row, rows)."""
    lanes = _lanes(width)
    return -(-rows * lanes // BLOCK), (lanes, BLOCK // lanes)


def _lanes(width: int) -> int:
    """The power of two that covers `width`, at most a warp."""
    return min(WARP, 1 << max(0, width - 1).bit_length())
