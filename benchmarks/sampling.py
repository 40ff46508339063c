"""An epoch of neighbour sampling: ours, PyG's NeighborLoader with its SAGEConv, and GAS on the same graph, in turns.

    python -m benchmarks.sampling [--rounds 5] [--quick] [--nodes 20000]

GraphSAGE, 10 neighbours per node and layer, about 1024 seeds per step; no evaluation, no refresh. Building alone (draw the neighbours,
gather the features) is timed apart, against PyG's loader and against a sampler of whole-array operations of NumPy, which gathers nothing.
PyG needs pyg-lib or torch-sparse: without them it is left out, and the table says so. Writes results/sampling-cpu.md and .json.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.lib.turns import in_turns, ratio, summary
from scripts.lib.command_line import BENCHMARK, make_parser, result_name, run_script
from scripts.lib.report import Content, left_out, write

NODES, LAYERS, SEEDS = 20_000, 3, 1024
CASES = {"epoch": "training epoch", "build": "batches of an epoch, without training"}
TITLES = {
    "sampling": "ours, `method=sampling`",
    "gas": "ours, `method=gas` (40 parts, 10 per step)",
    "pyg": "PyG, NeighborLoader",
    "numpy": "NumPy, no features",
}


@dataclass(frozen=True)
class Comparison:
    """What takes turns in each case, by variant; why others are missing; the sizes of a step."""

    cases: dict[str, dict[str, Callable[[], Any]]]
    missing: dict[str, str]
    sizes: dict[str, int]
    clock: Callable[[], float]


def main() -> None:
    parser = make_parser(__doc__, *BENCHMARK, rounds=5)
    parser.add_argument("--nodes", type=int, default=NODES, help="of the generated graph (default: %(default)s)")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.nodes, arguments.rounds = 3000, 1
    comparison = prepare(arguments.nodes, arguments.device)
    settings = {"device": arguments.device, "nodes": arguments.nodes, "rounds": arguments.rounds, **comparison.sizes}
    settings["missing"] = comparison.missing
    rows: list[dict[str, Any]] = []
    for what, steps in comparison.cases.items():
        rows += rows_of(what, in_turns(steps, arguments.rounds, comparison.clock))
        write(result_name("sampling", arguments), rows, table, settings, arguments.out)


def prepare(nodes: int, device: str) -> Comparison:
    """The graph, and a trainer of each variant on it."""
    from benchmarks.lib.our_training import clock_for, make_trainer
    from benchmarks.lib.pyg_training import NEIGHBORS, Missing
    from gas_cli import run
    from gas_cli.config.compose import compose_config

    settings = (
        "dataset=generated", f"dataset.num_nodes={nodes}", "dataset.average_degree=13.7", "dataset.num_features=128", "model=sage",
        "dataset.num_communities=40", "dataset.train_fraction=0.5", f"model.num_layers={LAYERS}", "model.hidden_channels=256",
        "partitioner.cache=null", "evaluation.every=null", f"device={device}",
    )  # fmt: skip
    of_parts = compose_config([*settings, "method=gas", "partitioner.num_parts=40", "trainer.batch_parts=10"])
    problem = run.prepare(compose_config([*settings, "method=sampling"]))
    num_train = int(problem.graph.splits[0].train.sum())
    steps = -(-num_train // SEEDS)
    sampled = compose_config(
        [*settings, "method=sampling", f"method.neighbours={NEIGHBORS}", f"method.batch_size={-(-num_train // steps)}"]
    )
    ours, gas = make_trainer(sampled, problem), make_trainer(of_parts, run.prepare(of_parts))
    epochs: dict[str, Callable[[], Any]] = {"sampling": ours_epoch(ours), "gas": ours_epoch(gas)}
    builds: dict[str, Callable[[], Any]] = {"sampling": lambda: build_all(ours), "numpy": lambda: build_with_numpy(ours)}
    missing: dict[str, str] = {}
    try:
        training = pyg_training(problem.graph, sampled, steps)
        epochs["pyg"] = training.run_epoch
        builds["pyg"] = lambda: sum(1 for _ in training.epoch())
    except Missing as error:
        missing["PyG"] = str(error)
    batch = ours.epochs.loader.builder.build(ours.epochs.groups(1)[0])
    sizes = {
        "edges": problem.graph.num_edges, "train": num_train, "steps": steps, "seeds": batch.num_train,
        "nodes_read": batch.blocks[0].num_targets + batch.blocks[0].num_halo,
    }  # fmt: skip
    return Comparison({"epoch": epochs, "build": builds}, missing, sizes, clock_for(ours.device))


def rows_of(what: str, seconds: dict[str, list[float]]) -> list[dict[str, Any]]:
    """A row for each variant, with its ratio to our sampling's seconds."""
    base = seconds["sampling"]
    return [{"what": what, "variant": name, **summary(taken), "ratio": ratio(taken, base)} for name, taken in seconds.items()]


