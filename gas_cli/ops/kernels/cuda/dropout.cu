// out[i, c] = scale * x[i, c] where the word of (ids[i], c) is at least `threshold`, else 0. A row is the work of blockDim.x lanes.

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

// The same of bfloat16, computed in float32 and rounded once.
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

// The same on the stored entries of a CSR matrix.
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
