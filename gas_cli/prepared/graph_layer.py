"""The layer `graph`: a validated graph as it was loaded, found by its files and the dataset's options, with its fingerprints."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import gas_cli
from gas_cli.config.dataset import FEATURE_SETTINGS, DatasetConfig, FolderConfig
from gas_cli.graph.files import Listing, files_of
from gas_cli.graph.graph import Features, Graph, Split
from gas_cli.graph.grouping import Grouping
from gas_cli.graph.load import load_graph
from gas_cli.graph.node_ids import NodeIds
from gas_cli.graph.schema import Schema
from gas_cli.graph.sources.npy_format import file_of
from gas_cli.graph.sources.written import NotWritten, scratch
from gas_cli.ops.csr import CSR
from gas_cli.prepared.cache import Cache
from gas_cli.prepared.entry import Arrays, Entry, Facts, about
from gas_cli.prepared.keys import key_of, topology_digest
from gas_cli.prepared.said import Said, noting, say_again

log = logging.getLogger(__name__)

LAYER = "graph"
SMALL = 1 << 20
"""Bytes of a graph below which only its partition is kept: on Cora mapping the rest saves 12 milliseconds of a start (docs/log.md)."""

NOT_CONTENT = ("root", "path", "split", "download", "make_split", "shares", "split_seed", "folds", *FEATURE_SETTINGS)
"""Options of a dataset that leave the graph as it is in its files; where these are stands in their listing. `split_by` is a column that is
read."""


@dataclass(frozen=True)
class Source:
    """A graph as it was loaded, and what is known of it without reading it.

    fingerprints  `Graph.fingerprints`
    topology      a hash of the pattern of the edges
    said          what was logged of its files
    """

    graph: Graph
    fingerprints: Mapping[str, str]
    topology: str
    said: Said = field(default_factory=list)

    @classmethod
    def of(cls, graph: Graph) -> Source:
        return cls(graph, graph.fingerprints(), topology_digest(graph.adj))

    def divided(self, graph: Graph) -> Source:
        """The same with the splits of `graph`."""
        same = graph.splits is self.graph.splits
        return replace(self, graph=graph, fingerprints={**self.fingerprints, **({} if same else {"masks": graph.masks_digest()})})

    def with_features(self, graph: Graph, digest: str) -> Source:
        """The same with the features of `graph`, which `digest` stands for."""
        changed = {"feature columns": str(graph.num_features), "features": digest}
        columns = {"columns": graph.schema.as_text()} if graph.schema.as_text() else {}
        return replace(self, graph=graph, fingerprints={**self.fingerprints, **changed, **columns})

    @property
    def small(self) -> bool:
        return graph_bytes(self.graph) < SMALL


def load_source(config: DatasetConfig, cache: Cache, progress: bool = False) -> Source:
    """The graph of `config` out of the cache, or loaded (`load_graph`) and kept there. Raises like `load_graph`."""
    files = files_of(config) if cache.enabled else None
    if files is None:
        return Source.of(load_graph(config, progress))
    key = graph_key(config, files)
    found = cache.find(LAYER, key, read_source)
    if found is None:
        found = _load(config, cache, files, progress)
    else:
        say_again(found.said)
        log.info("%s: the prepared graph is in %s.", found.graph.name, cache.folder / LAYER / key)
    return found


def _load(config: DatasetConfig, cache: Cache, before: Listing, progress: bool) -> Source:
    """Load under the lock of the files as they were; the entry is that of the files as they are then, downloads included."""
    with cache.making(LAYER, graph_key(config, before)) as folder:
        files = files_of(config) or {}
        found = cache.find(LAYER, graph_key(config, files), read_source)  # another process may have made it
        if found is not None:
            return found
        with noting() as said:
            source = replace(Source.of(_loaded(config, cache, folder, progress)), said=said)
        after = files_of(config) or {}
        if all(after.get(path) == state for path, state in files.items()):  # else the graph may be of neither
            cache.keep(LAYER, graph_key(config, after), lambda source: source_parts(source, config, after), source, folder)
        return source


def _loaded(config: DatasetConfig, cache: Cache, folder: Path | None, progress: bool) -> Graph:
    if folder is None:
        return load_graph(config, progress)
    try:
        with scratch(folder):
            return load_graph(config, progress)
    except NotWritten as error:
        cache.give_up(error.reason)
        return load_graph(config, progress)  # with temporary files


def graph_key(config: DatasetConfig, files: Listing) -> str:
    """A name for the graph of these files: readable, and another one for every other version, option and state of a file."""
    return key_of(config.name, version=gas_cli.__version__, options=_options(config), files=files)


def _options(config: DatasetConfig) -> dict[str, Any]:
    options = {name: value for name, value in dataclasses.asdict(config).items() if name not in NOT_CONTENT}
    return options if getattr(config, "labelled", True) else options | {"labelled": False}


def graph_bytes(graph: Graph) -> int:
    """Bytes of features, edges and edge attributes."""
    tables = [graph.x.nbytes if isinstance(graph.x, CSR) else _bytes(graph.x), graph.adj.nbytes]
    return sum(tables) + (0 if graph.edge_attr is None else _bytes(graph.edge_attr))


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


# -- arrays ----------------------------------------------------------------------------------------------------------------------------


def source_parts(source: Source, config: DatasetConfig, files: Listing) -> tuple[Arrays, Facts] | None:
    """The arrays and facts of an entry; None for a small graph."""
    graph = source.graph
    if source.small or graph.x_row is not None:
        return None
    arrays: dict[str, Tensor | Path] = {"y": graph.y, **matrix_arrays("adj", graph.adj)}
    if graph.splits:
        arrays["masks"] = _masks(graph)
    if graph.groups is not None:
        arrays |= {"groups_code": graph.groups.code} | {f"groups_{name}": tensor for name, tensor in graph.groups.values.tensors.items()}
    arrays |= matrix_arrays("x", graph.x) if isinstance(graph.x, CSR) else {"x": _table(graph.x)}
    if graph.edge_attr is not None:
        arrays["edge_attr"] = _table(graph.edge_attr)
    if graph.node_ids is not None:
        arrays |= {f"ids_{name}": tensor for name, tensor in graph.node_ids.tensors.items()}
    facts = {
        **{name: getattr(graph, name) for name in ("name", "num_classes", "metric", "symmetric", "inductive", "regression")},
        "class_names": list(graph.class_names),
        "schema": graph.schema.as_json(),
        "groups": None if graph.groups is None else {"column": graph.groups.column, "ordered": graph.groups.ordered},
        "adj": matrix_facts(graph.adj),
        "x": matrix_facts(graph.x) if isinstance(graph.x, CSR) else None,
        "fingerprints": dict(source.fingerprints),
        "topology": source.topology,
        "said": source.said,
        **about(graph.name, _options(config), files=files, place=_place(config)),
    }
    return arrays, facts


def _place(config: DatasetConfig) -> dict[str, str]:
    """The settings that `files_of` reads, paths made absolute."""
    kind = "path" if isinstance(config, FolderConfig) else "root"
    return {"name": config.name, kind: str(Path(getattr(config, kind)).expanduser().absolute())}


def read_source(entry: Entry) -> Source:
    arrays, facts = entry.arrays, entry.facts
    x: Features = arrays["x"] if facts["x"] is None else matrix_of("x", arrays, facts["x"])
    graph = Graph(
        name=facts["name"],
        x=x,
        adj=matrix_of("adj", arrays, facts["adj"]),
        y=arrays["y"],
        splits=tuple(Split(*masks) for masks in arrays.get("masks", ())),
        num_classes=facts["num_classes"],
        metric=facts["metric"],
        symmetric=facts["symmetric"],
        inductive=facts["inductive"],
        edge_attr=arrays.get("edge_attr"),
        class_names=tuple(facts["class_names"]),
        node_ids=_ids(arrays, "ids_"),
        groups=_groups(arrays, facts["groups"]),
        schema=Schema.from_json(facts["schema"]),
        regression=facts["regression"],
    )
    return Source(graph, entry.digests, facts["topology"], [(int(level), str(line)) for level, line in facts["said"]])


def _groups(arrays: Mapping[str, Tensor], facts: Mapping[str, Any] | None) -> Grouping | None:
    values = _ids(arrays, "groups_")
    return None if facts is None or values is None else Grouping(facts["column"], facts["ordered"], arrays["groups_code"], values)


def _ids(arrays: Mapping[str, Tensor], prefix: str) -> NodeIds | None:
    stored = {name.removeprefix(prefix): tensor for name, tensor in arrays.items() if name.startswith(prefix)}
    return NodeIds(stored.get("numbers"), stored.get("data"), stored.get("offsets")) if stored else None


def matrix_arrays(name: str, matrix: CSR) -> dict[str, Tensor | Path]:
    """The arrays of a matrix; values only where one differs from 1."""
    arrays: dict[str, Tensor | Path] = {f"{name}_rowptr": _table(matrix.rowptr), f"{name}_col": _table(matrix.col)}
    if matrix.weighted:
        arrays[f"{name}_value"] = _table(matrix.value)
    if matrix.attr_row is not None:
        arrays[f"{name}_attr_row"] = _table(matrix.attr_row)
    return arrays


def matrix_facts(matrix: CSR) -> dict[str, Any]:
    return {"num_cols": matrix.num_cols, "symmetric": matrix.symmetric}


def matrix_of(name: str, arrays: Mapping[str, Tensor], facts: Mapping[str, Any]) -> CSR:
    rowptr, col = arrays[f"{name}_rowptr"], arrays[f"{name}_col"]
    value = arrays.get(f"{name}_value")
    if value is None:
        value = torch.ones(col.numel())
    return CSR(rowptr, col, value, facts["num_cols"], facts["symmetric"], attr_row=arrays.get(f"{name}_attr_row"))


def _table(tensor: Tensor) -> Tensor | Path:
    """The file that the tensor is mapped from, where there is one: nothing is copied then."""
    return file_of(tensor.numpy()) or tensor


def _masks(graph: Graph) -> Tensor:
    """bool [S, 3, N]: train, val and test of every split."""
    return torch.stack([torch.stack([split.train, split.val, split.test]) for split in graph.splits])
