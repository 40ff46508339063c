"""The scale of the first training step, ours over PyG's: scores, loss, gradients, and what one step of Adam changes.

    python -m scripts.first_step --root DIR [--seeds 8] [--models gcn sage ...] [--graphs generated cora]

Every model at its default settings but without dropout, on all nodes of a graph at once. A weight that starts too large makes the first
scores too large, and the first steps then undo that instead of learning. Two weights of the same distribution are compared and not the same
weights, so every number is a ratio of medians over the seeds. Our PNA is the layer of the published runs, and its counterpart is that layer
with the published initialisation; the row after it compares it with PyG's PNAConv, which is another layer.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gas_cli.batch.builder import BatchBuilder
from gas_cli.config.compose import compose_config
from gas_cli.config.model import ModelConfig
from gas_cli.graph.graph import Graph
from gas_cli.graph.load import load_graph
from gas_cli.graph.normalize import normalize
from gas_cli.method.method import Alone
from gas_cli.model.registry import build_model
from gas_cli.ops.csr import CSR
from gas_cli.ops.dropout import Noise
from gas_cli.partition.partition import Partition, Quality
from gas_cli.passes.drivers import forward
from gas_cli.prepared.problem import Problem
from scripts.lib.command_line import add_choices, make_parser, run_script
from scripts.lib.published_pna import PublishedPNAConv
from scripts.lib.report import write_report
from scripts.lib.twins import real

GENERATED = ("dataset=generated", "dataset.num_nodes=1000", "dataset.num_features=600", "dataset.num_communities=5")
"""Wide features and few classes: there the kinds of initialisation differ most."""
COUNTERPARTS = {
    "gcn": "GCNConv",
    "sage": "SAGEConv",
    "gin": "GINConv",
    "gat": "GATConv",
    "gatv2": "GATv2Conv",
    "pna": "the published layer",
    "pna to PyG's": "PNAConv",
    "gcnii": "GCN2Conv",
    "appnp": "APPNP",
}
COLUMNS = ("graph", "model", "counterpart", "scores", "loss", "gradient by layer", "change by a step")
LEARNING_RATE = 0.01

Make = Callable[[int], tuple[nn.Module, Callable[[], Tensor]]]
"""A seed to a model and what computes its scores [N, C]."""


@dataclass(frozen=True)
class Step:
    """Of one model: norm of the scores, loss, norm of each layer's gradient, norm of what one step of Adam changes of the scores."""

    scores: float
    loss: float
    gradients: dict[str, float]
    change: float

    def numbers(self) -> dict[str, float]:
        layers = {f"gradient {layer}": norm for layer, norm in self.gradients.items()}
        return {"scores": self.scores, "loss": self.loss, **layers, "change": self.change}


@dataclass(frozen=True)
class Ratio:
    """Median over median, and the middle half of the ratios of all pairs of seeds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
        pairs = [a / b for a in ours for b in theirs]
        low, _, high = statistics.quantiles(pairs, n=4) if len(pairs) > 1 else pairs * 3
        return cls(statistics.median(ours) / statistics.median(theirs), low, high)

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f}–{self.high:.2f})"


def main() -> None:
    parser = make_parser(__doc__, "--root", "--out", name="first-step")
    parser.add_argument("--seeds", type=int, default=8, help="weights drawn of each model")
    add_choices(parser, "--models", COUNTERPARTS)
    add_choices(parser, "--graphs", ("generated", "cora"))
    arguments = parser.parse_args()
    graphs = {name: graph for name in arguments.graphs if (graph := graph_named(name, arguments)) is not None}
    rows = [row(name, graph, model, range(arguments.seeds)) for name, graph in graphs.items() for model in arguments.models]
    notes = [
        f"Ours over the counterpart's: medians of {arguments.seeds} seeds; in brackets the middle half of the ratios of all pairs. "
        "`scores`: their norm; `gradient by layer`: norm of the gradient of each layer's parameters, first to last, or the smallest and "
        f"largest of more than four ratios; `change by a step`: norm of what a step of Adam ({LEARNING_RATE}) changes of the scores.",
        *(f"Left out: {name}: {arguments.root} does not hold it." for name in arguments.graphs if name not in graphs),
    ]
    write_report(arguments.out, "first-step", "The first step: ours over PyG's", COLUMNS, rows, notes)


def graph_named(name: str, arguments: argparse.Namespace) -> Graph | None:
    """None for a dataset whose files are not below `--root`."""
    return load_graph(compose_config(GENERATED).dataset) if name == "generated" else real(name, arguments.root)


def row(name: str, graph: Graph, model: str, seeds: Sequence[int]) -> dict[str, Any]:
    ratios = compare(model, model_config(model), graph, seeds)
    layers = {number: ratio for number, ratio in ratios.items() if number.startswith("gradient ")}
    shown = {
        "scores": ratios["scores"],
        "loss": ratios["loss"],
        "gradient by layer": by_layer(layers),
        "change by a step": ratios["change"],
    }
    numbers = {f"{number}, median": ratio.median for number, ratio in ratios.items() if number not in layers}
    return {
        "graph": name,
        "model": model,
        "counterpart": COUNTERPARTS[model],
        **{column: str(value) for column, value in shown.items()},
        **numbers,
        "gradients": {layer: [ratio.median, ratio.low, ratio.high] for layer, ratio in layers.items()},
    }


def by_layer(layers: dict[str, Ratio]) -> str:
    medians = [ratio.median for ratio in layers.values()]
    if len(medians) <= 4:
        return ", ".join(str(ratio) for ratio in layers.values())
    return f"{min(medians):.2f} to {max(medians):.2f}"


def model_config(model: str, *settings: str) -> ModelConfig:
    """The settings of the model that a row is named after, without dropout."""
    return compose_config([f"model={model.split(maxsplit=1)[0]}", "model.dropout=0", *settings]).model


def compare(model: str, config: ModelConfig, graph: Graph, seeds: Sequence[int]) -> dict[str, Ratio]:
    """Ours over the counterpart's: every number of a `Step`."""
    makes = ours(config, graph), counterpart(model, config, graph)
    mine, theirs = ([first_step(*make(seed), graph).numbers() for seed in seeds] for make in makes)
    assert all(step.keys() == mine[0].keys() for step in (*mine, *theirs)), "both have the same layers"
    return {number: Ratio.of([step[number] for step in mine], [step[number] for step in theirs]) for number in mine[0]}


