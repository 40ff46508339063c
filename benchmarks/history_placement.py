"""What histories cost on a GPU: seconds per epoch for every placement, synchronous and pipelined, beside histories on the device.

    python -m benchmarks.history_placement [--rounds 3]

The target: pinned and pipelined at most 1.05x of histories on the device. Needs a CUDA device.
Writes results/history-placement.md and .json.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.cases import GRAPHS, MODELS

SETTINGS = {
    "device": ["history.placement=device"],
    "pinned, pipelined": ["history.placement=pinned", "history.pipeline=true"],
    "pinned, pipelined, bfloat16": ["history.placement=pinned", "history.pipeline=true", "history.dtype=bfloat16"],
    "pinned, synchronous": ["history.placement=pinned", "history.pipeline=false"],
    "host": ["history.placement=host"],
}
EPOCHS = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    import torch

    if not torch.cuda.is_available():
        sys.exit("benchmarks.history_placement needs a CUDA device; there is none here.")
    measured: dict[str, list[dict[str, Any]]] = {name: [] for name in SETTINGS}
    for _ in range(arguments.rounds):
        for name, overrides in SETTINGS.items():
            measured[name].append(measure(overrides))
    report(measured, arguments.rounds)


def measure(overrides: list[str]) -> dict[str, Any]:
    """Seconds of one epoch between two host synchronisations, and the allocator's peak."""
    import torch

    from gas_cli.config.compose import compose_config
    from gas_cli.model.registry import build_model
    from gas_cli.run import pick_split, prepare
    from gas_cli.train.trainer import Trainer

    config = compose_config(
        [*GRAPHS["arxiv-size"], *MODELS["gcn"], "device=cuda", "evaluation.every=0", "trainer.shuffle=false", *overrides]
    )
    problem = prepare(config)
    model = build_model(config.model, problem.graph.num_features, problem.graph.num_classes, 0)
    torch.cuda.reset_peak_memory_stats()
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(config, problem, pick_split(config, problem, 0), model, 0, torch.device("cuda"), Path(folder))
        seconds = []
        for _ in range(EPOCHS):
            torch.cuda.synchronize()
            started = time.perf_counter()
            trainer.train_epoch()
            torch.cuda.synchronize()
            seconds.append(time.perf_counter() - started)
            trainer.progress.next_epoch()
    return {"seconds": statistics.median(seconds[2:]), "peak_memory": torch.cuda.max_memory_allocated()}


def report(measured: dict[str, list[dict[str, Any]]], rounds: int) -> None:
    from benchmarks.machine import write

    rows = []
    for name, outcomes in measured.items():
        ratio = statistics.median(a["seconds"] / b["seconds"] for a, b in zip(outcomes, measured["device"], strict=True))
        seconds = statistics.median(o["seconds"] for o in outcomes)
        rows.append(
            {"histories": name, "seconds": seconds, "ratio_to_device": ratio, "peak_memory": max(o["peak_memory"] for o in outcomes)}
        )
    lines = [
        "# Histories on a GPU: seconds per epoch",
        "",
        f"GCN 3x256, ogbn-arxiv size, 80 parts, 40 per step, static groups; medians of {rounds} rounds in turns.",
        "",
        "| histories | seconds | to `device` | peak device memory, MiB |",
        "|---|---|---|---|",
        *[f"| {r['histories']} | {r['seconds']:.4f} | {r['ratio_to_device']:.3f}x | {r['peak_memory'] / 2**20:.0f} |" for r in rows],
    ]
    print("\n".join(lines))
    write("history-placement", rows, "\n".join(lines))


if __name__ == "__main__":
    main()