def ours_epoch(trainer: Any) -> Callable[[], None]:
    def epoch() -> None:
        trainer.train_epoch()
        trainer.epochs.close()  # the next epoch's batches are not built in the time of others
        trainer.progress.next_epoch()

    return epoch


def build_all(trainer: Any) -> None:
    """The batches of an epoch, on this thread."""
    for group in trainer.epochs.groups(trainer.progress.epoch):
        trainer.epochs.loader.builder.build(group)


def pyg_training(graph: Any, config: Any, steps: int) -> Any:
    """PyG's model and steps with as many seeds and neighbours as ours. Raises Missing."""
    import torch
    from torch_geometric.data import Data

    from benchmarks.lib.pyg_training import Training, dense, edge_index, neighbor_loader
    from gas_cli.training.assemble import pick_device
    from scripts.lib.pyg_models import build

    data = Data(x=dense(graph), edge_index=edge_index(graph), y=graph.y, train=graph.splits[0].train)
    loader, device = neighbor_loader(data, config.model.num_layers, steps), pick_device(config.device)
    model = build(config.model, graph.num_features, graph.num_classes, graph.adj.rowptr.diff(), cached=False).to(device)

    def epoch() -> Iterator[tuple[Any, ...]]:
        for sample in loader:
            batch = sample.to(device)
            yield batch.x, batch.edge_index, batch.y, slice(0, batch.batch_size)

    return Training(model, torch.optim.Adam(model.parameters(), lr=config.optimizer.lr), epoch, device)


def build_with_numpy(trainer: Any) -> None:
    """The blocks' edges and nodes of an epoch by whole-array operations."""
    builder = trainer.epochs.loader.builder
    rowptr, col, _ = builder.data.adj.arrays
    rng, seeds = np.random.default_rng(0), builder.seeds.numpy()
    for group in trainer.epochs.groups(trainer.progress.epoch):
        targets = seeds[np.array(group) % seeds.size]
        for fan_out in reversed(builder.fan_outs):
            _, sources = draw(rowptr, col, targets, fan_out, rng)
            targets = np.concatenate([targets, np.setdiff1d(sources, targets)])


def draw(
    rowptr: NDArray[np.int64], col: NDArray[np.int32], targets: NDArray[np.int64], fan_out: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """(target's number, source) of at most `fan_out` different entries of each target's row: those with the smallest of random numbers."""
    degree = rowptr[targets + 1] - rowptr[targets]
    rows = np.repeat(np.arange(targets.size), degree)
    first = np.cumsum(degree) - degree
    entry = np.arange(rows.size) - first[rows] + rowptr[targets][rows]
    order = np.argsort(rows + rng.random(rows.size))
    kept = order[np.arange(rows.size) - first[rows] < fan_out]
    return rows[kept], col[entry[kept]]


def table(content: Content) -> str:
    settings = content["settings"]
    lines = [
        "# Neighbour sampling",
        "",
        f"GraphSAGE of {LAYERS} layers and 256 channels on a generated graph of {settings['nodes']:,} nodes, {settings['edges']:,} edges; "
        f"10 neighbours per node and layer, {settings['steps']} steps of {settings['seeds']} seeds, whose first layer reads "
        f"{settings['nodes_read']:,} nodes. PyG's layer is SAGEConv. Seconds of the wall clock, medians of {settings['rounds']} rounds in "
        "turns; ratios are medians of the ratios within a round.",
    ]
    measured = {row["what"] for row in content["rows"]}
    for what, title in ((what, title) for what, title in CASES.items() if what in measured):
        lines += ["", f"| {title} | seconds | smallest | to ours |", "|---|---|---|---|"]
        lines += [
            f"| {TITLES[row['variant']]} | {row['median']:.2f} | {row['min']:.2f} | {row['ratio']:.2f}x |"
            for row in content["rows"]
            if row["what"] == what
        ]
    return "\n".join([*lines, *left_out(settings["missing"])])


if __name__ == "__main__":
    run_script(main)
