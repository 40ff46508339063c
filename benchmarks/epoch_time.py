"""Seconds per training epoch: ours (GAS, full batch) beside a plain PyG full-batch GCN on the same graph and hyper-parameters.

    python -m benchmarks.epoch_time [--root ../shared/datasets] [--cases arxiv-size cora ...] [--rounds 3] [--device cpu]

Every variant runs in a process of its own, so that peak memory is its own, and the variants take turns round by round, so that a
machine whose speed drifts slows all of them: read the ratios. Training steps only: evaluation, refreshes and start-up are not in it.
All variants run with the environment that gas-train sets for itself, which makes PyG faster as well.
Writes results/epoch-time-<device>.md and .json.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

VARIANTS = ("gas", "full_batch", "pyg", "pyg-sparse-tensor")
PHASES = ("batch", "pull", "compute", "push")
ARXIV_SIZE = [
    "experiment=arxiv-size",
    "dataset.num_nodes=169343",
    "dataset.average_degree=13.7",  # about 2.3M directed edges
]
CASES: dict[str, list[str]] = {
    "arxiv-size": ARXIV_SIZE,
    "arxiv-size-10-parts": [*ARXIV_SIZE, "trainer.batch_parts=10"],
    "cora": ["dataset=cora", "model=gcn"],
    "coauthor-physics": ["dataset=coauthor-physics", "model=gcn"],
}
EPOCHS = {"arxiv-size": 4, "arxiv-size-10-parts": 4, "cora": 60, "coauthor-physics": 5}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--root", type=Path, default=Path("../shared/datasets"), help="folder of the real datasets; cases without files are left out"
    )
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--worker", nargs=2, metavar=("CASE", "VARIANT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(work(*arguments.worker, arguments.root, arguments.device)))
        return
    rows = [row for case in arguments.cases for row in compare(case, arguments)]
    report(rows, arguments)


def compare(case: str, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """All variants of one case, in turns; medians over the rounds."""
    if not case.startswith("arxiv-size") and not arguments.root.is_dir():
        print(f"{case}: left out, {arguments.root} does not exist", file=sys.stderr)
        return []
    measured: dict[str, list[dict[str, Any]]] = {variant: [] for variant in arguments.variants}
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
    for other in ("pyg", "pyg-sparse-tensor"):
        if measured.get(other):
            pairs = zip(outcomes, measured[other], strict=True)
            row[f"ratio_to_{other}"] = statistics.median(a["seconds"] / b["seconds"] for a, b in pairs)
    if "phases" in outcomes[0]:
        row["phases"] = {name: statistics.median(o["phases"][name] for o in outcomes) for name in PHASES}
    return row


def in_process(case: str, variant: str, arguments: argparse.Namespace) -> dict[str, Any]:
    options = ["--root", str(arguments.root), "--device", arguments.device]
    command = [sys.executable, "-m", "benchmarks.epoch_time", "--worker", case, variant, *options]
    # PyG gets the environment that our command line sets for itself: sleeping threads and huge pages make it faster too.
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{case} {variant} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])  # type: ignore[no-any-return]


def work(case: str, variant: str, root: Path, device: str) -> dict[str, Any]:
    """One measurement, in the process of its own."""
    from gas_cli.cli.environment import prepare_process

    prepare_process()
    training_only = ["evaluation.every=0", "history.refresh=never", f"trainer.epochs={EPOCHS[case] + 1}"]
    overrides = [*CASES[case], f"dataset.root={root}", f"device={device}", *training_only]
    if variant in ("gas", "full_batch"):
        return work_ours([*overrides, f"method={variant}"])
    return work_pyg(overrides, variant, EPOCHS[case])


def work_ours(overrides: list[str]) -> dict[str, Any]:
    from gas_cli.config.compose import compose_config
    from gas_cli.report.recorder import read_metrics
    from gas_cli.run import run

    with tempfile.TemporaryDirectory() as folder:
        run(compose_config([*overrides, "trainer.checkpoint_every=100000"]), Path(folder))
        records = read_metrics(Path(folder) / "metrics.jsonl")[1:]
    phases = {name: statistics.median(r["seconds"][name] for r in records) for name in PHASES}
    seconds = statistics.median(sum(r["seconds"][name] for name in PHASES) for r in records)
    return {"seconds": seconds, "phases": phases, "peak_memory": records[-2]["peak_memory"]}  # before the last epoch's evaluation


def work_pyg(overrides: list[str], variant: str, epochs: int) -> dict[str, Any]:
    """A plain PyG model as its users write it: `GCNConv(cached=True)`, `F.dropout`, dense features."""
    import torch
    import torch.nn.functional as F
    from torch_geometric.nn import GCNConv

    from gas_cli.config.compose import compose_config
    from gas_cli.graph.load import load_graph

    config = compose_config(overrides)
    graph, settings = load_graph(config.dataset), config.model
    dense = graph.x if isinstance(graph.x, torch.Tensor) else graph.x.to_dense()
    target = torch.repeat_interleave(torch.arange(graph.num_nodes), graph.adj.rowptr.diff())
    adjacency: Any = torch.stack([graph.adj.col.long(), target])
    if variant == "pyg-sparse-tensor":
        try:
            from torch_sparse import SparseTensor
        except ImportError:
            return {"missing": "torch-sparse is not installed"}
        adjacency = SparseTensor(row=target, col=graph.adj.col.long(), sparse_sizes=graph.adj.shape)
    sizes = [graph.num_features] + [settings.hidden_channels] * (settings.num_layers - 1) + [graph.num_classes]

    class Plain(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convs = torch.nn.ModuleList(GCNConv(a, b, cached=True) for a, b in pairwise(sizes))
            self.norms = torch.nn.ModuleList(torch.nn.BatchNorm1d(c) for c in sizes[1:-1]) if settings.batch_norm else None

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if settings.drop_input:
                x = F.dropout(x, settings.dropout, self.training)
            for index, conv in enumerate(self.convs[:-1]):
                x = conv(x, adjacency)
                x = self.norms[index](x) if self.norms is not None else x
                x = F.dropout(x.relu(), settings.dropout, self.training)
            return self.convs[-1](x, adjacency)  # type: ignore[no-any-return]

    device = torch.device(config.device)
    model, x, y, mask = Plain().to(device), dense.to(device), graph.y.to(device), graph.splits[0].train.to(device)
    adjacency = adjacency.to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=config.optimizer.lr)
    seconds = []
    for _ in range(epochs + 1):
        started = time.perf_counter()
        optimizer.zero_grad()
        F.cross_entropy(model(x)[mask], y[mask]).backward()
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    peak = torch.cuda.max_memory_allocated() if device.type == "cuda" else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"seconds": statistics.median(seconds[1:]), "peak_memory": peak}


def report(rows: list[dict[str, Any]], arguments: argparse.Namespace) -> None:
    from benchmarks.machine import write

    lines = [
        "# Seconds per training epoch",
        "",
        f"GCN, {arguments.device}; medians of {arguments.rounds} rounds in turns (smallest to largest in brackets).",
        "Ratios are medians of the ratios within a round.",
        "Peak memory of the process, dataset and libraries included.",
        "",
        "| graph | variant | seconds | to PyG on edge_index | to PyG on SparseTensor | peak GiB | batch / pull / compute / push, % |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        ratios = [f"{row[key]:.2f}x" if key in row else "–" for key in ("ratio_to_pyg", "ratio_to_pyg-sparse-tensor")]
        phases = row.get("phases")
        shares = " / ".join(f"{100 * phases[name] / sum(phases.values()):.1f}" for name in PHASES) if phases else "–"
        spread = f"{row['seconds']:.4f} ({row['spread'][0]:.4f}–{row['spread'][1]:.4f})"
        peak = f"{row['peak_memory'] / 2**30:.2f}"
        lines.append(f"| {row['case']} | {row['variant']} | {spread} | {' | '.join(ratios)} | {peak} | {shares} |")
    print("\n".join(lines))
    write(f"epoch-time-{arguments.device}", rows, "\n".join(lines))


if __name__ == "__main__":
    main()
