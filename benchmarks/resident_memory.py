"""Peak resident memory of a run by stage, beside what no run can do without.

    python -m benchmarks.resident_memory [--cases arxiv-size products-size] [--scale 1] [--work DIR]

Each case runs in a process of its own: `gas-train` on a generated graph of ogbn-arxiv's size, and on a generated folder like that of
ogbn-products (benchmarks/ogb_folder.py), parsed, divided by METIS and trained with its published settings. The libraries' memory is not
counted: a tiny case runs first in the same process, and what is resident after it is taken off. The floor is made of

    graph       the adjacency that training reads (8 bytes per message, 8 per node) and, per node, its label and its place
    features    float32 [N, F]
    histories   [N, channels] of the inputs of all layers but the first
    step        what a training step holds at its worst moment, counted tensor by tensor: parameters, Adam, activations, gradients
    batch       blocks and features of the largest batch, where they are no views of the graph

At scale 1 products-size needs 8 GB of disk in DIR and about an hour. Writes results/resident-memory.md and .json (with --scale: ...-small).
"""

from __future__ import annotations

import argparse
import gc
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.cases import GRAPHS, MODELS
from benchmarks.machine import Content, write

SCALED = "dataset.num_nodes="
EPOCHS = 2
COMMON = (f"trainer.epochs={EPOCHS}", "device=cpu", "evaluation.every=1")
TINY = {"arxiv-size": 0.01, "products-size": 0.001}
"""Of the case that comes first, in the same process."""
NOT_OURS = ("start",)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", default=list(TINY), choices=list(TINY))
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--work", type=Path, help="where raw data and runs go, and stay; without it in a temporary folder that is removed")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="further settings of gas-train")
    parser.add_argument("--worker", metavar="CASE", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(work(arguments.worker, arguments)))
        return
    with tempfile.TemporaryDirectory(prefix="gas-memory-") as temporary:
        arguments.work = (arguments.work or Path(temporary)).absolute()
        rows = [in_process(case, arguments) for case in arguments.cases]
    write("resident-memory" if arguments.scale == 1 else "resident-memory-small", rows, table, {"scale": arguments.scale})


def in_process(case: str, arguments: argparse.Namespace) -> dict[str, Any]:
    if case == "products-size" and not (arguments.work / str(arguments.scale) / "ogbn_products").exists():
        script = [sys.executable, "-m", "benchmarks.ogb_folder", str(arguments.work / str(arguments.scale))]
        subprocess.run([*script, "--scale", str(arguments.scale)], check=True)
    command = [sys.executable, "-m", "benchmarks.resident_memory", "--worker", case, "--scale", str(arguments.scale)]
    done = subprocess.run(
        [*command, "--work", str(arguments.work), "--set", *arguments.set], check=False, stdout=subprocess.PIPE, text=True
    )
    if done.returncode:
        raise SystemExit(f"{case} failed")
    return json.loads(done.stdout.strip().splitlines()[-1])  # type: ignore[no-any-return]


