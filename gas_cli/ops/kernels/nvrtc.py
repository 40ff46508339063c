"""CUDA kernels compiled on their first use, without nvcc on the user's machine.

NVRTC is CUDA's compiler as a library; every CUDA build of torch loads it for kernels of its own. It turns a source text into machine code
for the device at hand, and the driver loads and launches that. Where either library is missing (`available` says so), callers take their
whole-tensor path.
"""

from __future__ import annotations

import ctypes
import logging
import sys
import threading
from collections.abc import Callable
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

log = logging.getLogger(__name__)

WARP = 32
BLOCK = 256
"""Threads of a block."""

Argument = Tensor | ctypes.c_int64 | ctypes.c_uint32 | ctypes.c_float


class CompileError(RuntimeError):
    """NVRTC refused a source; the message is its log."""


class Kernel:
    """One `extern "C" __global__` function of a source text, which is read and compiled on the first launch on each device."""

    def __init__(self, source: Callable[[], str], name: str) -> None:
        self.source, self.name = source, name
        self._functions: dict[int, ctypes.c_void_p] = {}
        self._lock = threading.Lock()

    def launch(self, blocks: int, *arguments: Argument, threads: tuple[int, int] = (BLOCK, 1), blocks_y: int = 1) -> None:
        """Run `blocks` x `blocks_y` blocks of `threads` threads on the current stream; the first argument is a tensor on the device that
        runs it.

        Tensors are passed as pointers to their first element and have to be contiguous; nothing checks their sizes.
        """
        first = arguments[0]
        assert isinstance(first, Tensor) and first.is_cuda
        if blocks == 0:
            return
        values = [ctypes.c_void_p(a.data_ptr()) if isinstance(a, Tensor) else a for a in arguments]
        pointers = (ctypes.c_void_p * len(values))(*(ctypes.cast(ctypes.pointer(value), ctypes.c_void_p) for value in values))
        device = first.device.index
        stream = ctypes.c_void_p(torch.cuda.current_stream(device).cuda_stream)
        _check(_driver().cuLaunchKernel(self._function(device), blocks, blocks_y, 1, *threads, 1, 0, stream, pointers, None))

    def _function(self, device: int) -> ctypes.c_void_p:
        if device not in self._functions:
            with self._lock:  # a batch is built on another thread than it is computed on
                if device not in self._functions:
                    self._functions[device] = _load(self.source(), self.name, device)
        return self._functions[device]


@cache
def available() -> bool:
    """Whether kernels can be compiled and launched here; where they cannot, says so once."""
    try:
        _probe.launch(1, torch.zeros(1, device="cuda"))
    except (OSError, RuntimeError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        log.warning("CUDA kernels of gas-cli cannot be compiled here (%s): torch's operations are used instead, which is slower.", reason)
        return False
    return True


_probe = Kernel(lambda: 'extern "C" __global__ void probe(float* x) { x[0] = 1; }', "probe")


def compile_source(source: str, name: str, architecture: str) -> bytes:
    """The machine code (CUBIN) of a source text for an architecture such as `sm_90`. Raises CompileError, OSError without NVRTC."""
    nvrtc, program = _nvrtc(), ctypes.c_void_p()
    _check_nvrtc(nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), f"{name}.cu".encode(), 0, None, None))
    try:
        options = (ctypes.c_char_p * 1)(f"--gpu-architecture={architecture}".encode())
        if nvrtc.nvrtcCompileProgram(program, len(options), options):
            raise CompileError(_text(nvrtc.nvrtcGetProgramLogSize, nvrtc.nvrtcGetProgramLog, program).decode(errors="replace"))
        return _text(nvrtc.nvrtcGetCUBINSize, nvrtc.nvrtcGetCUBIN, program)
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def _text(size_of: Any, read: Any, program: ctypes.c_void_p) -> bytes:
    size = ctypes.c_size_t()
    _check_nvrtc(size_of(program, ctypes.byref(size)))
    buffer = ctypes.create_string_buffer(size.value)
    _check_nvrtc(read(program, buffer))
    return buffer.raw


def _load(source: str, name: str, device: int) -> ctypes.c_void_p:
    major, minor = torch.cuda.get_device_capability(device)
    code = compile_source(source, name, f"sm_{major}{minor}")
    module, function = ctypes.c_void_p(), ctypes.c_void_p()
    with torch.cuda.device(device):
        torch.cuda.current_stream().synchronize()  # makes torch's context current on this thread, which the driver's calls need
        _check(_driver().cuModuleLoadData(ctypes.byref(module), code))
        _check(_driver().cuModuleGetFunction(ctypes.byref(function), module, name.encode()))
    return function


class _Libraries:
    """Both libraries, found once."""

    @cached_property
    def driver(self) -> ctypes.CDLL:
        return ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")

    @cached_property
    def nvrtc(self) -> ctypes.CDLL:
        """The one that torch links, which may lie in a package beside it and on no search path. Raises OSError."""
        major = str(torch.version.cuda).partition(".")[0]
        names = [f"nvrtc64_{major}0_0.dll"] if sys.platform == "win32" else [f"libnvrtc.so.{major}", "libnvrtc.so"]
        packages = Path(torch.__file__).parents[1] / "nvidia"
        beside = [str(path) for name in names for path in sorted(packages.glob(f"*/lib/{name}"))]
        for name in (*names, *beside):
            try:
                return ctypes.CDLL(name)
            except OSError:
                continue
        raise OSError(f"NVRTC of CUDA {torch.version.cuda} not found: looked for {', '.join(names)}")


_libraries = _Libraries()


def _driver() -> ctypes.CDLL:
    return _libraries.driver


def _nvrtc() -> ctypes.CDLL:
    return _libraries.nvrtc


def _check(result: int) -> None:
    if result:
        text = ctypes.c_char_p()
        _driver().cuGetErrorString(result, ctypes.byref(text))
        raise RuntimeError(f"CUDA driver: {(text.value or b'unknown error').decode()}")


def _check_nvrtc(result: int) -> None:
    if result:
        raise RuntimeError(f"NVRTC error {result}")