def first_step(model: nn.Module, scores: Callable[[], Tensor], graph: Graph) -> Step:
    """One step of Adam on the mean cross entropy over the training nodes."""
    adam, train = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE), graph.splits[0].train
    before = scores()
    loss = F.cross_entropy(before[train], graph.y[train])
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = gradient_norms(model)
    adam.step()
    with torch.no_grad():
        return Step(float(before.norm()), float(loss), gradients, float((scores() - before).norm()))


def gradient_norms(model: nn.Module) -> dict[str, float]:
    """By layer, from the input to the output: `lin_in`, the number of the convolution, `lin_out`."""
    squares: dict[str, float] = {}
    for name, parameter in model.named_parameters():
        group, *rest = name.split(".")
        layer = rest[0] if rest and rest[0].isdigit() else group
        if parameter.grad is not None:
            squares[layer] = squares.get(layer, 0.0) + float(parameter.grad.double().square().sum())
    order = sorted(squares, key=lambda layer: (layer == "lin_out", layer != "lin_in", int(layer) if layer.isdigit() else 0))
    return {layer: squares[layer] ** 0.5 for layer in order}


def ours(config: ModelConfig, graph: Graph) -> Make:
    """Our model on the graph in one part, in the order of its nodes."""
    partition = Partition(torch.arange(graph.num_nodes), torch.tensor([0, graph.num_nodes]), Quality(0.0, 0.0, 1.0))
    adj = normalize(graph.adjacency(), config.normalization, config.self_loops)
    problem = Problem(graph, adj, partition, {})

    def make(seed: int) -> tuple[nn.Module, Callable[[], Tensor]]:
        model = build_model(config, graph.num_features, graph.num_classes, seed)
        model.observe(problem.adj)
        batch = BatchBuilder(graph, adj, partition, graph.splits[0], model.num_layers).build([0])
        return model, lambda: forward(model, batch, Alone(), Noise.off())

    return make


def counterpart(model: str, config: ModelConfig, graph: Graph) -> Make:
    """PyG's modules with the same settings; for `pna` the published layer."""
    from scripts.lib.pyg_models import build

    degrees = graph.adj.rowptr.diff().long()
    edges = torch.stack([graph.adj.col.long(), torch.repeat_interleave(torch.arange(graph.num_nodes), degrees)])
    x = graph.x.to_dense() if isinstance(graph.x, CSR) else graph.x

    def make(seed: int) -> tuple[nn.Module, Callable[[], Tensor]]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            twin = build(config, graph.num_features, graph.num_classes, degrees, cached=False)
            if model == "pna":
                twin.convs = nn.ModuleList(published(conv, config, degrees) for conv in twin.convs)  # type: ignore[union-attr]
        return twin, lambda: twin(x, edges)

    return make


def published(conv: Any, config: Any, degrees: Tensor) -> nn.Module:
    """The published layer in the place of PyG's PNAConv."""
    return PublishedPNAConv(conv.in_channels, conv.out_channels, config.aggregators, config.scalers, degrees)


if __name__ == "__main__":
    run_script(main)
