"""Table 3 of the paper: memory of one training step, and the share of the data that it uses.

    python -m scripts.memory --root DIR [--graphs ogbn-arxiv] [--layers 2 3 4] [--methods full_batch gas] [--scale 0.1]

Full batch, neighbour sampling (GraphSAGE, PyG's NeighborLoader), Cluster-GCN and GAS on graphs of three published sizes: the real ones
where they are below --root, else generated twins. On CUDA the allocator's peak, on the CPU the tensors of the step, counted. Goes on where
it stopped.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from scripts.lib.cells import Cells
from scripts.lib.command_line import MEASUREMENT, add_choices, make_parser, run_script
from scripts.lib.report import write_report

if TYPE_CHECKING:
    from scripts.lib.step_memory import Case

LAYERS = (2, 3, 4)
METHODS = ("full_batch", "sampling", "cluster_gcn", "gas")
TITLES = {"full_batch": "full batch", "sampling": "GraphSAGE", "cluster_gcn": "Cluster-GCN", "gas": "GAS"}
# GB and share of the data in %: for each depth the methods in the order of METHODS.
PUBLISHED: dict[str, dict[int, tuple[tuple[float, int], ...]]] = {
    "yelp": {
        2: ((6.64, 100), (0.76, 9), (0.17, 13), (0.51, 100)),
        3: ((9.44, 100), (2.19, 14), (0.23, 13), (0.79, 100)),
        4: ((12.24, 100), (4.31, 19), (0.30, 13), (1.07, 100)),
    },
    "ogbn-arxiv": {
        2: ((1.44, 100), (0.40, 27), (0.15, 40), (0.22, 100)),
        3: ((2.11, 100), (0.93, 33), (0.22, 40), (0.34, 100)),
        4: ((2.77, 100), (1.55, 37), (0.29, 40), (0.46, 100)),
    },
    "ogbn-products": {
        2: ((21.96, 100), (0.92, 2), (0.16, 16), (0.36, 100)),
        3: ((31.53, 100), (4.34, 5), (0.23, 16), (0.59, 100)),
        4: ((41.10, 100), (11.23, 8), (0.29, 16), (0.82, 100)),
    },
}
INFERRED = (
    "The paper publishes neither widths nor batch sizes. These follow from its figures: per layer full batch grows by 4.1 to 4.2 tables of "
    "N x 256 floats, Cluster-GCN by as many of 17,000 x 256, on all three graphs."
)
NOTES = (
    "Data: the nodes that a step reads, in % of those that the exact result needs: of the batch with all its neighbours, or (GraphSAGE) "
    "of all nodes within as many hops as there are layers. GAS reads every neighbour, those outside the batch from histories: 100 %. The "
    "paper does not define its column. Edges: messages summed, in % of those into the nodes computed.",
    "A twin has the published numbers of nodes, edges, features and classes; the share of its edges that leave a community is set so that "
    "batch / (batch + halo), Cluster-GCN's share of the data, comes near the published one. That sets the size of the halo; the memory is "
    "measured. Its parts follow its communities (no METIS). YELP has 7.0M edges in the released files; the paper's header says 7.9M.",
)
COLUMNS = (
    "graph",
    "layers",
    "method",
    "paper GB",
    "ours GiB",
    "ours / scale",
    "difference",
    "paper data %",
    "ours data %",
    "ours edges %",
    "histories on the host, GiB",
)
GROWTH_COLUMNS = ("nodes", "edges", "parts", *TITLES.values())


def main() -> None:
    parser = make_parser(__doc__, *MEASUREMENT, name="memory", device="auto")
    add_choices(parser, "--graphs", PUBLISHED)
    parser.add_argument("--layers", nargs="+", type=int, default=list(LAYERS))
    add_choices(parser, "--methods", METHODS)
    parser.add_argument("--scale", type=float, default=1.0, help="nodes and edges of the twins, and nodes per batch, times this")
    parser.add_argument("--batch-nodes", type=int, default=17_000, help="nodes per part, of which a step takes one (times --scale)")
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--seeds", type=int, default=1024, help="seeds per step of neighbour sampling (times --scale)")
    parser.add_argument("--partition", default="auto", choices=("auto", "communities", "metis", "random"))
    parser.add_argument("--growth", nargs="*", type=float, default=[0.5, 1, 2], help="sizes of the growing twin of ogbn-arxiv")
    parser.add_argument("--steps", type=int, default=3, help="steps whose peak is taken")
    arguments = parser.parse_args()
    cells = Cells(arguments.work, arguments.report)
    rows = [row for name in arguments.graphs for row in graph_rows(name, cells, arguments)]
    growth = growth_rows(cells, arguments)
    said = [*notes(rows, growth, arguments), cells.code_line]
    write_report(arguments.out, "memory", title(arguments), COLUMNS, rows, said, growth=growth)


def settings_of(case: Case, method: str, layers: int) -> dict[str, Any]:
    """What decides a cell, for the kept measurements."""
    a = case.arguments
    common = {"scale": case.scale, "hidden": a.hidden, "steps": a.steps, "device": a.device, "method": method, "layers": layers}
    own: dict[str, Any] = {"full_batch": {}, "sampling": {"seeds": a.seeds}}.get(
        method, {"batch_nodes": case.batch_nodes, "partition": a.partition}
    )
    return {**common, **own}


def graph_rows(name: str, cells: Cells, arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    from scripts.lib.step_memory import Case, measure

    case = Case(name, arguments, arguments.scale)
    for method, layers in ((m, n) for m in arguments.methods for n in arguments.layers):
        cell = f"{name}-x{case.scale:g}-{method}-{layers}"
        measured = cells.get(cell, settings_of(case, method, layers), partial(measure, case, method, layers))
        if measured is not None:
            yield row_of(name, method, layers, measured, case.scale)


def row_of(graph: str, method: str, layers: int, measured: dict[str, Any], scale: float) -> dict[str, Any]:
    """A line of the table; a cell that could not be measured says why."""
    paper = PUBLISHED[graph].get(layers)
    gigabytes, share = paper[METHODS.index(method)] if paper else (None, None)
    row: dict[str, Any] = {"graph": graph, "layers": layers, "method": TITLES[method], "paper GB": gigabytes, "paper data %": share}
    if "reason" in measured:
        return row | {"ours GiB": measured["reason"]}
    ours = measured["peak"] / 2**30
    return row | {
        "graph": f"{graph}, {'generated twin' if measured['twin'] else 'real'}{'' if scale == 1 else f' × {scale:g}'}",
        "ours GiB": round(ours, 4),
        "ours / scale": round(ours / scale, 2),
        "difference": "" if gigabytes is None else f"{ours / scale - gigabytes:+.2f}",
        "ours data %": round(100 * measured["nodes"] / measured["all_nodes"]),
        "ours edges %": round(100 * measured["edges"] / measured["all_edges"]),
        "histories on the host, GiB": round(measured["histories"] / 2**30, 3),
        "measured": measured,
    }


def growth_rows(cells: Cells, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """The twin of ogbn-arxiv at several sizes, the nodes of a batch unchanged: what depends on the graph's size."""
    from scripts.lib.step_memory import Case, measure

    layers, rows = arguments.layers[0], []
    for factor in arguments.growth:
        case = Case("ogbn-arxiv", arguments, arguments.scale * factor)
        row: dict[str, Any] = {}
        for method in (method for method in arguments.methods if method != "sampling"):
            cell = f"growth-x{case.scale:g}-{method}-{layers}"
            measured = cells.get(cell, settings_of(case, method, layers), partial(measure, case, method, layers))
            if measured is not None and "reason" not in measured:
                counts = {"nodes": measured["num_nodes"], "edges": measured["num_edges"]}
                row |= counts if method == "full_batch" else {**counts, "parts": measured["parts"]}
                row[TITLES[method]] = round(measured["peak"] / 2**20, 1)
        rows += [row] if row else []
    return rows


