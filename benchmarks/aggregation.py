"""Forward and backward pass of neighbours' aggregation, on a generated graph of ogbn-arxiv's size: ours, torch-sparse, torch, PyG.

    python -m benchmarks.aggregation [--rounds 5] [--threads N] [--device cpu|cuda] [--scale 1.0]
    python -m benchmarks.aggregation --quick    # one round, only the weighted sum

The weighted sum at 256 channels, and mean, max, min and PNA's set (mean, min, max, standard deviation) at 64, on the adjacency of GCN
with nodes in the order of METIS parts, breadth first within each; the sum in the order of the dataset's shuffled ids, too. Every variant's
output and gradient are compared before they are timed. The memory's bandwidth is measured in the same turns, on the same threads.

Bytes of a weighted sum with its gradient, N nodes, E edges, C channels: the matrix is read in both passes, 8 (N + 1) + 8 E bytes (row
pointers of 8 bytes, columns and weights of 4), and a table of 4 N C is written in both. Added to that,
    floor       each row that is read is read once: 4 N C in both passes, as if the cache held the table
    no cache    a row is read for every edge: 4 E C in both passes
The share of the bandwidth is bytes / seconds / bandwidth. Of the floor it is at most 1; of `no cache` it can be more, where rows are found
in the cache. Writes results/aggregation-<device>.md and .json.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from benchmarks.lib.cases import GRAPHS, scaled
from benchmarks.lib.turns import clock_of, in_turns, ratio, summary
from scripts.lib.command_line import BENCHMARK, make_parser, result_name, run_script
from scripts.lib.report import Content, write

if TYPE_CHECKING:
    from benchmarks.lib.aggregators import Case, Step
    from gas_cli.ops.csr import CSR

ORDERS = ("parts", "shuffled ids")
CHANNELS = {"weighted sum": 256}
OTHER_CHANNELS = 64
"""A message of 256 channels for every edge, several times over, would take tens of GB in PyG."""


def main() -> None:
    parser = make_parser(__doc__, *BENCHMARK, rounds=5)
    parser.add_argument("--threads", type=int, default=0, help="default: all that torch takes")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the graph's nodes")
    arguments = parser.parse_args()
    arguments.rounds = 1 if arguments.quick else arguments.rounds
    import torch

    torch.set_num_threads(arguments.threads or torch.get_num_threads())
    arguments.threads = torch.get_num_threads()
    rows = measure(arguments)
    settings = {"rounds": arguments.rounds, "threads": arguments.threads, "device": arguments.device}
    settings |= {"clock": clock_of(arguments.threads, arguments.device)[1], "nodes": rows[0]["nodes"], "edges": rows[0]["edges"]}
    write(result_name("aggregation", arguments), rows, table, settings, arguments.out)


def measure(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """One row for each variant of each aggregation."""
    from benchmarks.lib.aggregators import AGGREGATIONS, make_case

    rows: list[dict[str, Any]] = []
    for order in ["parts"] if arguments.quick else ORDERS:
        adj = adjacency(order, arguments)
        for name, aggregators in AGGREGATIONS.items():
            if name != "weighted sum" and (order != "parts" or arguments.quick):
                continue
            case = make_case(adj, aggregators, CHANNELS.get(name, OTHER_CHANNELS))
            found = compare(case, name, arguments.rounds, clock_of(arguments.threads, arguments.device)[0])
            rows += [{"aggregation": name, "order": order, **row} for row in found]
            print(f"{order}, {name}: {[(row['variant'], round(row['times_ours'], 2)) for row in found]}", file=sys.stderr, flush=True)
    return rows


def adjacency(order: str, arguments: argparse.Namespace) -> CSR:
    """GCN's adjacency of the graph, symmetric, with self-loops."""
    from gas_cli.config.compose import compose_config
    from gas_cli.graph.load import load_graph
    from gas_cli.graph.normalize import normalize
    from gas_cli.run import prepare

    config = compose_config([*scaled(GRAPHS["arxiv-size"], arguments.scale), "model=gcn"])
    if order == "parts":
        return prepare(config).adj.to(arguments.device)
    return normalize(load_graph(config.dataset).adjacency(), config.model.normalization, config.model.self_loops).to(arguments.device)


