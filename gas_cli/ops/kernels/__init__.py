"""Compiled code: numba for the CPU, NVRTC for CUDA (its sources in cuda/), the vectors and short rows that they are written in."""
