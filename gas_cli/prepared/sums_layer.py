"""The layer `sums`: A x of dense features in memory, for the models whose first layer reads it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

import gas_cli
from gas_cli.ops.csr import CSR
from gas_cli.partition.permute import fits_memory
from gas_cli.prepared.cache import Cache
from gas_cli.prepared.entry import Entry, about
from gas_cli.prepared.graph_layer import Source
from gas_cli.prepared.keys import key_of

SUMS = "sums"


class KeptSums:
    """A x [N, F] of a source's features and the matrix whose entry is `matrix_entry` (layer/key): called with how it is made, or mapped.

    Nothing is kept of small graphs, of sparse features, whose sums nobody asks for, nor of features that stay where they are.
    """

    def __init__(self, source: Source, matrix_entry: str, cache: Cache) -> None:
        graph = source.graph
        self._cache, self._shape = cache, (graph.num_nodes, graph.num_features)
        worth = bool(matrix_entry) and not source.small and graph.x_row is None and not isinstance(graph.x, CSR) and fits_memory(graph.x)
        decisive = {"version": gas_cli.__version__, "matrix": matrix_entry, "features": source.fingerprints["features"]}
        self._about = about(graph.name, {}, [matrix_entry])
        self._key = key_of(SUMS, **decisive) if worth and cache.enabled else ""

    @property
    def kept(self) -> bool:
        """Whether an earlier start has kept them."""
        return bool(self._key) and self._cache.holds(SUMS, self._key)

    def __call__(self, make: Callable[[], Tensor]) -> Tensor:
        if not self._key:
            return make()
        return self._cache.get(SUMS, self._key, self._read, make, lambda sums: ({"sums": sums}, self._about))

    def _read(self, entry: Entry) -> Tensor:
        sums = entry.arrays["sums"]
        if tuple(sums.shape) != self._shape or sums.dtype != torch.float32:
            raise ValueError("its sums belong to other features")
        return sums
