"""Features on one scale (`dataset.normalize`): how the numbers are found, and what they do to the features of any graph."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gas_cli.config.dataset import DatasetConfig
from gas_cli.errors import UserError
from gas_cli.graph.graph import Features, Graph
from gas_cli.graph.schema import Scaling
from gas_cli.graph.sources.written import written
from gas_cli.graph.splits import numbered_split
from gas_cli.ops.csr import CSR

log = logging.getLogger(__name__)

VALUES_AT_A_TIME = 1 << 22
CLOSE = 1e-6
"""A row whose sum is this close to 1 stays as it is. Dividing leaves it closer, so that dividing twice is dividing once."""

Numbers = NDArray[np.float64]


def find_scaling(graph: Graph, config: DatasetConfig) -> Scaling | None:
    """What `config.normalize` does to the features of this graph; None where it is null.

    `standard` reads the nodes that train: in the split `config.split`, or in any split where it is -1. Raises `UserError` where there are
    none, and for sparse features, which would be dense.
    """
    if config.normalize is None:
        return None
    if config.normalize == "row":
        return Scaling("row")
    if isinstance(graph.x, CSR):
        raise UserError(
            f"dataset.normalize=standard is not valid for {graph.name}: its features are sparse, and would be dense with another mean. "
            "Type dataset.normalize=row."
        )
    mean, std = moments(graph.x, _training_rows(graph, config))
    if constant := int((std == 0).sum()):
        log.info(
            "%s: %s column(s) have one value on all training nodes: dataset.normalize=standard makes it 0.", graph.name, f"{constant:,}"
        )
    return Scaling("standard", tuple(mean.tolist()), tuple(std.tolist()))


def _training_rows(graph: Graph, config: DatasetConfig) -> NDArray[np.int64]:
    """The rows of x of the nodes that train, in the order of the dataset."""
    one = numbered_split(graph, config.split, 0)  # raises where there is none
    splits = graph.splits if config.split < 0 else (one,)
    train = torch.stack([split.train for split in splits]).any(0)
    count = f"{int(train.sum()):,}"
    which = f"the {count} nodes that train in any of the {len(splits)} splits" if len(splits) > 1 else f"the {count} training nodes"
    log.info("%s: mean and deviation of the features are those of %s (dataset.normalize=standard).", graph.name, which)
    nodes = train.nonzero().view(-1)
    return (nodes if graph.x_row is None else graph.x_row[nodes]).numpy()


def moments(x: Tensor, rows: NDArray[np.int64] | None = None) -> tuple[Numbers, Numbers]:
    """Mean and standard deviation (with 1/n) of the columns [F] over `rows`, or over all, in two passes of blocks.

    The deviation of a column of one value is 0."""
    count = x.shape[0] if rows is None else rows.size
    low, high, total, squares = np.inf, -np.inf, 0.0, 0.0
    for block in _blocks(x, rows):
        low, high, total = np.minimum(low, block.min(0)), np.maximum(high, block.max(0)), total + block.sum(0)
    mean: Numbers = np.asarray(total / count)
    for block in _blocks(x, rows):
        squares = squares + np.square(block - mean).sum(0)
    return mean, np.where(low < high, np.sqrt(squares / count), 0.0)


def _blocks(x: Tensor, rows: NDArray[np.int64] | None = None) -> Iterator[Numbers]:
    """The rows, or all, as float64 [n, F]: the table may be larger than memory."""
    table, step = x.numpy(), max(1, VALUES_AT_A_TIME // max(1, x.shape[1]))
    for start in range(0, x.shape[0] if rows is None else rows.size, step):
        yield (table[start : start + step] if rows is None else table[rows[start : start + step]]).astype(np.float64)


# -- applied ---------------------------------------------------------------------------------------------------------------------------


def scaled(graph: Graph, scaling: Scaling, in_memory: bool = True) -> Graph:
    """The graph with features on the scale of `scaling`, which its schema then holds.

    in_memory  whether dense features are a tensor in memory; else they are a mapped file that is written block after block
               (`sources/written.py`), and never in memory as a whole

    Raises `UserError` where the numbers are of another count of columns, and where a number becomes too large for float32.
    """
    return replace(graph, x=_scaled(graph, scaling, in_memory), schema=replace(graph.schema, scaling=scaling))


def _scaled(graph: Graph, scaling: Scaling, in_memory: bool) -> Features:
    x = graph.x
    if scaling.kind == "standard" and len(scaling.mean) != graph.num_features:
        raise UserError(f"{graph.name} has {graph.num_features} feature columns, and the model was trained with {len(scaling.mean)}.")
    if isinstance(x, CSR) and scaling.kind == "row":
        return _sparse_rows(x, graph.name)
    if isinstance(x, CSR):  # of other data: those of the training were dense
        x = x.to_dense()
    if in_memory:
        out, start = torch.empty_like(x, memory_format=torch.contiguous_format), 0
        for block in _scaled_blocks(graph.name, x, scaling):
            out[start : start + len(block)] = torch.from_numpy(block)
            start += len(block)
        return out

    def write(folder: Path) -> None:
        with (folder / "x.npy").open("wb") as file:  # a stream: a full disk is an error here, and a dead process with a writable mapping
            np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": tuple(x.shape)})
            for block in _scaled_blocks(graph.name, x, scaling):
                file.write(block.data)

    return torch.from_numpy(written(("x",), write)["x"])


def _scaled_blocks(name: str, x: Tensor, scaling: Scaling) -> Iterator[NDArray[np.float32]]:
    """The blocks of `x` on the new scale, in turn; says at the end where nothing has changed."""
    mean, std = np.array(scaling.mean), np.array(scaling.std)
    rows = changed = 0
    for values in _blocks(x):
        if scaling.kind == "row":
            divisors = _divisors(np.abs(values).sum(1))
            changed += int((divisors != 1).sum())
            np.divide(values, divisors[:, None], out=values)
        else:
            np.subtract(values, mean, out=values)
            np.divide(values, std, out=values, where=std > 0)
            values[:, std == 0] = 0
        with np.errstate(over="ignore"):
            block = values.astype("<f4")
        if not np.isfinite(block).all():
            column = int(np.flatnonzero(~np.isfinite(block).all(0))[0])
            raise UserError(
                f"{name}: a number in column {column} of the features is too far from the training nodes for dataset.normalize=standard: "
                f"their mean is {mean[column]:g} and their deviation {std[column]:g}. Correct it."
            )
        rows += len(block)
        yield block
    if scaling.kind == "row":
        _say_rows(name, changed, rows)


def _sparse_rows(x: CSR, name: str) -> CSR:
    """Every row divided by its sum of absolute values; it stays sparse."""
    rowptr = x.rowptr.numpy()
    values, sums = x.value.numpy().astype(np.float64), np.zeros(x.num_rows)
    filled = np.flatnonzero(np.diff(rowptr))
    if filled.size:
        sums[filled] = np.add.reduceat(np.abs(values), rowptr[filled])
    divisors = _divisors(sums)
    _say_rows(name, int((divisors != 1).sum()), x.num_rows)
    values /= np.repeat(divisors, np.diff(rowptr))
    return CSR(x.rowptr, x.col, torch.from_numpy(values.astype(np.float32)), x.num_cols)


def _divisors(sums: Numbers) -> Numbers:
    """1 for a row of zeros, and for one that adds up to 1 already."""
    return np.where((sums == 0) | (np.abs(sums - 1) <= CLOSE), 1.0, sums)


def _say_rows(name: str, changed: int, rows: int) -> None:
    if changed:
        log.info("%s: %s of %s rows of features divided by their sum (dataset.normalize=row).", name, f"{changed:,}", f"{rows:,}")
    else:
        log.info("%s: every row of features adds up to 1 or 0 already: dataset.normalize=row changes nothing.", name)
