"""Seconds until a second start of `gas-train` trains: the first one has parsed the files and divided the graph.

    python -m benchmarks.second_start [--cases arxiv-size products-size] [--scale 1] [--rounds 3] [--quick] [--before FILE] [--work DIR]

Each case is a generated folder in OGB's layout (benchmarks/ogb_folder.py), trained for one epoch with its published settings and without
evaluation. The first start of a case is in a cache of its own. Every start is a process of its own, whose clock starts before it:

    imports     until `prepare` is called: the interpreter, libraries, composition of the settings
    prepare     load, partition, permute, normalise
    fill        everything between `prepare` and the first step, the exact histories above all
    first step  one step of training
    total       until the process has ended

Smallest of the rounds. `--scale 1 --cases products-size` needs 15 GB of disk in DIR and half an hour. `--before FILE` shows another result
(second-start-cpu.json) beside this one. Writes results/second-start-cpu.md and .json.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import Content, write
from benchmarks.ogb_folder import write_folder
from benchmarks.options import add_choices, options, result_name
from benchmarks.processes import in_process, parse

CASES = {"arxiv-size": 1.0, "products-size": 0.1}
STAGES = ("imports", "prepare", "fill", "first step", "total")
QUICK = 0.05
SETTINGS = ("model=gcn", "dataset.download=false", "device=cpu", "trainer.epochs=1", "evaluation.every=0")


def main() -> None:
    parser = options(__doc__, rounds=3)
    add_choices(parser, "--cases", CASES)
    parser.add_argument("--scale", type=float, help="times the nodes and edges of the published graphs")
    parser.add_argument("--before", type=Path, help="the .json of a measurement to show beside this one")
    parser.add_argument("--work", type=Path, help="where raw data stays; without it in a temporary folder that is removed")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="further settings of gas-train")
    arguments = parse(parser, lambda task: start(**task))
    if arguments.quick:
        arguments.rounds = 1
    with tempfile.TemporaryDirectory(prefix="gas-second-") as temporary:
        work = (arguments.work or Path(temporary)).absolute()
        rows = [measure(case, arguments, work, Path(temporary) / case) for case in arguments.cases]
    before = read_rows(arguments.before)
    for row in rows:
        row["before"] = before.get((row["case"], row["scale"]))
    write(result_name("second-start", arguments), rows, table, {"rounds": arguments.rounds}, arguments.out)


def read_rows(path: Path | None) -> dict[tuple[str, float], dict[str, float]]:
    rows = json.loads(path.read_text())["rows"] if path else []
    return {(row["case"], row["scale"]): row["second"] for row in rows}


def measure(case: str, arguments: Any, work: Path, cache: Path) -> dict[str, Any]:
    """The first start and the smallest seconds of `rounds` later ones."""
    scale = arguments.scale or CASES[case] * (QUICK if arguments.quick else 1)
    name = case.removesuffix("-size")
    root = work / f"{case}-{scale}"
    if not root.exists():
        write_folder(root, name, scale)
    words = [f"dataset=ogbn-{name}", f"dataset.root={root}", *SETTINGS, *arguments.set]
    starts = []
    for number in range(1 + arguments.rounds):
        starts.append(began({"words": [*words, f"hydra.run.dir={cache}-run-{number}"], "home": str(cache)}))
        print(f"{case}, start {number + 1}: {starts[-1]}", file=sys.stderr, flush=True)
    second = {stage: min(found[stage] for found in starts[1:]) for stage in STAGES}
    return {"case": case, "scale": scale, "first": starts[0], "second": second}


def began(task: dict[str, Any]) -> dict[str, Any]:
    """The seconds of one start."""
    at = time.time()
    outcome = in_process("benchmarks.second_start", {**task, "at": at})
    return {**outcome, "total": time.time() - at}


def start(words: list[str], home: str, at: float) -> dict[str, Any]:
    """`gas-train` in this process, with the time of each stage; `at` is when the process was started."""
    os.environ["XDG_CACHE_HOME"] = home
    os.environ["HOME"] = home
    from gas_cli.cli.environment import prepare_process
    from gas_cli.cli.train import command_line

    prepare_process()
    import gas_cli.run
    from gas_cli.training.trainer import Trainer

    times: dict[str, float] = {}
    prepare, step = gas_cli.run.prepare, Trainer._train_step

    def timed_prepare(*args: Any, **named: Any) -> Any:
        times["called"] = time.time()
        problem = prepare(*args, **named)
        times["prepared"] = time.time()
        return problem

    def timed_step(self: Trainer, *args: Any) -> None:
        times.setdefault("filled", time.time())
        step(self, *args)
        times.setdefault("stepped", time.time())

    gas_cli.run.prepare, Trainer._train_step = timed_prepare, timed_step  # type: ignore[assignment, method-assign]
    code = command_line(words)
    if code:
        raise SystemExit(code)
    moments = [at, times["called"], times["prepared"], times["filled"], times["stepped"]]
    return {stage: later - earlier for stage, earlier, later in zip(STAGES, moments, moments[1:], strict=False)}


def table(content: Content) -> str:
    lines = [
        "# Seconds of a second start",
        "",
        "`gas-train` with its published GCN on generated folders in OGB's layout, CPU, smallest of "
        f"{content['settings']['rounds']} starts.",
        "In brackets: before the prepared graph was kept on the disk.",
        "",
        "| case | start | " + " | ".join(STAGES) + " |",
        "|---|---|" + "---|" * len(STAGES),
    ]
    for row in content["rows"]:
        name = row["case"] if row["scale"] == 1 else f"{row['case']}, {row['scale']:g} of it"
        before = row.get("before") or {}
        lines.append(f"| {name} | first | " + " | ".join(f"{row['first'][stage]:.2f}" for stage in STAGES) + " |")
        cells = [f"{row['second'][stage]:.2f}" + (f" ({before[stage]:.2f})" if stage in before else "") for stage in STAGES]
        lines.append(f"| {name} | second | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
