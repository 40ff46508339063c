"""Seconds that the first run with a model takes to compile its kernels: a run with an empty numba cache, and the same run again.

    python -m benchmarks.first_run [--models gcn gat ...] [--rounds 2] [--quick]

Each run is `gas-train experiment=demo model=...` for one epoch in a separate process, with an empty cache of the package, so that only the
compiled kernels differ. For each round and model, numba's cache is a new folder: the first run fills it, the second one reads it. Seconds
of the wall clock until the process has ended, and of the processor, which other work on the machine disturbs less.
Writes results/first-run.md and .json.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.lib.turns import summary
from scripts.lib.command_line import add_choices, make_parser, run_script
from scripts.lib.report import Content, rounds_of, write

Seconds = dict[str, dict[str, float]]
"""By run and clock: of the wall, and of the processor, all threads."""

MODELS = ("gcn", "gcnii", "sage", "gin", "gat", "pna")
SETTINGS = ("experiment=demo", "device=cpu", "trainer.epochs=1")
RUNS = ("first", "second")
CLOCKS = ("clock", "processor")
COMMAND = (sys.executable, "-c", "from gas_cli.cli.train import main; main()")


def main() -> None:
    parser = make_parser(__doc__, "--rounds", "--quick", "--out", rounds=2)
    add_choices(parser, "--models", MODELS)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.models, arguments.rounds = ["gcn"], 1
    rounds: dict[str, list[Seconds]] = {model: [] for model in arguments.models}
    for _ in range(arguments.rounds):
        for model, found in rounds.items():
            found.append(both_runs(model))
            print(f"{model}: {found[-1]}", file=sys.stderr, flush=True)
    rows = [row_of(model, found) for model, found in rounds.items()]
    write("first-run-quick" if arguments.quick else "first-run", rows, table, {"rounds": arguments.rounds}, arguments.out)


def both_runs(model: str) -> Seconds:
    """Of a run that compiles the kernels of `model`, and of one that loads them."""
    with tempfile.TemporaryDirectory(prefix="gas-first-") as folder:
        return {run: seconds_of_run(model, Path(folder), run) for run in RUNS}


def seconds_of_run(model: str, folder: Path, run: str) -> dict[str, float]:
    """A process of `gas-train`; numba's cache is `folder`/kernels, everything else that it writes is in a new folder."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder / "kernels"), "XDG_CACHE_HOME": str(folder / run / "cache")}
    words = [*SETTINGS, f"model={model}", f"hydra.run.dir={folder / run / 'run'}"]
    started, used = time.perf_counter(), processor_seconds()
    done = subprocess.run([*COMMAND, *words], env=environment, check=False, capture_output=True, text=True)
    seconds = {"clock": time.perf_counter() - started, "processor": processor_seconds() - used}
    if done.returncode:
        raise SystemExit(f"gas-train {' '.join(words)} failed:\n{done.stderr[-2000:]}")
    if not any((folder / "kernels").rglob("*.nbc")):
        raise SystemExit(f"gas-train {' '.join(words)} has cached no kernels in {folder / 'kernels'}.")
    return seconds


def processor_seconds() -> float:
    """Of the processes that this one has started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def row_of(model: str, rounds: list[Seconds]) -> dict[str, Any]:
    """`first`, `second`, and `compiling`: their difference within a round."""
    row: dict[str, Any] = {"model": model}
    for clock in CLOCKS:
        seconds = {run: [found[run][clock] for found in rounds] for run in RUNS}
        seconds["compiling"] = [first - second for first, second in zip(*seconds.values(), strict=True)]
        row[clock] = {what: summary(values) for what, values in seconds.items()}
    return row


def table(content: Content) -> str:
    lines = [
        "# The first run with a model",
        "",
        "`gas-train experiment=demo trainer.epochs=1` with an empty numba cache (first), and again (second). Seconds of the wall clock",
        "until the process has ended, and of the processor. Compiling: first minus second, within a round.",
        f"Medians of {rounds_of([content['settings']['rounds']])}, in brackets the smallest and the largest.",
        "",
        "| model | first run, s | second run, s | compiling, s | first run, processor s | second | compiling |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in content["rows"]:
        measured = [seconds for clock in CLOCKS for seconds in row[clock].values()]
        cells = [f"{seconds['median']:.1f} ({seconds['min']:.1f}–{seconds['max']:.1f})" for seconds in measured]
        lines.append(f"| {row['model']} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    run_script(main)
