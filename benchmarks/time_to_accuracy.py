"""Seconds of training until the validation accuracy first reaches a threshold: ours and PyG's, same graph, model, hyper-parameters.

    python -m benchmarks.time_to_accuracy [--cases generated ...] [--variants gas pyg ...] [--rounds 3] [--minutes 8] [--device cpu|cuda]

Every variant is evaluated after every epoch, exactly and on the whole graph, outside the timed part. Timed are the training steps, and with
GAS the filling of the histories before the first (they are never refreshed later). Parts and compiled kernels are there before the clock
starts. Adam without weight decay. A round is another seed, in a separate process for each variant.
Writes results/time-to-accuracy-<device>.md and .json.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.lib.cases import GRAPHS, MODELS, OURS, scaled
from benchmarks.lib.processes import Outcome, Task, by_case, parse, take_turns
from scripts.lib.command_line import BENCHMARK, add_choices, make_parser, result_name, run_script, without_files
from scripts.lib.report import Content, left_out, rounds_of, write

COMPARED = ("gas", "full_batch", "pyg", "pyg-sparse-tensor", "pyg-cluster-loader", "pyg-neighbor-loader")
PLAIN_ADAM = ("optimizer.weight_decay=0", "optimizer.reg_weight_decay=0", "optimizer.schedule=null", "optimizer.grad_norm=null")


@dataclass(frozen=True)
class Race:
    """Until `accuracy` on the validation nodes, for at most `epochs`; `real`: needs the datasets' files."""

    settings: tuple[str, ...]
    accuracy: float
    epochs: int
    real: bool = False


NOISY = ("dataset.feature_noise=2", "dataset.num_features=64", "partitioner.num_parts=40", "trainer.batch_parts=10")
"""A node's own features say little; four steps per epoch."""
RACES: dict[str, Race] = {
    "generated": Race((*scaled(GRAPHS["arxiv-size"], 0.1), *MODELS["gcn"], *NOISY), 0.8, 60),
    "amazon-photo": Race(("dataset=amazon-photo", "model=gcn"), 0.85, 100, real=True),
    "cora": Race(("dataset=cora", "model=gcn"), 0.76, 150, real=True),
}


def main() -> None:
    parser = make_parser(__doc__, *BENCHMARK, "--root", rounds=3, minutes=8)
    add_choices(parser, "--cases", RACES)
    add_choices(parser, "--variants", COMPARED)
    arguments = parse(parser, work)
    if arguments.quick:
        arguments.cases, arguments.variants, arguments.rounds = ["cora"], ["gas", "full_batch", "pyg"], 1
    rows, missing = measure(arguments)
    write(result_name("time-to-accuracy", arguments), rows, table, {"device": arguments.device, "missing": missing}, arguments.out)


def measure(arguments: argparse.Namespace) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """A row for each variant of each case, and why others are missing."""
    lacking = without_files([case for case in RACES if RACES[case].real], arguments)
    names = [(case, variant) for case in arguments.cases if case not in lacking for variant in arguments.variants]
    outcomes, missing = take_turns(
        "benchmarks.time_to_accuracy",
        names,
        lambda name, seed, cache: task(name[0], name[1], seed, cache, arguments),
        arguments,
        lambda outcome: str(outcome["reached"]),
    )
    rows = [combine(case, variant, of) for case, found in by_case(outcomes, missing).items() for variant, of in found.items()]
    return rows, lacking | missing


def task(case: str, variant: str, seed: int, cache: str, arguments: argparse.Namespace) -> Task:
    settings = [*RACES[case].settings, *PLAIN_ADAM, f"dataset.root={arguments.root}", f"partitioner.cache={cache}"]
    settings += [f"device={arguments.device}", f"seed={seed}"]
    return {"settings": settings, "variant": variant, "accuracy": RACES[case].accuracy, "epochs": RACES[case].epochs}


def work(task: Task) -> Outcome:
    """One training, in a separate process."""
    from benchmarks.lib.pyg_training import or_missing
    from benchmarks.lib.racers import our_racer, pyg_racer
    from gas_cli.config.compose import compose_config

    ours = task["variant"] in OURS
    config = compose_config([*task["settings"], *OURS.get(task["variant"], ()), "evaluation.every=null", "history.refresh=null"])

    def measure() -> Outcome:
        epoch, accuracy = our_racer(config) if ours else pyg_racer(config, task["variant"])
        return race(epoch, accuracy, task["accuracy"], task["epochs"])

    return or_missing(measure)


def race(epoch: Callable[[], float], accuracy: Callable[[], tuple[float, float]], threshold: float, epochs: int) -> dict[str, Any]:
    """Train by `epoch`, which returns its seconds, until `accuracy` (validation, test) has reached the threshold, or for `epochs`.

    `reached` is the seconds and the number of epochs it took, or None; `curve` has (seconds, validation, test) of every epoch.
    """
    curve: list[tuple[float, float, float]] = []
    seconds = 0.0
    for number in range(1, epochs + 1):
        seconds += epoch()
        curve.append((seconds, *accuracy()))
        if curve[-1][1] >= threshold:
            return {"reached": {"seconds": seconds, "epochs": number, "test": curve[-1][2]}, "curve": curve}
    return {"reached": None, "curve": curve}


def combine(case: str, variant: str, outcomes: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over the seeds; those that never came there count as longer than any other."""
    row = {"case": case, "variant": variant, "accuracy": RACES[case].accuracy, "limit": RACES[case].epochs, "rounds": len(outcomes)}
    found = sorted((o["reached"] for o in outcomes if o["reached"]), key=lambda reached: float(reached["seconds"]))
    row |= {"all": [outcome["reached"] for outcome in outcomes], "curves": [outcome["curve"] for outcome in outcomes]}
    if 2 * len(found) <= len(outcomes):
        return row | {"median": None}
    padded = [reached["seconds"] for reached in found] + [float("inf")] * (len(outcomes) - len(found))
    median = {"seconds": statistics.median_low(padded), "epochs": statistics.median_low(reached["epochs"] for reached in found)}
    return row | {"median": median, "best_validation": max(point[1] for outcome in outcomes for point in outcome["curve"])}


def table(content: Content) -> str:
    rows, settings = content["rows"], content["settings"]
    lines = [
        "# Seconds of training until an accuracy is reached",
        "",
        f"{settings['device']}; medians of {rounds_of([row['rounds'] for row in rows])}, a seed each, in turns (smallest to largest in "
        "brackets). Evaluated after every epoch, exactly, outside the timed part. Adam without weight decay, all else as published for "
        "the pair; the generated graph has a tenth of ogbn-arxiv's nodes, noisy features, and 40 parts, 10 in a step.",
        "",
        "| case | validation accuracy | variant | seconds | epochs | test accuracy then | reached it |",
        "|---|---|---|---|---|---|---|",
        *map(text_row, rows),
        *left_out(settings["missing"]),
    ]
    return "\n".join(lines)


def text_row(row: dict[str, Any]) -> str:
    found = [reached for reached in row["all"] if reached]
    cells = [row["case"], f"{row['accuracy']:.2f}", row["variant"]]
    if row["median"] is None:
        cells += ["–", f"more than {row['limit']}", "–"]
    else:
        seconds = [reached["seconds"] for reached in found]
        cells += [f"{row['median']['seconds']:.2f} ({min(seconds):.2f}–{max(seconds):.2f})", str(row["median"]["epochs"])]
        cells.append(f"{statistics.median(reached['test'] for reached in found):.3f}")
    cells.append(f"{len(found)} of {row['rounds']}")
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    run_script(main)
