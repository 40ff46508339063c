"""From a graph, or from the cache, to a `Problem`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from gas_cli.config.root import Config
from gas_cli.config.training import EvaluationConfig
from gas_cli.errors import UserError
from gas_cli.graph.graph import Graph
from gas_cli.graph.make_splits import with_splits
from gas_cli.measure.memory import RESIDENT, StagePeaks, release_free_memory, resident_bytes
from gas_cli.partition.auto import quarter
from gas_cli.partition.partition import Partition
from gas_cli.partition.permute import order_features, permute_nodes
from gas_cli.prepared.cache import Cache
from gas_cli.prepared.feature_layer import featured
from gas_cli.prepared.graph_layer import Source, load_source
from gas_cli.prepared.partition_layer import normalised, partition_of_source, permuted_edges
from gas_cli.prepared.problem import Preparation, Problem
from gas_cli.prepared.sums_layer import KeptSums

Look = Callable[[Graph], Config]
"""Called with the graph as it was loaded, before anything that takes long: the settings, with the parts decided; may raise UserError."""
Reduce = Callable[[Problem], Problem]
"""Gives the problem back, or its `summed` where nothing else is read: features then need not be put into the order of the nodes."""


def everything(problem: Problem) -> Problem:
    """Features are read."""
    return problem


def prepare_files(config: Config, reads_attributes: bool, look: Look, progress: bool = False, reduce: Reduce = everything) -> Problem:
    """The problem of the dataset's files. `reads_attributes`: whether batches carry the edges' attributes, where there are any."""
    peaks = _started_peaks()
    cache = Cache(config.partitioner.cache, config.partitioner.cache_bytes)
    with peaks.stage("load"):
        source = load_source(config.dataset, cache, progress)
        source = source.divided(with_splits(source.graph, config.dataset))
        held = [featured(source, config.dataset, cache)]
        del source
    config = look(held[0].graph)
    return _prepared(held, config, reads_attributes, cache, progress, peaks, reduce)


def prepare_loaded(
    graph: Graph, config: Config, reads_attributes: bool, look: Look, progress: bool = False, reduce: Reduce = everything
) -> Problem:
    """The same for a graph at hand; partitions and what follows from them are kept under a hash of its content."""
    peaks = _started_peaks()
    cache = Cache(config.partitioner.cache, config.partitioner.cache_bytes)
    held = [featured(Source.of(with_splits(graph, config.dataset)), config.dataset, cache)]
    config = look(held[0].graph)
    return _prepared(held, config, reads_attributes, cache, progress, peaks, reduce)


def _started_peaks() -> StagePeaks:
    peaks = StagePeaks(resident=RESIDENT)
    peaks.peaks["resident"]["start"] = resident_bytes()  # the interpreter, libraries, and what this process did before
    return peaks


def _prepared(
    held: list[Source], config: Config, reads_attributes: bool, cache: Cache, progress: bool, peaks: StagePeaks, reduce: Reduce
) -> Problem:
    """`held` gives up its only element, so that the graph as it was loaded is freed as soon as it is permuted."""
    source = held.pop()
    _check_evaluation(config.evaluation, source.graph)
    memory = Preparation(peaks.peaks["resident"])
    partitioner = config.method.partitioner(config.partitioner).fitted(source.graph.num_nodes)
    one = partitioner.num_parts == 1 and (partitioner.name == "range" or (partitioner.name != "file" and not source.graph.inductive))
    if one:  # however it is made
        partitioner = replace(partitioner, name="range")
    kept = Cache(None) if one and source.small else cache  # one part of a small graph is made faster than read
    with peaks.stage("partition"):
        partition, entry = partition_of_source(source, partitioner, kept, progress, memory.processes.__setitem__)
    with peaks.stage("permute"):
        fingerprints = {**source.fingerprints, "partition": partition.fingerprint()}
        graph = source.graph if reads_attributes else without_attributes(source.graph)
        edges, entry = permuted_edges(source, graph.adjacency(), partition, entry, cache)
        kind, self_loops = config.model.normalization, config.model.self_loops
        adj, entry = normalised(edges, entry, kind, self_loops, cache, graph.name)
        sums = KeptSums(source, entry, cache)
        graph = permute_nodes(graph, partition, edges)
        del source
        if not sums.kept:  # else those who read nothing but A x are spared the features
            graph = order_features(graph)
        problem = Problem(graph, adj, partition, fingerprints, memory, keep_sums=sums, parts=_parts(config, partition))
    problem = reduce(problem)
    if problem.graph.x_row is not None:
        with peaks.stage("permute"):
            problem = replace(problem, graph=order_features(problem.graph))
    _check_batch_parts(config, problem.train_parts)
    release_free_memory()  # the arrays that preparing needed for a moment
    return problem


def without_attributes(graph: Graph) -> Graph:
    """The graph without its edge attributes: batches then carry none."""
    if graph.edge_dim == 0:
        return graph
    return replace(graph, edge_attr=None, adj=replace(graph.adj, attr_row=None))


def _check_evaluation(config: EvaluationConfig, graph: Graph) -> None:
    if graph.inductive and config.mode == "history":
        raise UserError(
            f"evaluation.mode=history is not valid for {graph.name}: it is inductive, so only the training nodes have "
            "histories. Use evaluation.mode=exact."
        )


def _check_batch_parts(config: Config, num_parts: int) -> None:
    """A file decides on its own how many parts there are, so only now can its number be checked."""
    batch_parts = config.trainer.batch_parts
    if config.partitioner.name == "file" and isinstance(batch_parts, int):
        config.method.check_parts(batch_parts, num_parts, f"the {{}} parts of {config.partitioner.file}")


def _parts(config: Config, partition: Partition) -> tuple[int, int]:
    """Parts, and parts per step, where they were decided or set; those that came out empty count. Of a file, all that it has."""
    if config.has_auto:
        return partition.num_parts, quarter(partition.num_parts)
    return config.partitioner.parts, config.trainer.parts_per_step
