"""Seconds until a second start of `gas-train` trains: the first one has parsed the files and divided the graph.

    python -m benchmarks.second_start [--cases arxiv-size products-size] [--scale 1] [--rounds 3] [--quick] [--before DIR] [--work DIR]

Each case is a generated folder in OGB's layout (benchmarks/ogb_folder.py), trained for one epoch with its published settings and without
evaluation. `--before DIR` is a checkout of an earlier state, which takes turns with this one. The first start of each is in a cache of its
own. Every start is a separate process, whose clock starts before it:

    imports     until `prepare` is called: the interpreter, libraries, composition of the settings
    prepare     load, partition, permute, normalise; A x of the features where it is kept
    fill        everything between `prepare` and the first step, the exact histories above all
    first step  one step of training
    until then  the sum of these
    total       until the process has ended
    processor   seconds of the processor, all threads, until the first step has ended

Medians of the rounds. `--scale 1 --cases products-size` needs 15 GB of disk in DIR and half an hour.
Writes results/second-start.md and .json.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.lib.one_start import STAGES
from benchmarks.lib.turns import summary
from benchmarks.ogb_folder import write_folder
from scripts.lib.command_line import BENCHMARK, add_choices, make_parser, run_script
from scripts.lib.report import REPOSITORY, Content, write

CASES = {"arxiv-size": 1.0, "products-size": 0.1}
SHOWN = (*STAGES, "until then", "total", "processor")
QUICK = 0.05
SETTINGS = ("model=gcn", "dataset.download=false", "device=cpu", "trainer.epochs=1", "evaluation.every=2")


def main() -> None:
    parser = make_parser(__doc__, *BENCHMARK, "--set", rounds=3)
    add_choices(parser, "--cases", CASES)
    parser.add_argument("--scale", type=float, help="times the nodes and edges of the published graphs")
    parser.add_argument("--before", type=Path, help="a checkout of an earlier state, measured in turns with this one")
    parser.add_argument("--work", type=Path, help="where raw data stays; without it in a temporary folder that is removed")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds = 1
    with tempfile.TemporaryDirectory(prefix="gas-second-") as temporary:
        work = (arguments.work or Path(temporary)).absolute()
        rows = [measure(case, arguments, work, Path(temporary) / case) for case in arguments.cases]
    name = "second-start-quick" if arguments.quick else "second-start"
    write(name, rows, table, {"rounds": arguments.rounds}, arguments.out)


def measure(case: str, arguments: Any, work: Path, home: Path) -> dict[str, Any]:
    """The first start of each state, and the seconds of the later ones in turns."""
    scale = arguments.scale or CASES[case] * (QUICK if arguments.quick else 1)
    name = case.removesuffix("-size")
    root = work / f"{case}-{scale}"
    if not root.exists():
        write_folder(root, name, scale)
    words = [f"dataset=ogbn-{name}", f"dataset.root={root}", *SETTINGS, *arguments.set]
    states = {"now": REPOSITORY} if arguments.before is None else {"before": arguments.before.absolute(), "now": REPOSITORY}
    starts: dict[str, list[dict[str, float]]] = {state: [] for state in states}
    for number in range(1 + arguments.rounds):
        for state in reversed(states) if number % 2 else states:
            run = home.with_name(f"{case}-{state}-{number}")
            starts[state].append(began(states[state], [*words, f"hydra.run.dir={run}"], home / state))
            print(f"{case}, {state}, start {number + 1}: {starts[state][-1]}", file=sys.stderr, flush=True)
    later = {state: {stage: summary([one[stage] for one in found[1:]]) for stage in (*SHOWN, "load")} for state, found in starts.items()}
    return {"case": case, "scale": scale, "first": {state: found[0] for state, found in starts.items()}, "second": later}


def began(checkout: Path, words: list[str], home: Path) -> dict[str, float]:
    """The seconds of one start with the code of `checkout`, and the load of the machine before it."""
    load, at = os.getloadavg()[0], time.time()
    task = json.dumps({"words": words, "home": str(home), "at": at})
    command = [sys.executable, "-P", str(REPOSITORY / "benchmarks" / "lib" / "one_start.py"), task]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(checkout)})
    if done.returncode:
        raise SystemExit(f"{checkout}: gas-train {' '.join(words)} failed:\n{done.stderr[-2000:]}")
    found = json.loads(done.stdout.strip().splitlines()[-1])
    return {**found, "until then": sum(found[stage] for stage in STAGES), "total": time.time() - at, "load": load}


def table(content: Content) -> str:
    rounds = content["settings"]["rounds"]
    lines = [
        "# Seconds of a second start",
        "",
        "`gas-train` with its published GCN on generated folders in OGB's layout, CPU. Seconds of the wall clock; medians of "
        f"{rounds} starts,",
        "in brackets the smallest and the largest; the states take turns. `before`: parsed features and the partition were kept, the",
        "prepared graph was not. `processor` is the time of all threads until the first step has ended.",
        "",
        "| case | state | start | " + " | ".join(SHOWN) + " | load |",
        "|---|---|---|" + "---|" * (len(SHOWN) + 1),
    ]
    for row in content["rows"]:
        name = row["case"] if row["scale"] == 1 else f"{row['case']}, {row['scale']:g} of it"
        for state, found in row["first"].items():
            lines.append(
                f"| {name} | {state} | first | " + " | ".join(f"{found[stage]:.2f}" for stage in SHOWN) + f" | {found['load']:.1f} |"
            )
        for state, found in row["second"].items():
            cells = [f"{found[stage]['median']:.2f} ({found[stage]['min']:.2f}–{found[stage]['max']:.2f})" for stage in SHOWN]
            lines.append(f"| {name} | {state} | second | " + " | ".join(cells) + f" | {found['load']['median']:.1f} |")
        if "before" in row["second"]:
            ratios = [row["second"]["now"][stage]["median"] / row["second"]["before"][stage]["median"] for stage in SHOWN]
            lines.append(f"| {name} | now / before | second | " + " | ".join(f"{ratio:.2f}" for ratio in ratios) + " | |")
    lines += ["", "With `--work` a first start of `before` finds the features parsed by an earlier measurement."]
    lines += ["", "Load: processes that were running or waiting on the machine before a start, averaged over a minute."]
    return "\n".join(lines)


if __name__ == "__main__":
    run_script(main)
