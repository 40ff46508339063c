// out[k] = table[index[k]], rows of `pieces` pieces of WIDTH bytes; `table` may be page-locked host memory. Any number of blocks does.

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
