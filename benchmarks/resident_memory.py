"""Peak resident memory of a run by stage, next to what no run can do without.

    python -m benchmarks.resident_memory [--cases arxiv-size products-size] [--scale 1] [--work DIR]

Each case runs in a separate process: `gas-train` on a generated graph of ogbn-arxiv's size, and on a generated folder like that of
ogbn-products (benchmarks/ogb_folder.py; a tenth of it unless --scale says more), parsed, divided by METIS and trained with its published
settings. The libraries' memory is not counted: a tiny case runs first in the same process, and what is resident after it is taken off. The
floor is made of

    graph       the adjacency that training reads (8 bytes per message, 8 per node) and, per node, its label and its place
    features    float32 [N, F]
    histories   [N, channels] of the inputs of all layers but the first
    step        what a training step holds at its worst moment, counted tensor by tensor: parameters, Adam, activations, gradients
    batch       blocks and features of the largest batch, where they are no views of the graph

`--scale 1 --cases products-size` needs 15 GB of disk in DIR, 12.5 GiB of memory and a quarter of an hour. Writes
results/resident-memory.md and .json; rows of other cases and scales that are there already stay.
"""

from __future__ import annotations

import gc
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.lib.cases import GRAPHS, MODELS
from benchmarks.lib.processes import in_process, parse
from scripts.lib.command_line import BENCHMARK, add_choices, make_parser, run_script
from scripts.lib.report import Content, read, write

NAME = "resident-memory"
NODES = "dataset.num_nodes="
COMMON = ("device=cpu", "evaluation.every=1")
SCALES = {"arxiv-size": 1.0, "products-size": 0.1}
EPOCHS = {"arxiv-size": 2, "products-size": 1}
TINY = {"arxiv-size": 0.01, "products-size": 0.001}
"""Of the case that comes first, in the same process."""


def main() -> None:
    parser = make_parser(__doc__, *BENCHMARK, "--set", rounds=1)
    add_choices(parser, "--cases", SCALES)
    parser.add_argument("--scale", type=float, help="times the nodes and edges of the published graphs")
    parser.add_argument("--work", type=Path, help="where raw data and runs go, and stay; without it in a temporary folder that is removed")
    arguments = parse(parser, lambda task: measure(**task))
    with tempfile.TemporaryDirectory(prefix="gas-memory-") as temporary:
        work = str((arguments.work or Path(temporary)).absolute())
        rows = []
        for case in arguments.cases:
            scale = arguments.scale or SCALES[case]
            task = {"case": case, "scale": scale, "work": work, "further": arguments.set}
            if case == "products-size":
                in_process("benchmarks.resident_memory", {**task, "prepare": True})
            rows.append(in_process("benchmarks.resident_memory", task))
    write(NAME, [*kept(rows, arguments.out), *rows], table, {}, arguments.out)


def kept(rows: list[dict[str, Any]], results: Path) -> list[dict[str, Any]]:
    """Rows of earlier measurements that these do not replace."""
    if not (results / f"{NAME}.json").exists():
        return []
    new = {(row["case"], row["scale"]) for row in rows}
    return [row for row in read(NAME, results)["rows"] if (row["case"], row["scale"]) not in new]


def measure(case: str, scale: float, work: str, further: list[str], prepare: bool = False) -> dict[str, Any]:
    """One measurement, in a separate process; or, with `prepare`, its raw files, whose making is to leave nothing in that process."""
    if prepare:
        return write_raw(Path(work), scale)
    from benchmarks.lib.memory_floor import measure_floor
    from gas_cli.config.compose import compose_config
    from gas_cli.measure.memory import release_free_memory, resident_bytes
    from gas_cli.run import run

    tiny, full = ([*settings(case, size, Path(work)), *further] for size in (TINY[case], scale))
    run_in(Path(work), lambda folder: run(compose_config(tiny), folder))
    measure_floor(tiny)  # what it imports counts as well
    gc.collect()
    release_free_memory()  # kept by the C library, it would count as a part of the libraries, and be used by the case
    base = resident_bytes()
    summary = run_in(Path(work), lambda folder: run(compose_config(full), folder))
    peaks = {stage: peak - base for stage, peak in summary["memory"]["resident"].items() if stage != "start"}
    floor = measure_floor(full)
    return {
        "case": case,
        "scale": scale,
        "nodes": summary["num_nodes"],
        "messages": summary["num_edges"],
        "libraries": base,
        "peaks": peaks,
        "processes": summary["memory"]["processes"],
        "floor": floor,
        "ratio": max(peaks.values()) / sum(floor.values()),
        "total": total(base, peaks, summary["memory"]["processes"]),
    }


