"""The CUDA kernels: sources, and functions that launch them on tensors.

A row of a table is the work of a group of lanes, 32 for wide rows and fewer for narrow ones, that read neighbouring channels together.
Rows are independent and each is summed in order, so results do not depend on how many run at a time.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import torch
from torch import Tensor

from gas_cli.ops.csr import CSR
from gas_cli.ops.nvrtc import BLOCK, WARP, Argument, Kernel

_WORDS = """
typedef unsigned int u32;
typedef long long i64;

// `kernels.mix`: a bijection of 32-bit words.
__device__ __forceinline__ u32 mix(u32 h) {
    h = (h ^ (h >> 16)) * 0x7FEB352Du;
    h = (h ^ (h >> 15)) * 0x846CA68Bu;
    return h ^ (h >> 16);
}
"""

_DROPOUT = (
    _WORDS
    + """
extern "C" __global__ void dropout(
    const float* __restrict__ x, const i64* __restrict__ ids, float* __restrict__ out,
    i64 rows, u32 channels, u32 key0, u32 key1, u32 threshold, float scale)
{
    const i64 row = (i64)blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    const u32 start = mix((u32)ids[row] ^ key0), stride = mix(start ^ key1) | 1u;
    const float* from = x + row * channels;
    float* to = out + row * channels;
    for (u32 c = threadIdx.x; c < channels; c += blockDim.x)
        to[c] = mix(start + c * stride) >= threshold ? from[c] * scale : 0.0f;
}
"""
)

_DROPOUT_BFLOAT16 = (
    _WORDS
    + """
typedef unsigned short u16;

