"""Seconds and memory from a text table of edges with ids of text to the adjacency, against pyarrow reading the same file.

    python -m benchmarks.read_tables [--edges 1000000 10000000] [--rounds 3] [--quick]

In turns: `plain` reads the file with pyarrow.csv.read_csv, `ends` gives rows of nodes instead of ids, `adjacency` also sorts them into CSR.
The peak is that of a separate process, above what it held once the ids were loaded: arrow's buffers, ends and adjacency.
Writes results/read-tables.md and .json.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.lib.turns import in_turns, ratio, summary
from scripts.lib.command_line import make_parser, run_script
from scripts.lib.report import Content, write

EDGES_PER_NODE = 20
ROWS = 1 << 20
PEAK = """
import sys
from pathlib import Path
from benchmarks.read_tables import adjacency, ids_of
from gas_cli.measure.memory import resident_bytes, resident_peak, restart_resident_peak
import json
folder, tiny = map(Path, sys.argv[1:])
adjacency(tiny, ids_of(tiny))  # kernels and libraries are loaded
ids = ids_of(folder)
ids.check()
before = resident_bytes()
restart_resident_peak()
adj = adjacency(folder, ids)
print(json.dumps({"peak": resident_peak() - before, "arrays": adj.nbytes}))
"""


def main() -> None:
    parser = make_parser(__doc__, "--rounds", "--quick", "--out", rounds=3)
    parser.add_argument("--edges", type=int, nargs="+", default=[1_000_000, 10_000_000])
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.edges, arguments.rounds = [100_000], 1
    with tempfile.TemporaryDirectory(prefix="gas-tables-") as name:
        tiny = write_tables(Path(name) / "tiny", 1000)
        rows = [measure(write_tables(Path(name) / str(edges), edges), tiny, edges, arguments.rounds) for edges in arguments.edges]
    write("read-tables-quick" if arguments.quick else "read-tables", rows, table, {"rounds": arguments.rounds}, arguments.out)


def write_tables(folder: Path, num_edges: int) -> Path:
    """`nodes.csv`, the ids only, and `edges.csv`: uniformly random ends of N = E / 20 nodes called user_0 to user_N-1, in any order."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.csv as pc

    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    num_nodes = max(2, num_edges // EDGES_PER_NODE)
    names = pa.array(np.char.add("user_", rng.permutation(num_nodes).astype(str)))
    pc.write_csv(pa.table({"id": names}), folder / "nodes.csv")
    with pc.CSVWriter(folder / "edges.csv", pa.schema([("source", pa.string()), ("target", pa.string())])) as writer:
        for start in range(0, num_edges, ROWS):
            ends = rng.integers(0, num_nodes, (2, min(ROWS, num_edges - start)))
            writer.write_table(pa.table({name: names.take(pa.array(end)) for name, end in zip(("source", "target"), ends, strict=True)}))
    return folder


def ids_of(folder: Path) -> Any:
    from gas_cli.graph.node_ids import NodeIds
    from gas_cli.graph.sources.frame import read_frame

    return NodeIds.of_texts(read_frame(folder / "nodes.csv").texts("id"))


def ends(folder: Path, ids: Any) -> Any:
    """The edges by rows of nodes; `ids` is what `ids_of` gave."""
    from gas_cli.config.dataset import FolderConfig
    from gas_cli.graph.sources.edge_table import read_edges

    return read_edges(folder / "edges.csv", FolderConfig(), ids).edges


def adjacency(folder: Path, ids: Any) -> Any:
    return ends(folder, ids).adjacency(len(ids), undirected=False)


def measure(folder: Path, tiny: Path, num_edges: int, rounds: int) -> dict[str, Any]:
    import pyarrow.csv as pc

    steps = {
        "plain": lambda: pc.read_csv(folder / "edges.csv"),
        "ends": lambda: ends(folder, ids_of(folder)),
        "adjacency": lambda: adjacency(folder, ids_of(folder)),
    }
    seconds = in_turns(steps, rounds, time.perf_counter)
    done = subprocess.run([sys.executable, "-c", PEAK, str(folder), str(tiny)], check=True, capture_output=True, text=True)
    row = {"edges": num_edges, "bytes": (folder / "edges.csv").stat().st_size, **json.loads(done.stdout)}
    row |= {name: summary(values) for name, values in seconds.items()}
    row |= {f"{name} ratio": ratio(seconds[name], seconds["plain"]) for name in ("ends", "adjacency")}
    return row


def table(content: Content) -> str:
    lines = [
        "# From a table of edges with ids of text to the adjacency",
        "",
        f"Medians of {content['settings']['rounds']} rounds in turns, all cores; ratios to pyarrow's reading within a round.",
        "Ends and adjacency include reading the ids and making their hash table.",
        "Peak: above what the process held with the ids loaded; arrays: the adjacency.",
        "",
        "| edges | file, MB | pyarrow reads, s | ends, s | ratio | adjacency, s | ratio | peak, MB | arrays, MB | peak / arrays |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in content["rows"]:
        cells = [f"{row['edges']:,}", f"{row['bytes'] / 1e6:.0f}", f"{row['plain']['median']:.2f}"]
        for name in ("ends", "adjacency"):
            cells += [f"{row[name]['median']:.2f}", f"{row[f'{name} ratio']:.2f}x"]
        cells += [f"{row['peak'] / 1e6:.0f}", f"{row['arrays'] / 1e6:.0f}", f"{row['peak'] / row['arrays']:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    run_script(main)