def compare(case: Case, name: str, rounds: int, clock: Callable[[], float]) -> list[dict[str, Any]]:
    """All variants and the memory's bandwidth, in turns."""
    from benchmarks.lib.bandwidth import streams

    steps, missing = variants(case, name)
    measures = streams(case.x.device)
    seconds = in_turns({**steps, **{stream: found.step for stream, found in measures.items()}}, rounds, clock)
    bandwidth = max(found.nbytes / summary(seconds[stream])["median"] for stream, found in measures.items())
    nodes, edges, channels = case.adj.num_rows, case.adj.nnz, case.x.shape[1]
    shared = {"nodes": nodes, "edges": edges, "channels": channels, "bandwidth": bandwidth, "missing": missing}
    moved = {"floor": floor(nodes, edges, channels), "no_cache": no_cache(nodes, edges, channels)} if name == "weighted sum" else {}
    rows = []
    for variant in steps:
        found = {"variant": variant, **summary(seconds[variant]), "times_ours": ratio(seconds[variant], seconds["ours"])}
        rows.append({**shared, **moved, **found})
    return rows


def variants(case: Case, name: str) -> tuple[dict[str, Step], dict[str, str]]:
    """The steps to time, checked against ours; and why the others are not here."""
    from benchmarks.lib.aggregators import OTHERS, SUMS, Missing, check_equal

    steps: dict[str, Step] = {}
    missing: dict[str, str] = {}
    expected = None
    for variant, make in (SUMS if name == "weighted sum" else OTHERS).items():
        try:
            steps[variant] = make(case)
        except Missing as error:
            missing[variant] = str(error)
            continue
        found = steps[variant]()
        expected = expected or found
        check_equal(f"{name}, {variant}", found, expected)
    return steps, missing


def floor(nodes: int, edges: int, channels: int) -> int:
    """Bytes that a weighted sum and its gradient move at least: the matrix and both tables once, in both passes."""
    return 2 * (8 * (nodes + 1) + 8 * edges + 2 * 4 * nodes * channels)


def no_cache(nodes: int, edges: int, channels: int) -> int:
    """Bytes that they move where no row stays in the cache: a row is read for every edge."""
    return 2 * (8 * (nodes + 1) + 8 * edges + 4 * edges * channels + 4 * nodes * channels)


def shares(row: dict[str, Any]) -> dict[str, float]:
    """`floor` and `no_cache` of the machine's bandwidth, where the bytes are known."""
    return {name: row[name] / row["median"] / row["bandwidth"] for name in ("floor", "no_cache") if name in row}


def table(content: Content) -> str:
    settings, rows = content["settings"], content["rows"]
    bandwidth = [row["bandwidth"] / 1e9 for row in rows]
    missing = {name: why for row in rows for name, why in row["missing"].items()}
    lines = [
        "# Aggregation of neighbours, forward and backward",
        "",
        f"{settings['device']}, {settings['threads']} thread(s), {settings['clock']}; {settings['nodes']:,} nodes, "
        f"{settings['edges']:,} edges with self-loops; medians of {settings['rounds']} rounds in turns (smallest to largest in brackets), "
        "ratios are medians of those within a round. Memory bandwidth by STREAM's copy and triad, in the same turns: "
        f"{min(bandwidth):.1f} to {max(bandwidth):.1f} GB/s.",
        "",
        "Share of the bandwidth: of the bytes that must move at least (the matrix and both tables once in each pass), and of those that "
        "move where no row stays in a cache (a row for every edge).",
        "",
        "| aggregation | channels | node order | variant | seconds | times ours | GB at least | share of the bandwidth "
        "| GB, a row per edge | share |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *map(text_row, rows),
    ]
    lines += ["", *(f"Left out: {name}, {why}." for name, why in missing.items())] if missing else []
    return "\n".join(lines)


def text_row(row: dict[str, Any]) -> str:
    seconds = f"{row['median']:.4f} ({row['min']:.4f}–{row['max']:.4f})"
    cells = [row["aggregation"], row["channels"], row["order"], row["variant"], seconds, f"{row['times_ours']:.2f}x"]
    share = shares(row)
    moved = [(f"{row[name] / 1e9:.2f}", f"{100 * share[name]:.0f} %") if name in share else ("–", "–") for name in ("floor", "no_cache")]
    return f"| {' | '.join(str(cell) for cell in (*cells, *moved[0], *moved[1]))} |"


if __name__ == "__main__":
    run_script(main)
