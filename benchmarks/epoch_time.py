"""Seconds per training epoch: ours (GAS, full batch) beside PyG's, full batch and through its loaders: same graph, same settings.

    python -m benchmarks.epoch_time [--root DIR] [--cases "arxiv-size gcn" ...] [--variants gas pyg ...] [--rounds 3] [--device cpu]
    python -m benchmarks.epoch_time --quick

Every variant runs in a process of its own, so that peak memory is its own, and the variants take turns round by round, so that a
machine whose speed drifts slows all of them: read the ratios. Training steps only: evaluation, refreshes and start-up are not in it.
All variants run with the environment that gas-train sets for itself, which makes PyG faster as well.
Writes results/epoch-time-<device>.md and .json; with --quick, epoch-time-<device>-quick.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.cases import CASES, OURS, QUICK, VARIANTS

PHASES = ("batch", "pull", "compute", "push")
AFTERWARDS = ("evaluate", "checkpoint")
"""Stages that follow the last timed epoch and that the others do not have."""
RATIOS = {"pyg": "to PyG on edge_index", "pyg-sparse-tensor": "to PyG on SparseTensor", "full_batch": "to our full batch"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path("../shared/datasets"), help="the real datasets; cases without files are left out")
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--quick", action="store_true", help="one round of a few cases: about two minutes on two cores")
    parser.add_argument("--worker", nargs=2, metavar=("CASE", "VARIANT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(work(*arguments.worker, arguments)))
        return
    if arguments.quick:
        arguments.cases, arguments.rounds = list(QUICK), 1
    rows = [row for case in arguments.cases for row in compare(case, arguments)]
    report(rows, arguments)


def compare(case: str, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """All variants of one case, in turns; medians over the rounds."""
    if CASES[case].real and not arguments.root.is_dir():
        print(f"{case}: left out, {arguments.root} does not exist", file=sys.stderr)
        return []
    measured: dict[str, list[dict[str, Any]]] = {variant: [] for variant in CASES[case].variants if variant in arguments.variants}
    for number in range(arguments.rounds):
        for variant in list(measured):
            outcome = in_process(case, variant, arguments)
            if "missing" in outcome:
                print(f"{case} {variant}: left out, {outcome['missing']}", file=sys.stderr)
                del measured[variant]
                continue
            measured[variant].append(outcome)
            print(f"{case} round {number + 1} {variant}: {outcome['seconds']:.4f} s", file=sys.stderr, flush=True)
    return [combine(case, variant, outcomes, measured) for variant, outcomes in measured.items()]


def combine(case: str, variant: str, outcomes: list[dict[str, Any]], measured: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    row: dict[str, Any] = {"case": case, "variant": variant}
    row["seconds"] = statistics.median(o["seconds"] for o in outcomes)
    row["spread"] = [min(o["seconds"] for o in outcomes), max(o["seconds"] for o in outcomes)]
    row["peak_memory"] = max(o["peak_memory"] for o in outcomes)
    for other in RATIOS:
        if measured.get(other):
            pairs = zip(outcomes, measured[other], strict=True)
            row[f"ratio_to_{other}"] = statistics.median(a["seconds"] / b["seconds"] for a, b in pairs)
    if "phases" in outcomes[0]:
        row["phases"] = {name: statistics.median(o["phases"][name] for o in outcomes) for name in PHASES}
    return row


def in_process(case: str, variant: str, arguments: argparse.Namespace) -> dict[str, Any]:
    options = ["--root", str(arguments.root), "--device", arguments.device]
    command = [sys.executable, "-m", "benchmarks.epoch_time", "--worker", case, variant, *options]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{case} {variant} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])  # type: ignore[no-any-return]


def work(name: str, variant: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """One measurement, in the process of its own."""
    from gas_cli.cli.environment import prepare_process

    prepare_process()  # PyG gets it too: sleeping threads and huge pages make it faster as well
    from gas_cli.config.compose import compose_config

    case = CASES[name]
    training_only = ("evaluation.every=0", "history.refresh=never", f"trainer.epochs={case.epochs + 1}", "trainer.checkpoint_every=100000")
    settings = [*case.settings, f"dataset.root={arguments.root}", f"device={arguments.device}", *training_only]
    if variant in OURS:
        return work_ours([*settings, f"method={variant}"])
    from benchmarks.pyg_training import Missing, seconds_per_epoch

    try:
        seconds = seconds_per_epoch(compose_config(settings), variant, case.epochs)
    except Missing as missing:
        return {"missing": str(missing)}
    return {"seconds": seconds, "peak_memory": peak_memory(arguments.device)}


def work_ours(settings: list[str]) -> dict[str, Any]:
    """The epochs after the first."""
    from gas_cli.config.compose import compose_config
    from gas_cli.report.recorder import read_metrics
    from gas_cli.run import run

    with tempfile.TemporaryDirectory() as folder:
        memory = run(compose_config(settings), Path(folder))["memory"]
        records = read_metrics(Path(folder) / "metrics.jsonl")[1:]
    phases = {name: statistics.median(r["seconds"][name] for r in records) for name in PHASES}
    seconds = statistics.median(sum(r["seconds"][name] for name in PHASES) for r in records)
    peaks = memory.get("device", memory["resident"])
    return {"seconds": seconds, "phases": phases, "peak_memory": max(peaks[stage] for stage in peaks if stage not in AFTERWARDS)}


def peak_memory(device: str) -> int:
    """Bytes: the allocator's peak on CUDA, the process' elsewhere."""
    import torch

    return torch.cuda.max_memory_allocated() if device == "cuda" else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def report(rows: list[dict[str, Any]], arguments: argparse.Namespace) -> None:
    from benchmarks.machine import write

    lines = [
        "# Seconds per training epoch",
        "",
        f"{arguments.device}; medians of {arguments.rounds} rounds in turns (smallest to largest in brackets).",
        "Ratios are medians of the ratios within a round.",
        "Peak memory of the process, dataset and libraries included. The parts of PyG's ClusterLoader are not timed.",
        "",
        f"| case | variant | seconds | {' | '.join(RATIOS.values())} | peak GiB | batch / pull / compute / push, % |",
        f"|---|---|---|{'---|' * len(RATIOS)}---|---|",
    ]
    for row in rows:
        ratios = [f"{row[key]:.2f}x" if (key := f"ratio_to_{other}") in row else "–" for other in RATIOS]
        phases = row.get("phases")
        shares = " / ".join(f"{100 * phases[name] / sum(phases.values()):.1f}" for name in PHASES) if phases else "–"
        spread = f"{row['seconds']:.4f} ({row['spread'][0]:.4f}–{row['spread'][1]:.4f})"
        peak = f"{row['peak_memory'] / 2**30:.2f}"
        lines.append(f"| {row['case']} | {row['variant']} | {spread} | {' | '.join(ratios)} | {peak} | {shares} |")
    print("\n".join(lines))
    write(f"epoch-time-{arguments.device}{'-quick' if arguments.quick else ''}", rows, "\n".join(lines))


if __name__ == "__main__":
    main()