def work(case: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """One measurement, in the process of its own."""
    from gas_cli.cli.environment import prepare_process

    prepare_process()
    from gas_cli.config.compose import compose_config
    from gas_cli.memory import release_free_memory, resident_bytes
    from gas_cli.run import run

    tiny = [*settings(case, TINY[case], arguments.work), *arguments.set]
    if case == "products-size":
        from benchmarks.ogb_folder import write_products

        write_products(arguments.work / str(TINY[case]), TINY[case])
    run_in(arguments.work, lambda folder: run(compose_config(tiny), folder))
    measure_floor(tiny)  # what it imports counts as well
    gc.collect()
    release_free_memory()  # kept by the C library, it would count as a part of the libraries, and be used by the case
    base = resident_bytes()
    full = [*settings(case, arguments.scale, arguments.work), *arguments.set]
    summary = run_in(arguments.work, lambda folder: run(compose_config(full), folder))
    peaks = {stage: peak - base for stage, peak in summary["memory"]["resident"].items() if stage not in NOT_OURS}
    floor = measure_floor(full)
    return {
        "case": case,
        "scale": arguments.scale,
        "nodes": summary["num_nodes"],
        "messages": summary["num_edges"],
        "libraries": base,
        "peaks": peaks,
        "processes": summary["memory"]["processes"],
        "floor": floor,
        "ratio": max(peaks.values()) / sum(floor.values()),
    }


def run_in(work: Path, start: Any) -> Any:
    with tempfile.TemporaryDirectory(dir=work, prefix="run-") as folder:
        return start(Path(folder))


def settings(case: str, scale: float, work: Path) -> list[str]:
    """Of gas-train, and no partition or parsed file of an earlier measurement; this one's partition is kept for the floor."""
    partitions = work / f"{case}-{scale}-partitions"
    shutil.rmtree(partitions, ignore_errors=True)
    cache = f"partitioner.cache={partitions}"
    if case == "products-size":
        shutil.rmtree(work / str(scale) / "ogbn_products" / "parsed", ignore_errors=True)  # parsing is measured too
        return ["dataset=ogbn-products", "model=gcn", f"dataset.root={work / str(scale)}", "dataset.download=false", cache, *COMMON]
    nodes = next(int(value.removeprefix(SCALED)) for value in GRAPHS[case] if value.startswith(SCALED))
    graph = [value for value in GRAPHS[case] if not value.startswith(SCALED)]
    return [*graph, f"{SCALED}{round(scale * nodes)}", *MODELS["gcn"], cache, *COMMON]


def measure_floor(overrides: list[str]) -> dict[str, int]:
    """Bytes of what the case needs at once, by kind."""
    import torch

    from gas_cli.config.compose import compose_config
    from gas_cli.model.registry import build_model
    from gas_cli.run import pick_split, prepare
    from gas_cli.train.trainer import Trainer
    from scripts.live_bytes import LiveBytes

    config = compose_config([*overrides, "trainer.prefetch=0"])
    problem = prepare(config)
    model = build_model(config.model, problem.graph.num_features, problem.graph.num_classes, 0)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(config, problem, pick_split(config, problem, 0), model, 0, torch.device("cpu"), Path(folder))
        counter, loader = LiveBytes(), trainer.epochs.loader
        counter.ignore(known_tensors(trainer))  # counted by their own names, or not at all
        counter.count(list(model.parameters()))
        batches = Uncounted(loader, counter)
        trainer.epochs.loader = batches  # type: ignore[assignment]
        with counter:
            trainer.train_epoch()
    per_node = problem.graph.y.nbytes + problem.partition.node_perm.nbytes
    histories = 0 if trainer.store is None else trainer.store.nbytes
    data = problem.nbytes
    return {
        "graph": data["graph"] + per_node,
        "features": data["features"],
        "histories": histories,
        "step": counter.peak,
        "batch": batches.largest,
    }


def known_tensors(trainer: Any) -> list[Any]:
    """What exists before a step and after it."""
    graph, adj = trainer.problem.graph, trainer.problem.adj
    x = [graph.x.rowptr, graph.x.col, graph.x.value] if hasattr(graph.x, "rowptr") else [graph.x]
    tables = [] if trainer.store is None else trainer.store.tables
    sums = [] if trainer.problem.feature_sums is None else [trainer.problem.feature_sums]
    masks = [mask for split in graph.splits for mask in (split.train, split.val, split.test)]
    return [*x, adj.rowptr, adj.col, adj.value, graph.y, trainer.problem.partition.node_perm, *tables, *sums, *masks]


class Uncounted:
    """A loader whose batches are not part of the step; `largest` is the size of the largest."""

    def __init__(self, loader: Any, counter: Any) -> None:
        self.loader, self.counter, self.largest = loader, counter, 0

    def batches(self, groups: list[list[int]], keep: bool) -> Iterator[Any]:
        source = self.loader.batches(groups, keep)
        while True:
            with self.counter.paused():
                batch = next(source, None)
            if batch is None:
                return
            self.largest = max(self.largest, batch.nbytes)
            yield batch


def table(content: Content) -> str:
    rows = content["rows"]
    stages = list(dict.fromkeys(stage for row in rows for stage in row["peaks"]))
    lines = [
        "# Peak resident memory by stage",
        "",
        "CPU; MiB above the resident size after a tiny case, which stands for the libraries. The floor is what a run needs at once; ratio:",
        "the largest peak over the floor. METIS runs in a process of its own while `partition` waits: its peak comes on top of that.",
        "",
        "| case | nodes | messages | libraries | " + " | ".join(stages) + " | METIS | floor | ratio |",
        "|---|---|---|---|" + "---|" * (len(stages) + 3),
    ]
    for row in rows:
        peaks = [mebibytes(row["peaks"].get(stage)) for stage in stages]
        total = mebibytes(sum(row["floor"].values()))
        metis = mebibytes(row["processes"].get("metis"))
        cells = [row["case"], f"{row['nodes']:,}", f"{row['messages']:,}", mebibytes(row["libraries"]), *peaks, metis, total]
        lines.append("| " + " | ".join([*cells, f"{row['ratio']:.2f}"]) + " |")
    lines += ["", "| floor of | " + " | ".join(rows[0]["floor"]) + " |", "|---|" + "---|" * len(rows[0]["floor"])]
    lines += ["| " + " | ".join([row["case"], *map(mebibytes, row["floor"].values())]) + " |" for row in rows]
    return "\n".join(lines)


def mebibytes(size: int | None) -> str:
    return "–" if size is None else f"{size / 2**20:,.0f}"


if __name__ == "__main__":
    main()