extern "C" __global__ void dropout_bfloat16(
    const u16* __restrict__ x, const i64* __restrict__ ids, u16* __restrict__ out,
    i64 rows, u32 channels, u32 key0, u32 key1, u32 threshold, float scale)
{
    const i64 row = (i64)blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    const u32 start = mix((u32)ids[row] ^ key0), stride = mix(start ^ key1) | 1u;
    const u16* from = x + row * channels;
    u16* to = out + row * channels;
    for (u32 c = threadIdx.x; c < channels; c += blockDim.x) {
        const float value = __uint_as_float((u32)from[c] << 16) * scale;
        const u32 bits = __float_as_uint(value);
        const u16 rounded = value != value ? 0x7FC0 : (u16)((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);  // to nearest, ties to even
        to[c] = mix(start + c * stride) >= threshold ? rounded : 0;
    }
}
"""
)

_DROPOUT_SPARSE = (
    _WORDS
    + """
extern "C" __global__ void dropout_sparse(
    const i64* __restrict__ rowptr, const int* __restrict__ col, const float* __restrict__ value, const i64* __restrict__ ids,
    float* __restrict__ out, i64 rows, u32 key0, u32 key1, u32 threshold, float scale)
{
    const i64 row = (i64)blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    const u32 start = mix((u32)ids[row] ^ key0), stride = mix(start ^ key1) | 1u;
    for (i64 e = rowptr[row] + threadIdx.x; e < rowptr[row + 1]; e += blockDim.x)
        out[e] = mix(start + (u32)col[e] * stride) >= threshold ? value[e] * scale : 0.0f;
}
"""
)

_GATHER = """
struct __align__(WIDTH) Piece { char bytes[WIDTH]; };

extern "C" __global__ void gather(
    const long long* __restrict__ index, const Piece* __restrict__ table, Piece* __restrict__ out, long long rows, long long pieces)
{
    const long long groups = (long long)gridDim.x * blockDim.y;
    for (long long row = (long long)blockIdx.x * blockDim.y + threadIdx.y; row < rows; row += groups) {
        const Piece* from = table + index[row] * pieces;
        Piece* to = out + row * pieces;
        #pragma unroll 4
        for (long long i = threadIdx.x; i < pieces; i += blockDim.x) to[i] = from[i];
    }
}
"""

_ROW_SUMS = (
    _WORDS
    + """
#define LONG 512    // entries from which on a row is the work of a whole block: a hub would keep one group of lanes busy for long
#define AHEAD 4     // entries whose rows are asked for together
#define THREADS 256 // of a block of `long_row_sums`

struct __align__(4 * VEC) Vec { float at[VEC]; };

__device__ __forceinline__ void add_entries(
    const int* __restrict__ col, const float* __restrict__ value, const float* __restrict__ x,
    i64 from, i64 to, i64 channels, Vec& sum)
{
    for (i64 first = from; first < to; first += AHEAD) {
        Vec row[AHEAD];
        float weight[AHEAD];
        #pragma unroll
        for (int k = 0; k < AHEAD; k++)
            if (first + k < to) {
                weight[k] = value[first + k];
                row[k] = *reinterpret_cast<const Vec*>(x + col[first + k] * channels);
            }
        #pragma unroll
        for (int k = 0; k < AHEAD; k++)
            if (first + k < to)
                #pragma unroll
                for (int i = 0; i < VEC; i++) sum.at[i] += weight[k] * row[k].at[i];
    }
}

#define ARGUMENTS                                                                                                                        \\
    const i64* __restrict__ ptr0, const int* __restrict__ col0, const float* __restrict__ value0, const float* __restrict__ x0,          \\
    const i64* __restrict__ ptr1, const int* __restrict__ col1, const float* __restrict__ value1, const float* __restrict__ x1,          \\
    const float* __restrict__ anchor, const i64* __restrict__ ids, float* __restrict__ out,                                              \\
    i64 rows, i64 channels, u32 second, u32 anchored, u32 masked, float scale, float weight, u32 key0, u32 key1, u32 threshold
#define LENGTH(row) (ptr0[(row) + 1] - ptr0[row] + (second ? ptr1[(row) + 1] - ptr1[row] : 0))

// What follows the sum of a row's channels `channel` to `channel` + VEC.
#define FINISH(row, sum)                                                                                                                 \\
    do {                                                                                                                                 \\
        u32 start = 0, stride = 0;                                                                                                       \\
        if (masked) { start = mix((u32)ids[row] ^ key0); stride = mix(start ^ key1) | 1u; }                                              \\
        Vec result;                                                                                                                      \\
        for (int i = 0; i < VEC; i++) {                                                                                                  \\
            float value = sum.at[i] * scale;                                                                                             \\
            if (anchored) value += weight * anchor[(row) * channels + channel + i];                                                      \\
            if (masked && mix(start + (u32)(channel + i) * stride) < threshold) value = 0.0f;                                            \\
            result.at[i] = value;                                                                                                        \\
        }                                                                                                                                \\
        *reinterpret_cast<Vec*>(out + (row) * channels + channel) = result;                                                              \\
    } while (0)

extern "C" __global__ void row_sums(ARGUMENTS)
{
    const i64 channel = (i64)(blockIdx.y * blockDim.x + threadIdx.x) * VEC;
    const i64 row = (i64)blockIdx.x * blockDim.y + threadIdx.y;
    if (channel >= channels || row >= rows || LENGTH(row) >= LONG) return;
    Vec sum = {};
    add_entries(col0, value0, x0 + channel, ptr0[row], ptr0[row + 1], channels, sum);
    if (second) add_entries(col1, value1, x1 + channel, ptr1[row], ptr1[row + 1], channels, sum);
    FINISH(row, sum);
}

// The rows that the kernel above leaves out. A block looks at one row per thread; all of it sums the long ones, one after the other.
extern "C" __global__ void long_row_sums(ARGUMENTS)
{
    __shared__ Vec partial[THREADS];
    const int lane = threadIdx.x, group = threadIdx.y, groups = blockDim.y;
    const i64 channel = (i64)(blockIdx.y * blockDim.x + lane) * VEC;
    const bool inside = channel < channels;
    const i64 base = (i64)blockIdx.x * THREADS, mine = base + group * blockDim.x + lane;
    if (!__syncthreads_or(mine < rows && LENGTH(mine) >= LONG)) return;
    for (i64 row = base; row < rows && row < base + THREADS; row++) {
        if (LENGTH(row) < LONG) continue;  // the same for all threads
        Vec sum = {};
        if (inside) {  // an equal range of the entries for each group
            const i64 first = ptr0[row], own = ptr0[row + 1] - first;
            add_entries(col0, value0, x0 + channel, first + own * group / groups, first + own * (group + 1) / groups, channels, sum);
            if (second) {
                const i64 next = ptr1[row], other = ptr1[row + 1] - next;
                add_entries(col1, value1, x1 + channel, next + other * group / groups, next + other * (group + 1) / groups, channels, sum);
            }
        }
        partial[group * blockDim.x + lane] = sum;
        __syncthreads();
        if (group == 0 && inside) {
            for (int g = 1; g < groups; g++)
                for (int i = 0; i < VEC; i++) sum.at[i] += partial[g * blockDim.x + lane].at[i];
            FINISH(row, sum);
        }
        __syncthreads();
    }
}
"""
)

_dropout = {torch.float32: Kernel(_DROPOUT, "dropout"), torch.bfloat16: Kernel(_DROPOUT_BFLOAT16, "dropout_bfloat16")}
_dropout_sparse = Kernel(_DROPOUT_SPARSE, "dropout_sparse")

ROW_SUMS_THREADS = 128
"""Of a block of `row_sums`: few, so that a block whose rows are done makes room."""
LONG_ROW_SUMS_THREADS = 256
_row_sums = {vector: [Kernel(f"#define VEC {vector}\n{_ROW_SUMS}", name) for name in ("row_sums", "long_row_sums")] for vector in (4, 2, 1)}
_gather = {width: Kernel(f"#define WIDTH {width}\n{_GATHER}", "gather") for width in (16, 8, 4, 2)}

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
