"""Seconds and peak memory of `gas-data convert` on a pair of CSV tables with ids of text, in processes of their own.

    python -m benchmarks.convert [--edges 1000000 10000000] [--rounds 3] [--quick]

The tables are those of `benchmarks.read_tables` with a label per node and a feature. Seconds are those of the command after its imports,
the peak is what the process held at most, libraries included. Writes results/convert.md and .json.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.lib.processes import Outcome, Task, in_process, parse, peak_memory
from benchmarks.lib.turns import summary
from benchmarks.read_tables import write_tables
from scripts.lib.command_line import make_parser, run_script
from scripts.lib.report import Content, write

MODULE = "benchmarks.convert"


def main() -> None:
    parser = make_parser(__doc__, "--rounds", "--quick", "--out", rounds=3)
    parser.add_argument("--edges", type=int, nargs="+", default=[1_000_000, 10_000_000])
    arguments = parse(parser, work)
    if arguments.quick:
        arguments.edges, arguments.rounds = [100_000], 1
    with tempfile.TemporaryDirectory(prefix="gas-convert-") as name:
        rows = [measure(write_source(Path(name) / str(edges), edges), edges, arguments.rounds) for edges in arguments.edges]
    write("convert-quick" if arguments.quick else "convert", rows, table, {"rounds": arguments.rounds}, arguments.out)


def write_source(folder: Path, num_edges: int) -> Path:
    """The tables of `read_tables`, and in `nodes.csv` a feature and one of ten labels."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.csv as pc

    nodes = pc.read_csv(write_tables(folder, num_edges) / "nodes.csv")
    numbers = np.arange(len(nodes))
    columns = {"id": nodes["id"], "value": pa.array(numbers / len(nodes)), "label": pa.array(numbers % 10)}
    pc.write_csv(pa.table(columns), folder / "nodes.csv")
    return folder


def work(task: Task) -> Outcome:
    """Convert once, in this process."""
    from gas_cli.cli import convert
    from gas_cli.graph import load  # noqa: F401 - its time is no part of the command's

    start = time.perf_counter()
    convert.convert([task["source"], task["out"]])
    return {"seconds": time.perf_counter() - start, "peak": peak_memory("cpu")}


def measure(source: Path, num_edges: int, rounds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="gas-convert-") as name:
        outcomes = [in_process(MODULE, {"source": str(source), "out": f"{name}/{number}"}) for number in range(rounds)]
        written = sum(path.stat().st_size for path in Path(name, "0").iterdir())
    return {
        "edges": num_edges,
        "bytes": sum(path.stat().st_size for path in source.iterdir()),
        "written": written,
        "seconds": summary([outcome["seconds"] for outcome in outcomes]),
        "peak": max(outcome["peak"] for outcome in outcomes),
    }


def table(content: Content) -> str:
    lines = [
        "# gas-data convert of CSV tables with ids of text",
        "",
        f"Median of {content['settings']['rounds']} rounds, each in a process; peak of the process, libraries included.",
        "",
        "| edges | tables, MB | written, MB | seconds | peak, MB |",
        "|---|---|---|---|---|",
    ]
    for row in content["rows"]:
        sizes = [f"{row[key] / 1e6:.0f}" for key in ("bytes", "written")]
        lines.append(f"| {row['edges']:,} | {' | '.join(sizes)} | {row['seconds']['median']:.2f} | {row['peak'] / 1e6:.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    run_script(main)
