"""The ids that a user's graph gives its nodes, and the rows 0..N-1 that every later stage uses instead."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gas_cli.ops.kernels import id_kernels

Kind = Literal["integer", "text"]


class Repeated(ValueError):
    """The id of `row` is also that of the earlier row `other`."""

    def __init__(self, row: int, other: int) -> None:
        super().__init__(f"rows {other} and {row} have the same id")
        self.row, self.other = row, other


@dataclass(frozen=True, eq=False)
class NodeIds:
    """N different ids: whole numbers of 64 bits, or texts, which lie one after another in `data`.

    numbers  int64 [N], or None
    data     uint8 [bytes], UTF-8 of all texts, or None
    offsets  int64 [N + 1]: text i is data[offsets[i]:offsets[i + 1]], or None

    Raises `Repeated` at the first lookup, or from `check`, where two are equal.
    """

    numbers: Tensor | None = None
    data: Tensor | None = None
    offsets: Tensor | None = None

    @classmethod
    def of_numbers(cls, numbers: NDArray[np.int64]) -> NodeIds:
        return cls(numbers=torch.from_numpy(np.require(numbers, np.int64, ["C", "W"])))

    @classmethod
    def of_texts(cls, texts: Any) -> NodeIds:
        """Of a pyarrow array of text, chunked or not, without nulls."""
        data, offsets = text_buffers(_one(texts))
        start = int(offsets[0])
        return cls(data=torch.from_numpy(data[start : int(offsets[-1])].copy()), offsets=torch.from_numpy(offsets.astype(np.int64) - start))

    @property
    def kind(self) -> Kind:
        return "text" if self.numbers is None else "integer"

    def __len__(self) -> int:
        return int(self.numbers.shape[0]) if self.numbers is not None else int(self._offsets.shape[0]) - 1

    @property
    def tensors(self) -> dict[str, Tensor]:
        """What is written and fingerprinted."""
        found = {"numbers": self.numbers, "data": self.data, "offsets": self.offsets}
        return {name: tensor for name, tensor in found.items() if tensor is not None}

    @property
    def counts_rows(self) -> bool:
        """Whether id i is that of row i, for every i."""
        return self.numbers is not None and bool((self.numbers == torch.arange(len(self))).all())

    def check(self) -> NodeIds:
        """The same, once every id is seen to be different. Raises `Repeated`."""
        _ = self._slots
        return self

    def rows_of_numbers(self, keys: NDArray[np.integer[Any]]) -> NDArray[np.int32]:
        """int32 [n]: the rows of whole numbers, -1 where no node has the id."""
        rows = np.empty(len(keys), np.int32)
        keys = np.ascontiguousarray(keys, np.int64)
        assert self.numbers is not None
        id_kernels.find_numbers(self.numbers.numpy(), self._slots, keys, rows)
        return rows

    def rows_of_texts(self, keys: Any) -> NDArray[np.int32]:
        """The same for a pyarrow array of text; a null is no id."""
        data, offsets = text_buffers(keys)
        rows = np.empty(len(keys), np.int32)
        assert self.data is not None
        id_kernels.find_texts(self.data.numpy(), self._offsets, self._slots, data, offsets, rows)
        if keys.null_count:
            rows[keys.is_null().to_numpy(zero_copy_only=False)] = -1
        return rows

    def rows_of(self, ids: Sequence[Any] | NDArray[Any]) -> NDArray[np.int32]:
        """The rows of ids as people type them: a number is also the text that it is written as."""
        import pyarrow as pa

        if self.kind == "text":
            return self.rows_of_texts(pa.array([str(i) for i in ids], pa.string()))
        known = [_as_number(i) for i in ids]
        rows = self.rows_of_numbers(np.array([0 if k is None else k for k in known], np.int64))
        rows[[k is None for k in known]] = -1
        return rows

    def take(self, rows: NDArray[np.integer[Any]]) -> NDArray[Any]:
        """The ids of `rows`: int64, or texts."""
        if self.numbers is not None:
            chosen: NDArray[Any] = self.numbers.numpy()[rows]
            return chosen
        assert self.data is not None
        data, offsets = self.data.numpy(), self._offsets
        return np.array([bytes(data[offsets[r] : offsets[r + 1]]).decode() for r in rows.tolist()], dtype=object)

    def digest(self) -> str:
        digest = hashlib.blake2b(digest_size=16)
        for name, tensor in self.tensors.items():
            digest.update(name.encode())
            digest.update(tensor.contiguous().numpy().view(np.uint8).data)
        return digest.hexdigest()

    @property
    def _offsets(self) -> NDArray[np.int64]:
        assert self.offsets is not None
        return self.offsets.numpy()

    @cached_property
    def _slots(self) -> NDArray[Any]:
        """The hash table, at most half full; made at the first lookup."""
        size = 1 << max(3, int(2 * len(self) - 1).bit_length())
        if self.numbers is not None:
            slots: NDArray[Any] = np.zeros(size, np.int32)
            row, other = id_kernels.insert_numbers(self.numbers.numpy(), slots)
        else:
            assert self.data is not None
            slots = np.zeros(size, np.uint64)
            row, other = id_kernels.insert_texts(self.data.numpy(), self._offsets, slots)
        if row >= 0:
            raise Repeated(row, other)
        return slots


def text_buffers(array: Any) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    """Bytes and offsets (int32 or int64 [n + 1]) of a pyarrow array of text, without a copy."""
    import pyarrow as pa

    _, starts, content = array.buffers()
    width = np.int64 if pa.types.is_large_string(array.type) else np.int32
    if starts is None or not len(array):
        return np.empty(0, np.uint8), np.zeros(len(array) + 1, width)  # the kernels read one offset more than there are texts
    offsets = np.frombuffer(starts, width)[array.offset : array.offset + len(array) + 1]
    return (np.frombuffer(content, np.uint8) if content is not None else np.empty(0, np.uint8)), offsets


def _one(array: Any) -> Any:
    """A chunked array as one array, of text of any total length."""
    import pyarrow as pa

    if not isinstance(array, pa.ChunkedArray):
        return array
    array = array.cast(pa.large_string())
    return array.chunk(0) if array.num_chunks == 1 else pa.concat_arrays([pa.array([], pa.large_string()), *array.chunks])


def _as_number(value: Any) -> int | None:
    try:
        number = int(value)
    except (TypeError, ValueError):
        return None
    return number if number == value or str(number) == str(value).strip() else None
