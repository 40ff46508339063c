"""An epoch of neighbour sampling: ours, PyG's NeighborLoader with its SAGEConv, and GAS on the same graph, in turns.

    python -m benchmarks.sampling [--rounds 5] [--quick] [--nodes 40000]

GraphSAGE, 10 neighbours per node and layer, about 1024 seeds per step; no evaluation, no refresh. Building alone (draw the neighbours,
gather the features) is timed apart, against PyG's loader and against a sampler of whole-array operations of NumPy, which gathers nothing.
PyG needs pyg-lib or torch-sparse: without them it is left out, and the table says so. Writes results/sampling-cpu.md and .json.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.lib.turns import in_turns, ratio, summary
from scripts.lib.command_line import make_parser, result_name, run_script
from scripts.lib.report import Content, left_out, write

LAYERS, SEEDS = 3, 1024
TITLES = {
    "sampling": "ours, `method=sampling`",
    "gas": "ours, `method=gas` (40 parts, 10 per step)",
    "pyg": "PyG, NeighborLoader and SAGEConv",
    "numpy": "NumPy, no features",
}


def main() -> None:
    parser = make_parser(__doc__, "--device", "--rounds", "--quick", "--out", rounds=5)
    parser.add_argument("--nodes", type=int, default=40_000)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.nodes, arguments.rounds = 3000, 1
    rows, missing, sizes = measure(arguments.nodes, arguments.rounds, arguments.device)
    settings = {"nodes": arguments.nodes, "rounds": arguments.rounds, **sizes}
    write(result_name("sampling", arguments), rows, table, settings, arguments.out, missing=missing)


def measure(nodes: int, rounds: int, device: str) -> tuple[list[dict[str, Any]], dict[str, str], dict[str, int]]:
    """Rows of epochs and of building alone, why what is not there is missing, and the sizes of a step."""
    from benchmarks.lib.pyg_training import NEIGHBORS, Missing
    from gas_cli.config.compose import compose_config
    from gas_cli.run import prepare

    settings = (
        "dataset=generated", f"dataset.num_nodes={nodes}", "dataset.average_degree=13.7", "dataset.num_features=128", "model=sage",
        "dataset.num_communities=40", "dataset.train_fraction=0.5", f"model.num_layers={LAYERS}", "model.hidden_channels=256",
        "partitioner.cache=null", "evaluation.every=null", f"device={device}",
    )  # fmt: skip
    of_parts = compose_config([*settings, "method=gas", "partitioner.num_parts=40", "trainer.batch_parts=10"])
    problem = prepare(compose_config([*settings, "method=sampling"]))
    num_train = int(problem.graph.splits[0].train.sum())
    steps = -(-num_train // SEEDS)
    sampled = compose_config(
        [*settings, "method=sampling", f"method.neighbours={NEIGHBORS}", f"method.batch_size={-(-num_train // steps)}"]
    )
    ours, gas = trainer_of(sampled, problem), trainer_of(of_parts, prepare(of_parts))
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
    rows = [*rows_of("epoch", in_turns(epochs, rounds, time.perf_counter)), *rows_of("build", in_turns(builds, rounds, time.perf_counter))]
    return rows, missing, sizes


def rows_of(what: str, seconds: dict[str, list[float]]) -> list[dict[str, Any]]:
    base = seconds["sampling"]
    return [{"what": what, "variant": name, **summary(taken), "ratio": ratio(taken, base)} for name, taken in seconds.items()]


def trainer_of(config: Any, problem: Any) -> Any:
    from benchmarks.lib.our_training import make_trainer

    return make_trainer(config, problem)


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
        f"{settings['nodes_read']:,} nodes. Seconds of the wall clock, medians of {settings['rounds']} rounds in turns; ratios are medians "
        "of the ratios within a round.",
    ]
    for what, title in (("epoch", "training epoch"), ("build", "batches of an epoch, one thread")):
        lines += ["", f"| {title} | seconds | smallest | to ours |", "|---|---|---|---|"]
        lines += [
            f"| {TITLES[row['variant']]} | {row['median']:.2f} | {row['min']:.2f} | {row['ratio']:.2f}x |"
            for row in content["rows"]
            if row["what"] == what
        ]
    return "\n".join([*lines, *left_out(content["missing"])])


if __name__ == "__main__":
    run_script(main)
