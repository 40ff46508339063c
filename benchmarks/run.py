"""Everything behind `make bench` and `make bench-gpu`, one benchmark after the other.

    python -m benchmarks.run --device cpu|cuda [--quick] [--root DIR] [--out DIR] [--only NAME ...]

On two quiet cores: about an hour; with --quick (`make bench QUICK=1`) about two minutes, whose results have -quick in their names. On a
GPU: under ten minutes. Then docs/benchmarks.md and its pictures are made anew (python -m benchmarks.document).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

from benchmarks.lib.cases import ON_GPU
from scripts.lib.command_line import BENCHMARK, make_parser, run_script
from scripts.lib.report import RESULTS

ON_CPU: dict[str, tuple[str, ...]] = {
    "aggregation": (),
    "attention": (),
    "layers": (),
    "shortcuts": (),
    "epoch_time": ("--minutes", "29"),
    "growth": ("--minutes", "9"),
    "time_to_accuracy": ("--minutes", "8"),
    "resident_memory": (),
    "auto_memory": (),
    "convert": (),
    "sampling": (),
    "idle_threads": ("--rounds", "5"),
    "first_run": (),
}
"""Minutes decide how many rounds there are, at least one."""
ON_CUDA: dict[str, tuple[str, ...]] = {
    "aggregation": (),
    "attention": (),
    "epoch_time": ("--minutes", "3.5", "--cases", *ON_GPU),
    "growth": ("--rounds", "1", "--scale", "0.5"),
    "time_to_accuracy": ("--rounds", "1", "--cases", "generated", "--variants", "gas", "full_batch", "pyg", "pyg-cluster-loader"),
    "history_placement": ("--rounds", "2"),
    "step_trace": (),
}
QUICK = ("aggregation", "epoch_time", "growth", "time_to_accuracy")
WITH_ROOT = ("layers", "shortcuts", "epoch_time", "time_to_accuracy")
WITHOUT_DEVICE = ("layers", "history_placement", "resident_memory", "step_trace", "idle_threads", "first_run", "auto_memory", "convert")


def main() -> None:
    parser = make_parser(__doc__, *BENCHMARK, "--root", rounds=0)
    parser.add_argument("--only", nargs="+", choices=sorted({*ON_CPU, *ON_CUDA}), help="only these")
    arguments = parser.parse_args()
    failed = []
    for name, command in commands(arguments).items():
        started = time.monotonic()
        print(f"== {' '.join(command)}", flush=True)
        if subprocess.run([sys.executable, "-m", *command], check=False).returncode:
            failed.append(name)
        print(f"== {name}: {time.monotonic() - started:.0f} s", flush=True)
    if arguments.out == RESULTS and not arguments.quick:
        subprocess.run([sys.executable, "-m", "benchmarks.document"], check=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def commands(arguments: argparse.Namespace) -> dict[str, list[str]]:
    """The command line of each benchmark."""
    planned = ON_CPU if arguments.device == "cpu" else ON_CUDA
    wanted = [name for name in planned if name in (arguments.only or planned) and (not arguments.quick or name in QUICK)]
    found = {}
    for name in wanted:
        if name == "layers" and not arguments.root.is_dir():
            print(f"== layers: left out, {arguments.root} does not exist", flush=True)
            continue
        command = [f"benchmarks.{name}", "--out", str(arguments.out), *(planned[name] if not arguments.quick else ("--quick",))]
        command += ["--root", str(arguments.root)] if name in WITH_ROOT else []
        command += ["--device", arguments.device] if name not in WITHOUT_DEVICE else []
        command += ["--rounds", str(arguments.rounds)] if arguments.rounds else []
        found[name] = command
    return found


if __name__ == "__main__":
    run_script(main)
