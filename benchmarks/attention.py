"""Graph attention, forward and backward: ours and PyG's `GATConv` on `edge_index`.

    python -m benchmarks.attention [--graphs arxiv-size physics-size] [--rounds 5] [--threads 1] [--device cpu|cuda]

The aggregation of one layer with attention dropout, from the projected rows W h to the output and back to all gradients, on the same
generated graph, parameters and node order (that of the parts, which serves both). The variants take turns in one process, so read the
ratios. Writes results/attention-<device>.md and .json.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.lib.turns import clock_of, in_turns, ratio, summary
from scripts.lib.command_line import BENCHMARK, add_choices, make_parser, result_name, run_script
from scripts.lib.report import Content, write

if TYPE_CHECKING:
    from torch import Tensor

    from gas_cli.batch.batch import Block

GRAPHS = {
    "arxiv-size": ("dataset.num_nodes=169343", "dataset.average_degree=13.7", "dataset.num_communities=40"),
    "physics-size": ("dataset.num_nodes=34493", "dataset.average_degree=14.4", "dataset.num_communities=5"),
}
LAYERS = {"8 heads of 8": (8, 8), "1 head of 40": (1, 40), "1 head of 5": (1, 5)}
"""Heads, channels of a head: a hidden layer, and last layers with the classes of ogbn-arxiv and Coauthor-Physics."""
P = 0.6


@dataclass(frozen=True)
class Layer:
    """The inputs that both variants share."""

    block: Block
    edge_index: Tensor
    rows: Tensor
    source: Tensor
    target: Tensor
    grad: Tensor


def main() -> None:
    parser = make_parser(__doc__, *BENCHMARK, rounds=5)
    add_choices(parser, "--graphs", GRAPHS)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.graphs, arguments.rounds = ["physics-size"], 1

    import torch

    torch.set_num_threads(arguments.threads)
    clock, unit = clock_of(arguments.threads, arguments.device)
    rows = []
    for graph in arguments.graphs:
        block = whole_graph(GRAPHS[graph]).to(torch.device(arguments.device))
        for name, sizes in LAYERS.items():
            rows.append(compare(graph, name, make_layer(block, *sizes), arguments.rounds, clock))
    settings = {"device": arguments.device, "threads": arguments.threads, "clock": unit, "rounds": arguments.rounds}
    write(result_name("attention", arguments), rows, table, settings, arguments.out)


def whole_graph(settings: tuple[str, ...]) -> Block:
    """A generated graph with self-loops, nodes in the order of METIS parts."""
    import torch

    from gas_cli.batch.batch import Block
    from gas_cli.config.compose import compose_config
    from gas_cli.ops.csr import CSR
    from gas_cli.run import prepare

    problem = prepare(compose_config(["dataset=generated", "model=gat", "partitioner.num_parts=40", *settings]))
    n, adj = problem.graph.num_nodes, problem.adj
    nobody = torch.zeros(0, dtype=torch.int64)
    return Block(adj, CSR.empty(n, 0, adj.device), problem.partition.node_perm, nobody, nobody)


def make_layer(block: Block, heads: int, channels: int) -> Layer:
    import torch

    from gas_cli.model.model import glorot

    torch.manual_seed(0)
    edge_index, device = torch.stack([block.edge_source, block.edge_target]), block.target_ids.device
    rows, grad = (torch.randn(block.num_targets, heads * channels) for _ in range(2))
    tensors = [tensor.to(device) for tensor in (rows, glorot(heads, channels), glorot(heads, channels), grad)]
    return Layer(block, edge_index, *tensors)


def ours(layer: Layer) -> Callable[[], None]:
    import torch

    from gas_cli.ops.attention import EdgeDropout
    from gas_cli.ops.dropout import Noise
    from gas_cli.ops.graph_attention import graph_attention

    rows, source, target = (t.clone().requires_grad_() for t in (layer.rows, layer.source, layer.target))
    steps = iter(range(sys.maxsize))

    def step() -> None:
        drop = EdgeDropout(P, Noise(0, next(steps)), 0)
        out = graph_attention(rows, rows.detach()[:0], source, target, layer.block, drop)
        torch.autograd.grad(out, [rows, source, target], layer.grad)

    return step


def pyg(layer: Layer) -> Callable[[], None]:
    import torch
    from torch_geometric.nn import GATConv

    heads, channels = layer.source.shape
    conv = GATConv(heads * channels, channels, heads, dropout=P, add_self_loops=False, bias=False)
    conv.lin = torch.nn.Identity()  # the rows are projected already
    conv.att_src.data, conv.att_dst.data = layer.source.unsqueeze(0), layer.target.unsqueeze(0)
    rows = layer.rows.clone().requires_grad_()

    def step() -> None:
        torch.autograd.grad(conv(rows, layer.edge_index), [rows, *conv.parameters()], layer.grad)

    return step


def compare(graph: str, name: str, layer: Layer, rounds: int, clock: Callable[[], float]) -> dict[str, Any]:
    """Both variants in turns."""
    seconds = in_turns({"ours": ours(layer), "pyg": pyg(layer)}, rounds, clock)
    row = {"graph": graph, "edges": layer.block.num_edges, "layer": name, **{name: summary(values) for name, values in seconds.items()}}
    row["ratio"] = ratio(seconds["ours"], seconds["pyg"])
    print(graph, name, f"{row['ratio']:.3f}", file=sys.stderr, flush=True)
    return row


def table(content: Content) -> str:
    settings = {"device": "cpu", "threads": 1, "clock": clock_of(1)[1], **content["settings"]}
    rounds = settings.get("rounds", len(content["rows"][0]["ours"]["all"]))
    lines = [
        "# Graph attention, forward and backward",
        "",
        f"The aggregation of one GAT layer with attention dropout {P}: projected rows to output and all gradients.",
        f"{settings['device']}, {settings['threads']} thread(s), {settings['clock']}; medians of {rounds} rounds in turns (smallest in",
        "brackets), ratios are medians of those within a round. PyG is `GATConv` on `edge_index`.",
        "",
        "| graph | edges | layer | ours, seconds | PyG, seconds | ratio | ours, ns per edge |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in content["rows"]:
        cells = [f"{row[v]['median']:.3f} ({row[v]['min']:.3f})" for v in ("ours", "pyg")]
        per_edge = 1e9 * row["ours"]["median"] / row["edges"]
        lines.append(f"| {row['graph']} | {row['edges']:,} | {row['layer']} | {' | '.join(cells)} | {row['ratio']:.3f}x | {per_edge:.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    run_script(main)
