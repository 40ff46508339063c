"""How GAS grows: a generated graph at 1x, 2x, 4x, 8x, with parts in proportion and as many of them in a step.

    python -m benchmarks.growth [--sizes 1 2 4 8] [--scale 1.0] [--rounds 3] [--minutes 9] [--device cpu|cuda]

The graph at 1x is that of ogbn-arxiv's size with 80 parts, 10 in a step; GCN 3x256 with batch norm and dropout. There are as many
communities as parts, and as many edges leave them as in the twin of ogbn-arxiv (scripts/lib/twins.py), whose halo comes near the published
one. So a part finds its neighbours at every size as before; labels are the communities modulo 40, so that the model stays the same. What a
batch grows by is its halo: of the edges that leave a community, which lead anywhere, more find their other end outside the batch. With
--mixing 0.3, as in the other benchmarks' graphs, halos are larger still.

Every size runs in a separate process, in turns. Seconds of an epoch per directed edge, by phase; those of METIS, of the rest of the
preparation, and of building an epoch's batches; the memory of a step (parameters, gradients, Adam's state, a batch and the next one,
activations), on the CPU counted tensor by tensor, on CUDA the allocator's peak, with histories on the host in both cases.
Writes results/growth-<device>.md and .json.
"""

from __future__ import annotations

import argparse
import statistics
from typing import TYPE_CHECKING, Any

from benchmarks.lib.cases import GRAPHS, MODELS, scaled
from benchmarks.lib.processes import Outcome, Task, parse, take_turns
from scripts.lib.command_line import BENCHMARK, make_parser, result_name, run_script
from scripts.lib.report import Content, left_out, rounds_of, write

if TYPE_CHECKING:
    from gas_cli.graph.graph import Graph

SIZES = (1, 2, 4, 8)
BATCH_PARTS = 10
MIXING = 0.15
COUNTED_STEPS = 8
"""Steps whose tensors are counted: the whole epoch at 1x."""
QUICK_SCALE = 0.1


def main() -> None:
    parser = make_parser(__doc__, *BENCHMARK, rounds=3, minutes=9)
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES))
    parser.add_argument("--mixing", type=float, default=MIXING, help="share of the edges that leave a community (default: %(default)s)")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the nodes and parts, at every size")
    arguments = parse(parser, work)
    if arguments.quick:
        arguments.sizes, arguments.rounds, arguments.scale = [1, 2], 1, QUICK_SCALE
    rows, missing = measure(arguments)
    settings = {"device": arguments.device, "mixing": arguments.mixing, "missing": missing}
    write(result_name("growth", arguments), rows, table, settings, arguments.out)


def measure(arguments: argparse.Namespace) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """A row for each size, and why others are missing."""
    outcomes, missing = take_turns(
        "benchmarks.growth",
        [(f"{size}x",) for size in arguments.sizes],
        lambda name, _, cache: task(int(name[0].removesuffix("x")), cache, arguments),
        arguments,
        lambda outcome: f"{outcome['seconds']:.3f} s per epoch",
    )
    return [combine(name, found) for (name,), found in outcomes.items() if found], missing


