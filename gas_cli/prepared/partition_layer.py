"""The layers of a graph's parts: `partition` (which node is where), `edges` (the graph in that order), `weights` (for the aggregation)."""

from __future__ import annotations

import logging
from dataclasses import asdict, replace

import torch
from torch import Tensor

from gas_cli.config.partitioner import PartitionerConfig
from gas_cli.graph.normalize import normalize
from gas_cli.measure.memory import OnProcess
from gas_cli.ops.csr import CSR
from gas_cli.partition.inductive import make_inductive_partition
from gas_cli.partition.make import make_partition, report_dropped
from gas_cli.partition.partition import Partition, Quality
from gas_cli.partition.permute import permute_adjacency
from gas_cli.prepared.cache import Cache
from gas_cli.prepared.entry import Arrays, Entry, Facts, about
from gas_cli.prepared.graph_layer import Source, matrix_arrays, matrix_facts, matrix_of
from gas_cli.prepared.keys import ORDER, key_of, partition_key, partition_options

log = logging.getLogger(__name__)

PARTITION, EDGES, WEIGHTS = "partition", "edges", "weights"


def partition_of_source(
    source: Source, config: PartitionerConfig, cache: Cache, progress: bool, on_process: OnProcess
) -> tuple[Partition, str]:
    """The partition by `config`, and the key of its entry."""
    graph = source.graph
    if not cache.enabled:
        return _divide(source, config, progress, on_process), ""
    key = partition_key(source.topology, source.fingerprints["masks"] if graph.inductive else "", config)

    def read(entry: Entry) -> Partition:
        partition = read_partition(entry, graph.num_nodes)
        log.info("Partition read from the cache (%s).", cache.folder / PARTITION / key)
        report_dropped(partition)
        return partition

    def parts(partition: Partition) -> tuple[Arrays, Facts]:
        arrays, facts = partition_parts(partition)
        return arrays, {**facts, **about(graph.name, {"partitioner": config.name, **partition_options(config), "order": ORDER})}

    return cache.get(PARTITION, key, read, lambda: _divide(source, config, progress, on_process), parts), key


def _divide(source: Source, config: PartitionerConfig, progress: bool, on_process: OnProcess) -> Partition:
    graph = source.graph
    if graph.inductive:
        return make_inductive_partition(graph.adj, graph.splits[0].train, config, progress, on_process)
    return make_partition(graph.adj, config, progress, on_process)


def partition_parts(partition: Partition) -> tuple[Arrays, Facts]:
    facts = {"quality": asdict(partition.quality), "dropped": partition.dropped, "fingerprint": partition.fingerprint()}
    return {"node_perm": partition.node_perm, "part_ptr": partition.part_ptr}, facts


def read_partition(entry: Entry, num_nodes: int) -> Partition:
    """Raises ValueError where it is not what was written: all else stands on the order of the nodes, which is short enough to be read."""
    facts = entry.facts
    quality = Quality(**{name: float(value) for name, value in facts["quality"].items()})
    partition = Partition(entry.arrays["node_perm"], entry.arrays["part_ptr"], quality, int(facts["dropped"]))
    if partition.num_nodes != num_nodes or partition.fingerprint() != facts["fingerprint"]:
        raise ValueError("its checksum differs")
    return partition


def permuted_edges(source: Source, adj: CSR, partition: Partition, partition_entry: str, cache: Cache) -> tuple[CSR, str]:
    """`adj` of the source's graph, with the rows of edge attributes or without, in the order of the partition; the key of its entry."""
    if not cache.enabled or source.small:
        return permute_adjacency(adj, partition.node_perm), ""
    decisive = {name: source.fingerprints[name] for name in ("edges", "edge attributes")[: 1 if adj.attr_row is None else 2]}
    key = key_of("edges", partition=partition_entry, order=partition.fingerprint(), symmetric=adj.symmetric, **decisive)

    def parts(made: CSR) -> tuple[Arrays, Facts]:
        told = about(source.graph.name, {"edge_attributes": adj.attr_row is not None}, [f"{PARTITION}/{partition_entry}"])
        return matrix_arrays("adj", made), {**matrix_facts(made), **told}

    return cache.get(EDGES, key, read_edges, lambda: permute_adjacency(adj, partition.node_perm), parts), key


def read_edges(entry: Entry) -> CSR:
    return matrix_of("adj", entry.arrays, entry.facts)


def normalised(edges: CSR, edges_entry: str, kind: str | None, self_loops: bool, cache: Cache, dataset: str) -> tuple[CSR, str]:
    """The weights of the aggregation (`normalize`), and `layer/key` of their entry, or of the edges that they are ('': of none).

    Only the values are kept where the pattern is that of `edges`.
    """
    if not edges_entry or (kind is None and not self_loops):
        return normalize(edges, kind, self_loops), edges_entry and f"{EDGES}/{edges_entry}"
    key = key_of(kind or "none", edges=edges_entry, self_loops=self_loops or kind == "sym")

    def read(entry: Entry) -> CSR:
        if entry.facts["pattern"] == "own":
            return matrix_of("adj", entry.arrays, entry.facts)
        return replace(edges, value=_fits(entry.arrays["value"], edges), symmetric=entry.facts["symmetric"])

    told = about(dataset, {"normalization": kind, "self_loops": self_loops}, [f"{EDGES}/{edges_entry}"])

    def parts(made: CSR) -> tuple[Arrays, Facts]:
        if made.col is edges.col or made.col.data_ptr() == edges.col.data_ptr():
            return {"value": made.value}, {"pattern": "edges", **matrix_facts(made), **told}
        return matrix_arrays("adj", made), {"pattern": "own", **matrix_facts(made), **told}

    return cache.get(WEIGHTS, key, read, lambda: normalize(edges, kind, self_loops), parts), f"{WEIGHTS}/{key}"


def _fits(value: Tensor, edges: CSR) -> Tensor:
    if value.shape != edges.col.shape or value.dtype != torch.float32:
        raise ValueError("its values belong to other edges")
    return value
