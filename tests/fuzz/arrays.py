"""Arrays and tensors that are not what they should be: other types, shapes, strides and values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tests.fuzz.damage import Rng, pick

DTYPES = ("<f2", ">f8", "<f4", "longdouble", "<c8", "?", "i1", "u1", ">i8", "<u8", "S3", "<U5", "M8[s]", "m8[D]", "V4", "object")
VALUES = (np.nan, np.inf, -np.inf, -1, 0.5, 2**31, 2**40, 2**63 - 1, 1e300, 1e39)
TENSOR_DTYPES = (torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int32, torch.uint8, torch.bool, torch.complex64)


def other_array(rng: Rng, array: np.ndarray) -> tuple[str, np.ndarray]:
    """A changed copy, and in words what has changed."""
    name = pick(rng, ["type", "type", "shape", "value", "value", "value"])
    if name == "type":
        dtype = pick(rng, DTYPES)
        return f"type {dtype}", _as_type(array, dtype)
    if name == "shape":
        shape = pick(rng, list(SHAPES))
        return shape, SHAPES[shape](np.atleast_1d(array))  # a matrix's archive holds scalars
    value = VALUES[int(rng.integers(len(VALUES)))]
    whole = array.dtype.kind in "biu" and float(value).is_integer() and abs(value) < 2**63
    changed = array.astype(np.int64 if whole else np.float64)
    if changed.size:
        changed.reshape(-1)[int(rng.integers(changed.size))] = value
    return f"an entry is {value}", changed


def _as_type(array: np.ndarray, dtype: str) -> np.ndarray:
    if dtype == "V4":
        return np.zeros(array.shape, [("a", "<i2"), ("b", "<i2")])
    if np.dtype(dtype).kind in "mM":
        return array.astype(np.int64).astype(dtype)
    return array.astype(dtype)


SHAPES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "transposed": lambda a: a.T.copy(),
    "flat": lambda a: a.reshape(-1),
    "one more axis": lambda a: a[None],
    "one more axis at the end": lambda a: a[..., None],
    "no entries": lambda a: a[:0],
    "a row less": lambda a: a[:-1],
    "a row more": lambda a: np.concatenate([a, a[-1:]]),
    "a column more": lambda a: np.concatenate([a, a[..., -1:]], axis=-1),
    "a scalar": lambda a: a.reshape(-1)[0] if a.size else np.array(0),
    "by columns": np.asfortranarray,
    "backwards": lambda a: a[::-1],
}


def damage_header(rng: Rng, data: bytes) -> tuple[str, bytes]:
    """The bytes of an .npy file with one word of its header changed, at its length where possible."""
    old, new = HEADERS[int(rng.integers(len(HEADERS)))]
    if old not in data[:128]:
        return "magic bytes changed", b"\x93NUMPX" + data[6:]
    return f"header: {old!r} is {new!r}", data[:128].replace(old, new, 1) + data[128:]


HEADERS = (
    (b"False", b"True "),
    (b"False", b"1    "),
    (b"'fortran_order'", b"'fortran_0rder'"),
    (b"'descr'", b"'d3scr'"),
    (b"'<", b"'>"),
    (b"'<", b"'|"),
    (b"8'", b"4'"),
    (b"4'", b"8'"),
    (b"(", b"["),
    (b"), }", b")}  "),
    (b"'shape': (", b"'shape':(9"),
    (b"'shape': (", b"'shape':(-"),
    (b"{", b"("),
    (b"}", b"\xff"),
    (b",", b" "),
)


def other_leaf(rng: Rng, value: Any) -> tuple[str, Any]:
    """A leaf of a file of torch in another form; no change is one that only the author of the file could tell from the truth."""
    if isinstance(value, Tensor) and rng.random() < 0.75:
        name = pick(rng, list(TENSORS))
        if name == "type":
            dtype = TENSOR_DTYPES[int(rng.integers(len(TENSOR_DTYPES)))]
            return f"type {dtype}", value.to(dtype)
        return name, TENSORS[name](value)
    name = pick(rng, list(LEAVES))
    return name, LEAVES[name](value)


def _filled(number: float) -> Callable[[Tensor], Tensor]:
    def fill(tensor: Tensor) -> Tensor:
        changed = tensor.clone(memory_format=torch.contiguous_format)
        if changed.numel() and tensor.dtype != torch.bool:
            changed.view(-1)[changed.numel() // 2] = number if tensor.is_floating_point() else 250
        return changed

    return fill


TENSORS: dict[str, Callable[[Tensor], Any]] = {
    "type": lambda t: t,
    "NaN": _filled(float("nan")),
    "infinite": _filled(float("inf")),
    "flat": lambda t: t.reshape(-1),
    "transposed": lambda t: t.mT if t.dim() > 1 else t[None],
    "a row less": lambda t: t[:-1] if t.dim() else t[None],
    "a row more": lambda t: torch.cat([t, t[-1:]]) if t.dim() else torch.stack([t, t]),
    "no entries": lambda t: t.new_zeros(0),
    "expanded": lambda t: t.reshape(-1)[0].expand(t.shape) if t.numel() else t,
    "overlapping": lambda t: t.new_zeros(t.numel() + 1).as_strided(t.shape, [1] * t.dim()) if t.dim() > 1 else t[None],
    "strided": lambda t: torch.stack([t, t], -1)[..., 0],
    "sparse": lambda t: t.to_sparse() if t.dim() else t[None].to_sparse(),
    "meta": lambda t: t.to("meta"),
    "requires grad": lambda t: torch.nn.Parameter(t.float()),
    "huge": lambda t: t.new_zeros(1).expand(1 << 40),
    "an array": lambda t: t.numpy(),
    "a list": lambda t: t.tolist(),
    "conjugated": lambda t: torch.complex(t.double(), t.double()).conj() if t.is_floating_point() else t.bool(),
    "quantized": lambda t: torch.quantize_per_tensor(t.float(), 0.1, 0, torch.qint8),
}


def _nested(depth: int) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


def _circle() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


LEAVES: dict[str, Callable[[Any], Any]] = {
    "None": lambda _: None,
    "text": str,
    "empty text": lambda _: "",
    "a list of it": lambda v: [v],
    "a mapping of it": lambda v: {"a": v},
    "a mapping by pairs": lambda v: {(1, 2): v},
    "a tensor": lambda _: torch.zeros(2, 2),
    "-1": lambda _: -1,
    "huge": lambda _: 10**40,
    "NaN": lambda _: float("nan"),
    "infinite": lambda _: float("inf"),
    "true": lambda _: True,
    "a complex number": lambda _: 1 + 2j,
    "bytes": lambda _: b"\xff",
    "a set": lambda _: {1},
    "nested": lambda _: _nested(300),
    "itself": lambda _: _circle(),
    "a type": lambda _: torch.float32,
}
