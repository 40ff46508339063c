"""What a method costs: the training steps of an epoch and the memory of a step, by method, in turns.

    python -m benchmarks.methods [--root ../shared/datasets] [--rounds 5] [--cases arxiv-size-gcn ...]

Everything runs on one thread, whose processor seconds are counted: other programs disturb these less than the clock on the wall. Memory is
that of all tensors of the largest step (batch, rows, gradients, optimizer), counted as on a device; tables are on the host.
"""

from __future__ import annotations

import argparse
from typing import Any

from benchmarks.lib.cases import GRAPHS, MODELS, scaled
from benchmarks.lib.turns import clock_of, in_turns, ratio, shown, summary
from scripts.lib.command_line import BENCHMARK, add_choices, make_parser, result_name, run_script, without_files
from scripts.lib.report import Content, left_out, rounds_of, write

GAS = "gas"
VARIANTS: dict[str, tuple[str, ...]] = {
    GAS: (),
    "gradient histories": ("method.gradients=history",),
    "gradient histories, measured trust": ("method.gradients=history", "method.trust=measured"),
}
CASES: dict[str, tuple[str, ...]] = {
    **{f"half-arxiv-size-{model}": (*scaled(GRAPHS["arxiv-size"], 0.5), *MODELS[model]) for model in ("gcn", "sage", "gin", "gcnii")},
    "citeseer-appnp": ("dataset=citeseer", "model=appnp"),
    "cora-gcn": ("dataset=cora", "model=gcn"),
    "physics-gcnii": ("dataset=coauthor-physics", "model=gcnii"),
}
QUICK = ("cora-gcn", "half-arxiv-size-gcn")
REAL = tuple(case for case in CASES if not case.startswith("half-arxiv"))


def main() -> None:
    parser = make_parser(__doc__, *BENCHMARK, "--root", rounds=5)
    add_choices(parser, "--cases", CASES)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.cases, arguments.rounds = [case for case in arguments.cases if case in QUICK], 1
    rows: list[dict[str, Any]] = []
    missing = without_files(REAL, arguments)
    settings = {"missing": missing, "clock": clock_of(1, arguments.device)[1]}
    for case in (case for case in arguments.cases if case not in missing):
        rows += compare(case, arguments)
        print("\n".join(map(text_row, rows[-len(VARIANTS) :])), flush=True)
        write(result_name("methods", arguments), rows, table, settings, arguments.out)


def compare(case: str, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each method: seconds of its epochs and bytes of its step, with their ratios to GAS's."""
    import torch

    from benchmarks.lib.our_training import make_trainer
    from gas_cli.config.compose import compose_config
    from gas_cli.run import prepare
    from gas_cli.training.trainer import Trainer
    from scripts.lib.epoch_cost import step_bytes

    torch.set_num_threads(1)
    common = (*CASES[case], f"dataset.root={arguments.root}", f"device={arguments.device}", "trainer.prefetch=0")
    trainers: dict[str, Trainer] = {}
    for variant, settings in VARIANTS.items():
        # The scale of the loss is that of gradient histories everywhere: a batch weighs the same.
        config = compose_config([*common, "trainer.loss_weighting=full_batch", *settings])
        trainers[variant] = make_trainer(config, prepare(config))

    def epoch(trainer: Trainer) -> None:
        trainer.train_epoch()
        trainer.progress.next_epoch()

    steps = {variant: (lambda trainer=trainer: epoch(trainer)) for variant, trainer in trainers.items()}  # type: ignore[misc]
    seconds = in_turns(steps, arguments.rounds, clock_of(1, arguments.device)[0])
    memory = {variant: step_bytes(trainer) for variant, trainer in trainers.items()}
    return [
        {
            "case": case,
            "method": variant,
            "seconds": summary(seconds[variant]),
            "ratio": ratio(seconds[variant], seconds[GAS]),
            "step_bytes": memory[variant],
            "step_ratio": memory[variant] / memory[GAS],
            "table_bytes": trainers[variant].method.nbytes,
        }
        for variant in VARIANTS
    ]


def text_row(row: dict[str, Any]) -> str:
    memory = f"{row['step_bytes'] / 2**20:.1f} | {row['step_ratio']:.2f}x | {row['table_bytes'] / 2**20:.1f}"
    return f"| {row['case']} | {row['method']} | {shown(row['seconds'])} | {row['ratio']:.2f}x | {memory} |"


def table(content: Content) -> str:
    rounds = rounds_of([len(row["seconds"]["all"]) for row in content["rows"]])
    settings = content["settings"]
    lines = [
        "# The cost of methods",
        "",
        f"The training steps of an epoch, {settings['clock']}: the median (smallest to largest) of {rounds} in turns. Ratios to `gas` are "
        "medians of the ratios within a round. Step: MiB of the largest step's tensors, batch included. Tables: MiB of all nodes' rows.",
        "",
        "| case | method | seconds | to gas | step, MiB | to gas | tables, MiB |",
        "|---|---|---|---|---|---|---|",
        *map(text_row, content["rows"]),
        *left_out(settings["missing"]),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    run_script(main)
