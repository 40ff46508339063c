"""What `OMP_WAIT_POLICY=PASSIVE` is worth, which `import gas_cli` sets: epochs with it and without it, on quiet and on busy cores.

    python -m benchmarks.idle_threads [--rounds 7] [--cases small demo ...] [--busy 2] [--quick]

For each case two processes train the same generated graph, one with the variable and one without it; one waits while the other trains.
Everything else is the same, `THP_MEM_ALLOC_ENABLE=1` included. Cores are busy while `--busy` other processes count. Seconds of the wall
clock; ratios are those within a round. Writes results/idle-threads.md and .json.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from benchmarks.lib.cases import GRAPHS, MODELS, scaled
from benchmarks.lib.turns import ratio, summary
from gas_cli.process import PAGES, WAITING
from scripts.lib.command_line import add_choices, make_parser, run_script
from scripts.lib.report import REPOSITORY, Content, rounds_of, write

SMALL = (
    "dataset=generated", "dataset.num_nodes=300", "dataset.average_degree=6", "dataset.num_features=16", "dataset.num_communities=4",
    "partitioner.num_parts=6", "trainer.batch_parts=2", "model=gcn", "model.hidden_channels=16",
)  # fmt: skip
CASES: dict[str, tuple[int, tuple[str, ...]]] = {
    "small": (10, SMALL),
    "demo": (3, ("experiment=demo",)),
    "half-arxiv-size-gcn": (1, (*scaled(GRAPHS["arxiv-size"], 0.5), *MODELS["gcn"])),
}
"""Epochs of one measurement, and settings of gas-train."""
POLICIES = {"set": {WAITING: "PASSIVE"}, "unset": {}}
LOADS = ("quiet", "busy")
COUNT = "print(flush=True)\nwhile True: pass"


class Worker:
    """A process that trains when asked, with one of the POLICIES."""

    def __init__(self, policy: str, case: str) -> None:
        epochs, settings = CASES[case]
        kept = {name: value for name, value in os.environ.items() if name not in (WAITING, PAGES)}
        environment = {**kept, **POLICIES[policy], PAGES: "1", "PYTHONPATH": str(REPOSITORY)}
        words = json.dumps([*settings, "device=cpu", "partitioner.cache=null"])
        command = [sys.executable, "-P", str(REPOSITORY / "benchmarks" / "lib" / "epoch_worker.py"), words, str(epochs)]
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def seconds(self) -> float:
        """Of the epochs of one measurement."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{' '.join(self.process.args)} ended with exit code {self.process.wait()}.")  # type: ignore[arg-type]
        return float(line)

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """`count` processes of one thread that count until the end of the block."""
    started = [subprocess.Popen([sys.executable, "-c", COUNT], stdout=subprocess.PIPE) for _ in range(count)]
    try:
        for process in started:
            assert process.stdout is not None
            process.stdout.readline()
        yield
    finally:
        for process in started:
            process.kill()
            process.communicate()


def main() -> None:
    parser = make_parser(__doc__, "--rounds", "--quick", "--out", rounds=7)
    add_choices(parser, "--cases", CASES)
    parser.add_argument("--busy", type=int, default=os.cpu_count(), help="processes that keep the cores busy (default: %(default)s)")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.cases, arguments.rounds = ["small"], 1
    rows = [row for case in arguments.cases for row in compare(case, arguments.rounds, arguments.busy)]
    name = "idle-threads-quick" if arguments.quick else "idle-threads"
    write(name, rows, table, {"rounds": arguments.rounds, "busy": arguments.busy}, arguments.out)


def compare(case: str, rounds: int, busy: int) -> list[dict[str, Any]]:
    """A row for each load: seconds by policy, after a round of warm-up, and the ratio of those without the variable to those with it."""
    seconds: dict[str, dict[str, list[float]]] = {load: {policy: [] for policy in POLICIES} for load in LOADS}
    with ExitStack() as stack:
        workers = {policy: Worker(policy, case) for policy in POLICIES}
        for worker in workers.values():
            stack.callback(worker.close)
            worker.seconds()
        for number in range(rounds):
            for load in LOADS:
                with busy_processes(busy if load == "busy" else 0):
                    for policy in reversed(POLICIES) if number % 2 else POLICIES:
                        seconds[load][policy].append(workers[policy].seconds())
    rows = []
    for load, found in seconds.items():
        measured = {policy: summary(values) for policy, values in found.items()}
        ratios = [unset / given for unset, given in zip(found["unset"], found["set"], strict=True)]
        rows.append({"case": case, "load": load, **measured, "ratio": ratio(found["unset"], found["set"]), "ratios": ratios})
        print(text_row(rows[-1]), file=sys.stderr, flush=True)
    return rows


def text_row(row: dict[str, Any]) -> str:
    cells = [f"{row[policy]['median']:.2f} ({row[policy]['min']:.2f}–{row[policy]['max']:.2f})" for policy in POLICIES]
    spread = f"{row['ratio']:.2f}x ({min(row['ratios']):.2f}–{max(row['ratios']):.2f})"
    return f"| {row['case']} | {CASES[row['case']][0]} | {row['load']} | {' | '.join(cells)} | {spread} |"


def table(content: Content) -> str:
    settings = content["settings"]
    lines = [
        "# Idle threads that sleep",
        "",
        f"Seconds of the wall clock with `{WAITING}=PASSIVE`, which `import gas_cli` sets, and without the variable.",
        f"Medians of {rounds_of([settings['rounds']])} in turns, in brackets the smallest and the largest.",
        "The ratio is the median of those within a round.",
        f"Busy: {settings['busy']} other processes count. Quiet: these do not run, but the machine may have other work.",
        "",
        "| case | epochs | cores | set, s | unset, s | unset / set |",
        "|---|---|---|---|---|---|",
        *map(text_row, content["rows"]),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    run_script(main)
