// Included by hand before every source: the words of counter-based dropout (gas_cli/ops/dropout.py).

typedef unsigned int u32;
typedef long long i64;

// `kernels.mix`: a bijection of 32-bit words.
__device__ __forceinline__ u32 mix(u32 h) {
    h = (h ^ (h >> 16)) * 0x7FEB352Du;
    h = (h ^ (h >> 15)) * 0x846CA68Bu;
    return h ^ (h >> 16);
}
