"""What each shortcut of an epoch is worth: an epoch as shipped, and one with the shortcut taken back, in turns.

    python -m benchmarks.shortcuts [--root ../shared/datasets] [--rounds 5] [--cases physics-gcn ...]

Shortcuts: the first layer's weighted sum of the features made once, the last layer's messages only to training nodes, the nodes of a part
in breadth-first order; and, the other way round, `precision=bfloat16`. On the CPU one thread does all, and its processor seconds are
counted: other programs disturb these less than the clock on the wall.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from benchmarks.lib.cases import GRAPHS, MODELS, scaled
from benchmarks.lib.turns import clock_of, in_turns, ratio, shown, summary
from scripts.lib.command_line import BENCHMARK, add_choices, make_parser, result_name, run_script, without_files
from scripts.lib.report import Content, left_out, rounds_of, write

if TYPE_CHECKING:
    from gas_cli.config.root import Config
    from gas_cli.prepared.problem import Problem

SHIPPED = "as shipped"
WHOLE_LAST_LAYER = "last layer of all targets"
SUMMED_EACH_STEP = "features summed in each step"
AS_NUMBERED = "nodes of a part as numbered"
READ: dict[str, dict[str, bool]] = {SUMMED_EACH_STEP: {"messages": True, "own": True}, WHOLE_LAST_LAYER: {"others": True}}
"""What the model of a variant reads although it has no need to."""
VARIANTS: dict[str, tuple[str, ...]] = {
    SHIPPED: (),
    SUMMED_EACH_STEP: (),
    WHOLE_LAST_LAYER: (),
    AS_NUMBERED: (),
    "bfloat16": ("precision=bfloat16",),
}
CASES: dict[str, tuple[str, ...]] = {
    "half-arxiv-size-gcn": (*scaled(GRAPHS["arxiv-size"], 0.5), *MODELS["gcn"]),
    "reddit-density-gcn": (*scaled(GRAPHS["reddit-density"], 0.5), *MODELS["gcn"]),
    "cora-gcn": ("dataset=cora", "model=gcn"),
    "physics-gcn": ("dataset=coauthor-physics", "model=gcn"),
    "physics-gat": ("dataset=coauthor-physics", "model=gat"),
    "physics-gcnii": ("dataset=coauthor-physics", "model=gcnii"),
}
QUICK = ("cora-gcn", "half-arxiv-size-gcn")
REAL = tuple(case for case in CASES if not case.startswith(("half-arxiv", "reddit")))


def main() -> None:
    parser = make_parser(__doc__, *BENCHMARK, "--root", rounds=5)
    add_choices(parser, "--cases", CASES)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.cases, arguments.rounds = [case for case in arguments.cases if case in QUICK], 1
    rows = []
    missing = without_files(REAL, arguments)
    for case in (case for case in arguments.cases if case not in missing):
        rows += compare(case, arguments)
        print("\n".join(map(text_row, rows[-len(VARIANTS) :])), flush=True)
    settings = {"missing": missing, "clock": clock_of(1, arguments.device)[1]}
    write(result_name("shortcuts", arguments), rows, table, settings, arguments.out)


def compare(case: str, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each variant: seconds of its epochs, and their ratio to those as shipped."""
    settings = (*CASES[case], f"dataset.root={arguments.root}", f"device={arguments.device}")
    epochs = {variant: epoch_of(variant, settings) for variant in VARIANTS}
    seconds = in_turns(epochs, arguments.rounds, clock_of(1, arguments.device)[0])
    return [
        {"case": case, "variant": variant, "seconds": summary(seconds[variant]), "ratio": ratio(seconds[variant], seconds[SHIPPED])}
        for variant in VARIANTS
    ]


def epoch_of(variant: str, settings: Sequence[str]) -> Callable[[], None]:
    """The steps of one epoch, without refresh and evaluation."""
    import torch

    from benchmarks.lib.our_training import make_trainer
    from gas_cli.config.compose import compose_config
    from gas_cli.run import prepare

    torch.set_num_threads(1)
    # Batches are built by the thread whose seconds are counted.
    config = compose_config([*settings, *VARIANTS[variant], "trainer.prefetch=0"])
    problem = as_numbered(prepare(config), config) if variant == AS_NUMBERED else prepare(config)
    trainer = make_trainer(config, problem, reading=lambda reading: replace(reading, **READ.get(variant, {})))

    def epoch() -> None:
        trainer.train_epoch()
        trainer.progress.next_epoch()

    return epoch


def as_numbered(problem: Problem, config: Config) -> Problem:
    """The problem with the nodes of each part in the order of their ids."""
    import torch

    from gas_cli.graph.load import load_graph
    from gas_cli.graph.normalize import normalize
    from gas_cli.partition.permute import permute_graph
    from gas_cli.prepared.problem import made

    pieces = problem.partition.node_perm.split(problem.partition.part_ptr.diff().tolist())
    partition = replace(problem.partition, node_perm=torch.cat([nodes.sort().values for nodes in pieces]))
    graph = permute_graph(load_graph(config.dataset), partition)
    adj = normalize(graph.adjacency(), config.model.normalization, config.model.self_loops)
    return replace(problem, graph=graph, adj=adj, partition=partition, keep_sums=made)


def text_row(row: dict[str, Any]) -> str:
    return f"| {row['case']} | {row['variant']} | {shown(row['seconds'])} | {row['ratio']:.2f}x |"


def table(content: Content) -> str:
    rounds = rounds_of([len(row["seconds"]["all"]) for row in content["rows"]])
    settings = content["settings"]
    lines = [
        "# Shortcuts of an epoch, taken back one at a time",
        "",
        f"GAS, the training steps of an epoch, {settings['clock']}: the median (smallest to largest) of {rounds} in turns. Ratios are "
        "medians of the ratios within a round. Above 1, the shortcut pays; bfloat16, which is not on by itself, pays below 1.",
        "",
        "| case | variant | seconds | to as shipped |",
        "|---|---|---|---|",
        *map(text_row, content["rows"]),
        *left_out(settings["missing"]),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    run_script(main)
