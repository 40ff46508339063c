"""Seconds per training epoch: ours (GAS, full batch) and PyG's, full batch and through its loaders: same graph, same settings.

    python -m benchmarks.epoch_time [--root DIR] [--cases "arxiv-size gcn" ...] [--variants gas pyg ...] [--rounds 3] [--device cpu]
    python -m benchmarks.epoch_time --quick

Every variant runs in a separate process, so that peak memory is its own, and the variants take turns round by round, so that a
machine whose speed drifts slows all of them: read the ratios. Training steps only: evaluation, refreshes and start-up are not in it.
All variants run with the environment that gas-train sets for itself, which makes PyG faster as well.
Writes results/epoch-time-<device>.md and .json; with --quick, epoch-time-<device>-quick.
"""

from __future__ import annotations

import argparse
import statistics
from typing import Any

from benchmarks.lib.cases import CASES, FULL_BATCH, OURS, PLAIN, QUICK, VARIANTS
from benchmarks.lib.epoch_table import RATIOS, table
from benchmarks.lib.processes import Outcome, Task, by_case, parse, peak_memory, take_turns
from benchmarks.lib.turns import ratio
from scripts.lib.command_line import BENCHMARK, add_choices, make_parser, result_name, run_script, without_files
from scripts.lib.report import write


def main() -> None:
    parser = make_parser(__doc__, *BENCHMARK, "--root", rounds=3, minutes=30)
    add_choices(parser, "--cases", CASES)
    add_choices(parser, "--variants", VARIANTS)
    arguments = parse(parser, work)
    if arguments.quick:
        arguments.cases, arguments.rounds = list(QUICK), 1
    rows, missing = measure(arguments)
    write(result_name("epoch-time", arguments), rows, table, {"device": arguments.device, "missing": missing}, arguments.out)


def measure(arguments: argparse.Namespace) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """A row for each variant of each case, and why the others are missing."""
    lacking = without_files([case for case in CASES if CASES[case].real], arguments)
    names = [(case, variant) for case in arguments.cases if case not in lacking for variant in wanted(case, arguments)]
    outcomes, missing = take_turns(
        "benchmarks.epoch_time",
        names,
        lambda name, _, cache: task(name[0], name[1], cache, arguments),
        arguments,
        lambda outcome: f"{outcome['seconds']:.4f} s",
    )
    rows = [combine(case, variant, found) for case, found in by_case(outcomes, missing).items() for variant in found]
    return rows, lacking | missing


def wanted(case: str, arguments: argparse.Namespace) -> list[str]:
    """Its variants; a quick run leaves out PyG's loaders, which take as long as all others."""
    asked = (*PLAIN, *FULL_BATCH) if arguments.quick else VARIANTS
    return [variant for variant in CASES[case].variants if variant in arguments.variants and variant in asked]


def task(case: str, variant: str, cache: str, arguments: argparse.Namespace) -> Task:
    settings = [*CASES[case].settings, f"dataset.root={arguments.root}", f"device={arguments.device}", f"partitioner.cache={cache}"]
    return {"settings": settings, "variant": variant, "epochs": 1 if arguments.quick else CASES[case].epochs}


def combine(case: str, variant: str, measured: dict[str, list[Outcome]]) -> dict[str, Any]:
    """Medians over the rounds, and ratios within them; METIS' seconds are those of the round in which it ran."""
    outcomes = measured[variant]
    seconds = {name: [outcome["seconds"] for outcome in found] for name, found in measured.items()}
    row: dict[str, Any] = {"case": case, "variant": variant, "rounds": len(outcomes)}
    row |= {"seconds": statistics.median(seconds[variant]), "spread": [min(seconds[variant]), max(seconds[variant])]}
    row["peak_memory"] = max(outcome["peak_memory"] for outcome in outcomes)
    row |= {f"ratio_to_{other}": ratio(seconds[variant], seconds[other]) for other in RATIOS if seconds.get(other)}
    row["phases"] = {name: statistics.median(o["phases"][name] for o in outcomes) for name in outcomes[0]["phases"]}
    row |= {name: value for name, value in outcomes[-1].items() if name not in row and name != "prepared"}
    prepared = [outcome["prepared"] for outcome in outcomes if "prepared" in outcome]
    return row | ({"prepared": {name: max(found[name] for found in prepared) for name in prepared[0]}} if prepared else {})


def work(task: Task) -> Outcome:
    """One measurement, in a separate process. PyG gets the environment of `import gas_cli` too, which makes it faster as well."""
    settings, variant = task["settings"], task["variant"]
    if variant in OURS:
        from benchmarks.lib.our_training import measure_epochs

        return measure_epochs([*settings, *OURS[variant]], task["epochs"])
    from benchmarks.lib.pyg_training import measure_epochs as measure_pyg
    from benchmarks.lib.pyg_training import or_missing
    from gas_cli.config.compose import compose_config
    from gas_cli.training.assemble import pick_device

    config = compose_config(settings)
    return or_missing(lambda: {**measure_pyg(config, variant, task["epochs"]), "peak_memory": peak_memory(pick_device(config.device).type)})


if __name__ == "__main__":
    run_script(main)