def total(libraries: int, peaks: dict[str, int], processes: dict[str, int]) -> int:
    """Bytes of all processes at the worst moment, libraries included: METIS' comes on top of `partition`."""
    return libraries + max(*peaks.values(), peaks["partition"] + sum(processes.values()))


def write_raw(work: Path, scale: float) -> dict[str, Any]:
    """The folders of the case and of the tiny one, unless they are there."""
    from benchmarks.ogb_folder import write_folder

    for size in (TINY["products-size"], scale):
        if not (root := work / f"products-{size}").exists():
            write_folder(root, "products", size)
    return {}


def run_in(work: Path, start: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=work, prefix="run-") as folder:
        return start(Path(folder))


def settings(case: str, scale: float, work: Path) -> list[str]:
    """Of gas-train, and nothing prepared by an earlier measurement; this one's is kept for the floor."""
    partitions = work / f"{case}-{scale}-partitions"
    shutil.rmtree(partitions, ignore_errors=True)
    common = [*COMMON, f"trainer.epochs={EPOCHS[case]}", f"partitioner.cache={partitions}"]
    if case == "products-size":
        root = work / f"products-{scale}"
        return ["dataset=ogbn-products", "model=gcn", f"dataset.root={root}", "dataset.download=false", *common]
    nodes = next(int(value.removeprefix(NODES)) for value in GRAPHS[case] if value.startswith(NODES))
    graph = [value for value in GRAPHS[case] if not value.startswith(NODES)]
    return [*graph, f"{NODES}{round(scale * nodes)}", *MODELS["gcn"], *common]


def table(content: Content) -> str:
    rows = content["rows"]
    stages = list(dict.fromkeys(stage for row in rows for stage in row["peaks"]))
    lines = [
        "# Peak resident memory by stage",
        "",
        "CPU; MiB above the resident size after a tiny case, which stands for the libraries. The floor is what a run needs at once; ratio:",
        "the largest peak over the floor. METIS runs in a process of its own while `partition` waits: its peak comes on top of that.",
        "In all: everything at the worst moment, libraries and METIS included.",
        "",
        "| case | nodes | messages | libraries | " + " | ".join(stages) + " | METIS | floor | ratio | in all |",
        "|---|---|---|---|" + "---|" * (len(stages) + 4),
    ]
    for row in rows:
        peaks = [mebibytes(row["peaks"].get(stage)) for stage in stages]
        floor, metis = mebibytes(sum(row["floor"].values())), mebibytes(row["processes"].get("metis"))
        cells = [named(row), f"{row['nodes']:,}", f"{row['messages']:,}", mebibytes(row["libraries"]), *peaks, metis, floor]
        lines.append("| " + " | ".join([*cells, f"{row['ratio']:.2f}", mebibytes(row["total"])]) + " |")
    lines += ["", "| floor of | " + " | ".join(rows[0]["floor"]) + " |", "|---|" + "---|" * len(rows[0]["floor"])]
    lines += ["| " + " | ".join([named(row), *map(mebibytes, row["floor"].values())]) + " |" for row in rows]
    return "\n".join(lines)


def named(row: dict[str, Any]) -> str:
    return str(row["case"]) if row["scale"] == 1 else f"{row['case']}, {row['scale']:g} of it"


def mebibytes(size: int | None) -> str:
    return "–" if size is None else f"{size / 2**20:,.0f}"


if __name__ == "__main__":
    run_script(main)
