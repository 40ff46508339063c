"""What histories cost on a GPU: seconds per epoch for every placement, synchronous and pipelined, next to histories on the device.

    python -m benchmarks.history_placement [--rounds 3]

The target: pinned and pipelined at most 1.05x of histories on the device. Needs a CUDA device.
Writes results/history-placement.md and .json.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.lib.cases import GRAPHS, MODELS
from benchmarks.lib.turns import ratio
from scripts.lib.command_line import make_parser, run_script
from scripts.lib.report import Content, write

SETTINGS = {
    "device": ["history.placement=device"],
    "pinned, pipelined": ["history.placement=pinned", "history.pipeline=true"],
    "pinned, pipelined, bfloat16": ["history.placement=pinned", "history.pipeline=true", "history.dtype=bfloat16"],
    "pinned, synchronous": ["history.placement=pinned", "history.pipeline=false"],
    "host": ["history.placement=host"],
}
EPOCHS = 8


def main() -> None:
    parser = make_parser(__doc__, "--out", rounds=3)
    arguments = parser.parse_args()
    import torch

    if not torch.cuda.is_available():
        sys.exit("benchmarks.history_placement needs a CUDA device; there is none here.")
    measured: dict[str, list[dict[str, Any]]] = {name: [] for name in SETTINGS}
    for _ in range(arguments.rounds):
        for name, overrides in SETTINGS.items():
            measured[name].append(measure(overrides))
    write("history-placement", combine(measured), table, {"rounds": arguments.rounds}, arguments.out)


def measure(overrides: list[str]) -> dict[str, Any]:
    """Seconds of one epoch between two host synchronisations, and the allocator's peak."""
    import torch

    from gas_cli.config.compose import compose_config
    from gas_cli.run import prepare
    from gas_cli.training.assemble import make_trainer

    config = compose_config(
        [*GRAPHS["arxiv-size"], *MODELS["gcn"], "device=cuda", "evaluation.every=null", "trainer.shuffle=false", *overrides]
    )
    problem = prepare(config)
    with tempfile.TemporaryDirectory() as folder:
        trainer = make_trainer(config, problem, Path(folder))
        seconds = []
        for _ in range(EPOCHS):
            torch.cuda.synchronize()
            started = time.perf_counter()
            trainer.train_epoch()
            torch.cuda.synchronize()
            seconds.append(time.perf_counter() - started)
            trainer.progress.next_epoch()
    return {"seconds": statistics.median(seconds[2:]), "peak_memory": max(trainer.memory.peaks["device"].values())}


def combine(measured: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    rows = []
    for name, outcomes in measured.items():
        seconds = {other: [outcome["seconds"] for outcome in measured[other]] for other in (name, "device")}
        row = {"histories": name, "seconds": statistics.median(seconds[name]), "ratio_to_device": ratio(seconds[name], seconds["device"])}
        rows.append(row | {"peak_memory": max(o["peak_memory"] for o in outcomes)})
    return rows


def table(content: Content) -> str:
    lines = [
        "# Histories on a GPU: seconds per epoch",
        "",
        f"GCN 3x256, ogbn-arxiv size, 80 parts, 40 per step, static groups; medians of {content['settings']['rounds']} rounds in turns.",
        "",
        "| histories | seconds | to `device` | peak device memory, MiB |",
        "|---|---|---|---|",
    ]
    for r in content["rows"]:
        lines.append(f"| {r['histories']} | {r['seconds']:.4f} | {r['ratio_to_device']:.3f}x | {r['peak_memory'] / 2**20:.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    run_script(main)
