"""A parsed dataset with one split as arrays: how a source writes them, and the `Graph` of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gas_cli.graph.graph import Graph, Split
from gas_cli.graph.sources.written import Arrays
from gas_cli.ops.csr import CSR

ARRAYS = ("rowptr", "col", "symmetric", "x", "y", "role")
"""rowptr int64 [N+1], col int32 [E], symmetric bool [], x float32 [N, F], y int64 [N] or uint8 [N, C], role uint8 [N]"""

TRAIN, VAL, TEST = 1, 2, 3
"""Values of `role`; 0 is a node in no mask."""

ROWS_AT_A_TIME = 1 << 16


def write_graph(target: Path, adj: CSR, y: NDArray[Any], role: NDArray[np.uint8]) -> None:
    """All of `ARRAYS` but the features, which `write_features` takes from where they are."""
    arrays = {"rowptr": adj.rowptr.numpy(), "col": adj.col.numpy(), "symmetric": np.array(adj.symmetric), "y": y, "role": role}
    for name, array in arrays.items():
        np.save(target / f"{name}.npy", array)


def write_features(x: NDArray[Any], target: Path, *, standardise: bool = False) -> None:
    """Write x [N, F], which may be a mapped file of another type, as float32 to the .npy file `target`, in blocks of rows.

    `standardise` takes every column to mean 0 and standard deviation 1 over all nodes; a constant column becomes 0.
    """
    shift, scale = _column_moments(x) if standardise else (0.0, 1.0)
    with target.open("wb") as out:  # a stream, not a writable mapping: a full disk is an error here, and there a dead process
        np.lib.format.write_array_header_1_0(out, {"descr": "<f4", "fortran_order": False, "shape": x.shape})
        for start in range(0, x.shape[0], ROWS_AT_A_TIME):
            block = x[start : start + ROWS_AT_A_TIME]
            out.write(np.ascontiguousarray((block - shift) / scale if standardise else block, "<f4").data)


def graph_of(name: str, arrays: Arrays, num_classes: int, metric: str, *, inductive: bool = False) -> Graph:
    """The `Graph` of arrays that were written as above; several labels per node become float32."""
    rowptr, col = torch.from_numpy(arrays["rowptr"]), torch.from_numpy(arrays["col"])
    symmetric = bool(arrays["symmetric"])
    adj = CSR(rowptr, col, torch.ones(col.shape[0], dtype=torch.float32), rowptr.shape[0] - 1, symmetric)
    y = torch.from_numpy(arrays["y"])
    role = torch.from_numpy(arrays["role"])
    split, x = Split(role == TRAIN, role == VAL, role == TEST), torch.from_numpy(arrays["x"])
    return Graph(name, x, adj, y.float() if y.dim() == 2 else y, (split,), num_classes, metric, symmetric, inductive)


def _column_moments(x: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation (with N-1) of every column, in two passes; 1 for a constant column."""
    n = x.shape[0]
    starts = range(0, n, ROWS_AT_A_TIME)
    mean = np.sum([x[start : start + ROWS_AT_A_TIME].sum(axis=0, dtype=np.float64) for start in starts], axis=0) / n
    squares = np.sum([np.square(x[start : start + ROWS_AT_A_TIME] - mean).sum(axis=0) for start in starts], axis=0)
    std = np.sqrt(squares / max(n - 1, 1))
    return mean, np.where(std > 0, std, 1.0)
