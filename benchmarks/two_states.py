"""Two states of the code in turns: processor seconds of an epoch and of an exact evaluation, and the peak memory of the process.

    python -m benchmarks.two_states --before DIR [--after DIR, default: this checkout] [--rounds 9] [--cases cora-gcn ...]

Each state trains in a separate process, which waits while the other one runs, with one thread, whose seconds are counted. What both have
to have is small: `prepare`, `make_trainer`, `Trainer.train_epoch`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.lib.cases import GRAPHS, MODELS, scaled
from benchmarks.lib.turns import ratio, summary
from scripts.lib.command_line import BENCHMARK, add_choices, make_parser, result_name, run_script, without_files
from scripts.lib.report import Content, left_out, write

HALF = scaled(GRAPHS["arxiv-size"], 0.5)
CASES: dict[str, tuple[str, ...]] = {
    "cora-gcn": ("dataset=cora", "model=gcn"),
    "cora-gcn-full": ("dataset=cora", "model=gcn", "method=full_batch"),
    "physics-gcn": ("dataset=coauthor-physics", "model=gcn"),
    "physics-gat": ("dataset=coauthor-physics", "model=gat"),
    "half-arxiv-size-gcn": (*HALF, *MODELS["gcn"]),
    "half-arxiv-size-sage": (*HALF, *MODELS["sage"]),
    "half-arxiv-size-gcnii": (*HALF, *MODELS["gcnii"]),
    "half-arxiv-size-cluster": (*HALF, *MODELS["gcn"], "method=cluster_gcn"),
}
QUICK = ("cora-gcn", "half-arxiv-size-gcn")
REAL = tuple(case for case in CASES if not case.startswith("half"))
WORKER = """
import json, resource, sys, time
from pathlib import Path
from gas_cli.cli.environment import prepare_process
prepare_process()
import torch
torch.set_num_threads(1)
from gas_cli.config.compose import compose_config
from gas_cli.run import make_trainer, prepare
settings = json.loads(sys.argv[1])
try:
    config = compose_config([*settings, "partitioner.cache=null"])
except Exception:  # as earlier states spell it
    config = compose_config([*settings, "partitioner.cache=''"])
trainer = make_trainer(config, prepare(config), Path("/nonexistent"))
def timed(work):
    started = time.thread_time()
    work()
    return time.thread_time() - started
for line in sys.stdin:
    seconds = {"epoch": timed(trainer.train_epoch), "evaluation": timed(trainer.evaluator.exact)}
    trainer.progress.next_epoch()
    print(json.dumps(seconds | {"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}), flush=True)
"""
"""Reads a line, trains an epoch and evaluates, writes a line. torch comes after the package, which sets what torch reads when loaded."""
STATES = ("before", "after")


class State:
    """A process that trains with one state of the code."""

    def __init__(self, checkout: Path, settings: list[str]) -> None:
        environment = {**os.environ, "PYTHONPATH": str(checkout.resolve())}
        command = [sys.executable, "-c", WORKER, json.dumps(settings)]
        self.process = subprocess.Popen(
            command, cwd=checkout, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def turn(self) -> dict[str, float]:
        """Seconds of an epoch and of an evaluation, and the peak so far."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process ended with exit code {self.process.wait()}")
        measured: dict[str, float] = json.loads(line)
        return measured

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def main() -> None:
    parser = make_parser(__doc__, *BENCHMARK, "--root", rounds=9)
    parser.add_argument("--before", type=Path, required=True, help="a checkout")
    parser.add_argument("--after", type=Path, default=Path(), help="a checkout, this one without it")
    add_choices(parser, "--cases", CASES)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.cases, arguments.rounds = [case for case in arguments.cases if case in QUICK], 1
    missing = without_files(REAL, arguments)
    rows: list[dict[str, Any]] = []
    for case in (case for case in arguments.cases if case not in missing):
        settings = [*CASES[case], f"dataset.root={arguments.root.resolve()}", "device=cpu", "trainer.prefetch=0"]
        rows.append({"case": case, **compare({"before": arguments.before, "after": arguments.after}, settings, arguments.rounds)})
        write(result_name("two-states", arguments), rows, table, {"missing": missing}, arguments.out)


def compare(checkouts: dict[str, Path], settings: list[str], rounds: int) -> dict[str, Any]:
    """Of both states: the seconds by round after one of warm-up, their ratios within a round, and the peaks."""
    states = {name: State(checkout, settings) for name, checkout in checkouts.items()}
    measured: dict[str, list[dict[str, float]]] = {name: [] for name in STATES}
    try:
        for number in range(rounds + 1):
            for name in reversed(STATES) if number % 2 else STATES:
                turn = states[name].turn()
                if number > 0:
                    measured[name].append(turn)
    finally:
        for state in states.values():
            state.close()
    row: dict[str, Any] = {"peak": {name: measured[name][-1]["peak"] for name in STATES}}
    for what in ("epoch", "evaluation"):
        before, after = ([turn[what] for turn in measured[name]] for name in STATES)
        row[what] = {"before": summary(before), "after": summary(after), "ratio": ratio(after, before)}
    return row


def text_row(row: dict[str, Any]) -> str:
    cells = []
    for what in ("epoch", "evaluation"):
        measured = row[what]
        cells += [f"{measured['before']['median']:.4f}", f"{measured['after']['median']:.4f}", f"{measured['ratio']:.3f}x"]
    peaks = [f"{row['peak'][name] / 2**20:.0f}" for name in STATES]
    return f"| {row['case']} | {' | '.join(cells)} | {' | '.join(peaks)} |"


def table(content: Content) -> str:
    rounds = len(content["rows"][0]["epoch"]["before"]["all"])
    lines = [
        "# Two states of the code, in turns",
        "",
        f"Processor seconds of one thread, medians of {rounds} rounds; ratios after/before are medians of those within a round. "
        "Peak: MiB of the whole process, preparation included.",
        "",
        "| case | epoch before | after | ratio | exact evaluation before | after | ratio | peak before | after |",
        "|---|---|---|---|---|---|---|---|---|",
        *map(text_row, content["rows"]),
        *left_out(content["settings"]["missing"]),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    run_script(main)
