"""The symmetric adjacency of more edges than fit in memory: several passes over the edges, each for a range of the nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gas_cli.graph.topology import check_node_ids
from gas_cli.ops.kernels import csr_kernels

ENTRIES_AT_A_TIME = 1 << 30
"""Entries of `col` that are made in one pass: 4 GB."""

Edges = Callable[[], Iterator[NDArray[Any]]]
"""Starts a pass: pieces [2, k] of the edge list, the same in every pass."""


def write_symmetric(edges: Edges, num_nodes: int, target: Path) -> None:
    """Write rowptr.npy int64 [N+1] and col.npy int32 of the edges in both directions to the folder `target`.

    Equal to `build_adjacency(..., symmetrise=True)`: rows sorted, without duplicates and self-loops. Memory: 16 bytes per node and 4 per
    entry of a pass. Raises `UserError` naming the first edge with an id out of range.
    """
    counts = _count(edges, num_nodes)
    bounds = np.concatenate([[0], np.cumsum(counts)])
    kept = np.zeros(num_nodes + 1, np.int64)
    with (target / "col.npy").open("wb") as out:
        _write_header(out, int(bounds[-1]))
        start = 0
        while start < num_nodes:
            stop = max(int(np.searchsorted(bounds, bounds[start] + ENTRIES_AT_A_TIME, side="right")) - 1, start + 1)
            kept[start + 1 : stop + 1], col = _rows(edges, bounds, start, stop)
            out.write(col.data)
            start = stop
        length = out.tell()
        out.seek(0)
        _write_header(out, int(kept.sum()))
        assert length == out.tell() + 4 * int(kept.sum())  # numpy pads headers so that a shape can change its digits
    np.save(target / "rowptr.npy", np.cumsum(kept))


def _write_header(out: Any, length: int) -> None:
    np.lib.format.write_array_header_1_0(out, {"descr": "<i4", "fortran_order": False, "shape": (length,)})


def _count(edges: Edges, num_nodes: int) -> NDArray[np.int64]:
    """Edges at each node, in either direction, duplicates included."""
    counts = np.zeros(num_nodes, np.int64)
    first = 0
    for piece in edges():
        check_node_ids(piece, num_nodes, first)
        csr_kernels.count_ends(piece[0], piece[1], counts)
        first += piece.shape[1]
    return counts


def _rows(edges: Edges, bounds: NDArray[np.int64], start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Length of each row of [start, stop), and their entries one after the other."""
    rowptr = bounds[start : stop + 1] - bounds[start]
    cursor, col = rowptr[:-1].copy(), np.empty(int(rowptr[-1]), np.int32)
    for piece in edges():
        csr_kernels.place_ends(piece[0], piece[1], start, stop, cursor, col)
    kept = csr_kernels.sort_unique_rows(rowptr, col)
    return kept, col[: int(kept.sum())]
