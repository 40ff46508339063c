"""What a run of gas-train needs at once: its data, and the tensors of one training step."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gas_cli.batch.batch import Batch
    from gas_cli.training.trainer import Trainer


def measure_floor(overrides: list[str]) -> dict[str, int]:
    """Bytes of what the case needs at once, by kind."""
    from gas_cli.config.compose import compose_config
    from gas_cli.run import prepare
    from gas_cli.training.assemble import make_trainer

    config = compose_config([*overrides, "trainer.prefetch=0"])
    problem = prepare(config)
    with tempfile.TemporaryDirectory() as folder:
        trainer = make_trainer(config, problem, Path(folder))
        worst = measure_epoch(trainer)
    per_node = problem.graph.y.nbytes + problem.partition.node_perm.nbytes
    histories = 0 if trainer.histories is None else trainer.histories.nbytes
    data = problem.nbytes
    return {
        "graph": data["graph"] + per_node,
        "features": data["features"],
        "histories": histories,
        **worst,
    }


def measure_epoch(trainer: Trainer) -> dict[str, int]:
    """Bytes of a `step` at its worst moment, its batch not among them, and of the largest `batch`."""
    from scripts.lib.live_bytes import LiveBytes, UncountedLoader

    counter, sizes = LiveBytes(), [0]
    counter.ignore(known_tensors(trainer))  # counted by their own names, or not at all
    counter.count(list(trainer.model.parameters()))

    def noted(batch: Batch) -> Batch:
        sizes.append(batch.nbytes)
        return batch

    trainer.epochs.loader = UncountedLoader(trainer.epochs.loader, counter, noted)  # type: ignore[assignment]
    with counter:
        trainer.train_epoch()
    return {"step": counter.peak, "batch": max(sizes)}


def known_tensors(trainer: Any) -> list[Any]:
    """What exists before a step and after it."""
    graph, adj = trainer.problem.graph, trainer.problem.adj
    x = [graph.x.rowptr, graph.x.col, graph.x.value] if hasattr(graph.x, "rowptr") else [graph.x]
    tables = [] if trainer.histories is None else [table.state() for table in trainer.histories]
    sums = [] if trainer.problem.feature_sums is None else [trainer.problem.feature_sums]
    masks = [mask for split in graph.splits for mask in (split.train, split.val, split.test)]
    return [*x, adj.rowptr, adj.col, adj.value, graph.y, trainer.problem.partition.node_perm, *tables, *sums, *masks]
