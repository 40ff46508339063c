"""Tensors and arrays that a file or a program gives, by PyG's names, as tables of numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gas_cli.errors import UserError
from gas_cli.graph.sources.folder_splits import PARTS
from gas_cli.graph.sources.table import Table

MASKS = tuple(f"{part}_mask" for part in PARTS)


@dataclass(frozen=True)
class Saved:
    """`values` by PyG's names from `path`.

    keys   what the file calls them, where that is another name
    owner  the Python expression of the object that they are attributes of, for remedies
    """

    path: Path
    values: Mapping[str, Any]
    keys: Mapping[str, str]
    owner: str = "data"

    def key(self, role: str) -> str:
        """What the file calls it."""
        return self.keys.get(role, role)

    def table(self, role: str) -> Table:
        """The numbers of `role`. Raises `UserError` for anything but a dense tensor, or an array, of real numbers."""
        value, key = self.values[role], self.key(role)
        here = f"{self.owner}.{key}"
        if not isinstance(value, (Tensor, np.ndarray)):
            remedy = f"a tensor: {here} = torch.as_tensor({here})" if self.torch else "an array of numbers"
            raise UserError(f"{self.path}: {key} is a {type(value).__name__}. Expected {remedy}.")
        array = _array(value) if isinstance(value, Tensor) else value
        if array is None or array.dtype.kind not in "biuf" or array.ndim == 0:
            layout = f"layout {value.layout}, " if isinstance(value, Tensor) and value.layout != torch.strided else ""
            dense = f": {here} = {here}.to_dense()" if layout else ""
            found = f"{key} is of {layout}type {value.dtype} and shape {tuple(value.shape)}"
            kind = "an array" if isinstance(value, np.ndarray) else "a dense tensor"
            raise UserError(f"{self.path}: {found}. Expected {kind} of numbers{dense}.")
        if isinstance(value, Tensor) and value.numel() > value.untyped_storage().nbytes() // value.element_size():
            raise UserError(f"{self.path}: {key} repeats its numbers without storing them (expand). Save {here}.contiguous() instead.")
        return Table(self.path, array, f"{key}, row")

    @property
    def torch(self) -> bool:
        """Whether they are tensors of a program or of torch.save."""
        return self.path.suffix not in (".npz", ".mat")

    def has(self, role: str) -> bool:
        return self.values.get(role) is not None


def _array(tensor: Tensor) -> NDArray[Any] | None:
    """Of types that numpy does not know, such as bfloat16, as float32; None where the tensor holds no dense numbers."""
    if tensor.layout != torch.strided or tensor.is_complex() or tensor.is_meta or tensor.is_quantized:
        return None
    tensor = tensor.detach()
    try:
        array: NDArray[Any] = tensor.numpy()
    except (TypeError, RuntimeError):
        try:
            array = tensor.float().numpy()
        except (TypeError, RuntimeError, NotImplementedError):  # torch converts no type of fewer than 8 bits, such as uint4
            return None
    return array