def title(arguments: argparse.Namespace) -> str:
    size = "" if arguments.scale == 1 else f", all sizes times {arguments.scale:g}"
    return f"Table 3: device memory of a training step, and the data it uses{size}"


def notes(rows: list[dict[str, Any]], growth: list[dict[str, Any]], arguments: argparse.Namespace) -> list[str]:
    from gas_cli.report.table import markdown
    from gas_cli.training.assemble import pick_device
    from scripts.lib.step_memory import FANOUTS

    on_cuda = pick_device(arguments.device).type == "cuda"
    counted = "the allocator's peak" if on_cuda else "the tensors alive at the worst moment, counted on the CPU operation by operation"
    said = [
        f"Memory: {counted}, over {arguments.steps} steps (full batch: one), with parameters, gradients, Adam's state, the step's batch "
        "and the next one. Histories are on the host and have a column of their own.",
        f"GCN with {arguments.hidden} hidden channels and dropout 0.5, {arguments.batch_nodes} nodes per batch; GraphSAGE is PyG's, on "
        f"{arguments.seeds} seeds with at most {', '.join(map(str, FANOUTS))} neighbours by hop "
        f"(nodes and seeds times the scale). {INFERRED}",
        *NOTES,
        *tables_per_layer(rows, arguments.hidden),
        *slopes(rows),
    ]
    if growth:
        said.append(f"The twin of ogbn-arxiv as it grows, the nodes of a batch unchanged, {arguments.layers[0]} layers; MiB:")
        said.append(markdown([column for column in GROWTH_COLUMNS if any(column in row for row in growth)], growth).rstrip())
    return said


def tables_per_layer(rows: list[dict[str, Any]], hidden: int) -> Iterator[str]:
    """How many tables of N x hidden floats full batch keeps for each layer: why it differs from the paper; and what GAS keeps."""
    full = [row["measured"] for row in rows if row["method"] == TITLES["full_batch"] and "measured" in row]
    tables = [
        (after["peak"] - before["peak"]) / (4 * hidden * after["num_nodes"])
        for before, after in pairwise(full)
        if before["num_nodes"] == after["num_nodes"]
    ]
    if tables:
        yield (
            f"Here full batch keeps {statistics.median(tables):.1f} tables of N x {hidden} floats per layer, the paper's more than four: "
            "that is the difference."
        )
    if {TITLES["gas"], TITLES["cluster_gcn"]} <= {row["method"] for row in rows}:
        yield (
            "A further layer of GAS costs about what one of Cluster-GCN does: pulled rows take no gradient, so they are gone after their "
            "product, and the halo is paid for once and not in every layer."
        )


def slopes(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Memory of each further layer: the same everywhere if memory is linear in depth."""
    for graph in dict.fromkeys(row["graph"] for row in rows if "measured" in row):
        told = []
        for method in TITLES.values():
            values = [row["ours GiB"] for row in rows if (row["graph"], row["method"]) == (graph, method) and "measured" in row]
            if len(values) > 1:
                told.append(f"{method} {', '.join(f'{after - before:+.4f}' for before, after in pairwise(values))}")
        if told:
            yield f"GiB for each further layer, {graph}: {'; '.join(told)}."


if __name__ == "__main__":
    run_script(main)