def task(size: int, cache: str, arguments: argparse.Namespace) -> Task:
    """`settings` of gas-train and the number of labels; fewer epochs of larger graphs, which have more steps each."""
    settings = dict(setting.split("=", 1) for setting in scaled(GRAPHS["arxiv-size"], arguments.scale, parts=True))
    nodes, parts = int(settings["dataset.num_nodes"]), max(2, int(settings["partitioner.num_parts"]))
    classes = min(int(settings["dataset.num_communities"]), parts)
    settings |= {"dataset.num_nodes": str(size * nodes), "partitioner.num_parts": str(size * parts)}
    settings |= {"dataset.num_communities": str(size * parts), "dataset.mixing": str(arguments.mixing)}
    settings |= {"trainer.batch_parts": str(max(1, round(arguments.scale * BATCH_PARTS))), "partitioner.cache": cache}
    settings |= {"device": arguments.device, "history.placement": "pinned" if arguments.device == "cuda" else "host"}
    given = [*(f"{key}={value}" for key, value in settings.items()), *MODELS["gcn"]]
    return {"settings": given, "classes": classes, "epochs": max(1, 3 // size)}


def work(task: Task) -> Outcome:
    """One size, in a separate process."""
    from benchmarks.lib.our_training import batches, make_trainer, peak, prepare_timed, time_epochs
    from gas_cli.config.compose import compose_config
    from gas_cli.graph.load import load_graph
    from gas_cli.run import prepare

    config = compose_config([*task["settings"], "evaluation.every=null", "history.refresh=null"])
    graph = with_labels_modulo(load_graph(config.dataset), task["classes"])
    problem, prepared = prepare_timed(lambda: prepare(config, graph=graph))
    trainer = make_trainer(config, problem)
    measured = {
        "nodes": graph.num_nodes,
        "edges": problem.adj.nnz,
        "parts": problem.partition.num_parts,
        **time_epochs(trainer, task["epochs"]),
    }
    measured |= {"peak_memory": peak(trainer), "prepared": prepared, **batches(trainer)}
    trainer.config.trainer.max_steps = COUNTED_STEPS
    return {**measured, "step_memory": step_memory(trainer)}


def with_labels_modulo(graph: Graph, classes: int) -> Graph:
    """The same graph with labels y mod `classes`."""
    from dataclasses import replace

    return replace(graph, y=graph.y % classes, num_classes=classes)


def step_memory(trainer: Any) -> int:
    """Bytes, as scripts/memory.py counts them for its table."""
    from scripts.lib.step_memory import trainer_peak

    return int(trainer_peak(trainer))


def combine(name: str, outcomes: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over the rounds; METIS' seconds are those of the round in which it ran, all else of preparing is the least."""
    row = {**outcomes[-1], "size": name, "rounds": len(outcomes), "all": [outcome["seconds"] for outcome in outcomes]}
    row["seconds"] = statistics.median(row["all"])
    row["phases"] = {phase: statistics.median(o["phases"][phase] for o in outcomes) for phase in row["phases"]}
    row["building"] = min(outcome["building"] for outcome in outcomes)
    row["step_memory"] = max(outcome["step_memory"] for outcome in outcomes)
    row["peak_memory"] = max(outcome["peak_memory"] for outcome in outcomes)
    metis, rest = (pick(o["prepared"][part] for o in outcomes) for pick, part in ((max, "metis"), (min, "rest")))
    return row | {"prepared": {"metis": metis, "rest": rest}}


def per_edge(row: dict[str, Any]) -> float:
    """Nanoseconds of an epoch for each directed edge, self-loops included."""
    return float(1e9 * row["seconds"] / row["edges"])


def table(content: Content) -> str:
    rows, settings = content["rows"], content["settings"]
    memory = "the allocator's peak" if settings["device"] == "cuda" else "tensors counted one by one"
    lines = [
        "# Growth of the graph, of its parts, not of a step",
        "",
        f"GCN 3x256 with batch norm and dropout, {settings['device']}; medians of {rounds_of([row['rounds'] for row in rows])} in turns. "
        "Communities and parts, equally many, grow with the nodes; a step has as many parts at every size. In brackets: to the smallest "
        f"graph. A share of {settings['mixing']} of the edges leaves a community, and leads anywhere: of a larger graph more of them leave "
        f"the batch, hence a larger halo. Step memory: {memory}, histories on the host; a row is a target or a halo node of a step. METIS "
        "runs in its own process.",
        "",
        "| graph | nodes | edges | parts | halo / targets | s per epoch | ns per edge | step memory, MiB | KiB per row | METIS, s "
        "| rest of preparing, s | building batches, s | of the epoch | pulled + pushed, MiB | peak memory, GiB |",
        f"|{'---|' * 15}",
        *(text_row(row, rows[0]) for row in rows),
        *left_out(settings["missing"]),
    ]
    return "\n".join(lines)


def text_row(row: dict[str, Any], first: dict[str, Any]) -> str:
    cells = [
        row["size"],
        f"{row['nodes']:,}",
        f"{row['edges']:,}",
        row["parts"],
        f"{row['halo'] / row['targets']:.2f}",
        f"{row['seconds']:.3f}",
    ]
    cells.append(f"{per_edge(row):.0f} ({per_edge(row) / per_edge(first):.2f}x)")
    cells.append(f"{row['step_memory'] / 2**20:.0f} ({row['step_memory'] / first['step_memory']:.2f}x)")
    cells.append(f"{row['step_memory'] * row['steps'] / (row['targets'] + row['halo']) / 2**10:.2f}")
    cells += [f"{row['prepared']['metis']:.1f}", f"{row['prepared']['rest']:.1f}", f"{row['building']:.3f}"]
    cells.append(f"{100 * row['building'] / row['seconds']:.1f} %")
    cells += [f"{(row['pulled'] + row['pushed']) / 2**20:.0f}", f"{row['peak_memory'] / 2**30:.2f}"]
    return f"| {' | '.join(str(cell) for cell in cells)} |"


if __name__ == "__main__":
    run_script(main)
