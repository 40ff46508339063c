// out = mask(scale * (A x [+ B y]) + weight * anchor), A and B in CSR. Every lane sums VEC neighbouring channels, entries in order.

#define LONG 512  // entries from which on a row is the work of a whole block: a hub would keep one group of lanes busy for long
#define AHEAD 4   // entries whose rows are asked for together

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

#define ARGUMENTS                                                                                                                        \
    const i64* __restrict__ ptr0, const int* __restrict__ col0, const float* __restrict__ value0, const float* __restrict__ x0,          \
    const i64* __restrict__ ptr1, const int* __restrict__ col1, const float* __restrict__ value1, const float* __restrict__ x1,          \
    const float* __restrict__ anchor, const i64* __restrict__ ids, float* __restrict__ out,                                              \
    i64 rows, i64 channels, u32 second, u32 anchored, u32 masked, float scale, float weight, u32 key0, u32 key1, u32 threshold
#define LENGTH(row) (ptr0[(row) + 1] - ptr0[row] + (second ? ptr1[(row) + 1] - ptr1[row] : 0))

// What follows the sum of a row's channels `channel` to `channel` + VEC.
#define FINISH(row, sum)                                                                                                                 \
    do {                                                                                                                                 \
        u32 start = 0, stride = 0;                                                                                                       \
        if (masked) { start = mix((u32)ids[row] ^ key0); stride = mix(start ^ key1) | 1u; }                                              \
        Vec result;                                                                                                                      \
        for (int i = 0; i < VEC; i++) {                                                                                                  \
            float value = sum.at[i] * scale;                                                                                             \
            if (anchored) value += weight * anchor[(row) * channels + channel + i];                                                      \
            if (masked && mix(start + (u32)(channel + i) * stride) < threshold) value = 0.0f;                                            \
            result.at[i] = value;                                                                                                        \
        }                                                                                                                                \
        *reinterpret_cast<Vec*>(out + (row) * channels + channel) = result;                                                              \
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
