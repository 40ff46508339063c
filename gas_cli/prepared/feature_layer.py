"""The features that a run reads: those of the graph as it was loaded or made ones, on the scale that the run asks for.

The layer `features` keeps those that are scaled and too large for memory; others are made at every start.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

import gas_cli
from gas_cli.config.dataset import DatasetConfig
from gas_cli.graph.graph import Graph
from gas_cli.graph.made_features import with_features
from gas_cli.graph.scaling import find_scaling, scaled
from gas_cli.graph.schema import Scaling
from gas_cli.graph.sources.npy_format import file_of
from gas_cli.graph.sources.written import NotWritten, scratch
from gas_cli.partition.permute import fits_memory
from gas_cli.prepared.cache import Cache
from gas_cli.prepared.entry import Arrays, Entry, Facts, about
from gas_cli.prepared.graph_layer import Source
from gas_cli.prepared.keys import key_of

LAYER = "features"


def featured(source: Source, config: DatasetConfig, cache: Cache) -> Source:
    """The source with the features of `config.features` on the scale of `config.normalize`, and their fingerprints.

    Made features follow from nodes and edges, which have fingerprints of their own: that of the features names how they were made.
    Raises `UserError` where there are no features, and where they cannot be scaled.
    """
    graph = with_features(source.graph, config)
    if config.features is not None:
        source = source.with_features(graph, f"made: {config.features}")
    scaling = find_scaling(graph, config)
    if scaling is None:
        return source
    digest = scaling.digest(source.fingerprints["features"])
    if fits_memory(graph.x):
        return source.with_features(scaled(graph, scaling), digest)
    return source.with_features(_kept(graph, scaling, digest, cache), digest)


def _kept(graph: Graph, scaling: Scaling, digest: str, cache: Cache) -> Graph:
    """The graph with features that an earlier start has written, or that this one writes, block after block."""
    key = key_of(LAYER, version=gas_cli.__version__, features=digest)

    def read(entry: Entry) -> Graph:
        x = entry.arrays["x"]
        if x.shape != graph.x.shape or x.dtype != torch.float32:
            raise ValueError("its features are of another graph")
        return replace(graph, x=x, schema=replace(graph.schema, scaling=scaling))

    def parts(made: Graph) -> tuple[Arrays, Facts]:
        assert isinstance(made.x, Tensor)
        return {"x": file_of(made.x.numpy()) or made.x}, about(graph.name, {"normalize": scaling.kind})

    found = cache.find(LAYER, key, read)
    if found is not None:
        return found
    with cache.making(LAYER, key) as folder:
        found = cache.find(LAYER, key, read)  # another process may have made it
        if found is None:
            found = _written(graph, scaling, folder, cache)
            cache.keep(LAYER, key, parts, found, folder)
    return found


def _written(graph: Graph, scaling: Scaling, folder: Path | None, cache: Cache) -> Graph:
    if folder is not None:
        try:
            with scratch(folder):
                return scaled(graph, scaling, in_memory=False)
        except NotWritten as error:
            cache.give_up(error.reason)
    return scaled(graph, scaling, in_memory=False)  # with a temporary file
