"""GraphSAGE on wide counts that are not scaled, with and without `dataset.normalize`, against PyG's SAGEConv.

    python -m scripts.wide_features [--seeds 3] [--epochs 200] [--normalize none row standard] [--keep]

Two layers of 64, dropout 0.5, Adam with rate 0.01 and no weight decay, full batch, evaluated after every epoch; accuracy of the test nodes
at the best validation epoch. Counts of active nodes are a hundred times those of others, so the first scores are large and the loss begins
far above log C; a weight that starts too large makes that worse.
"""

from __future__ import annotations

import copy
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import gas_cli
from gas_cli.graph.graph import Graph, Split
from scripts.lib.command_line import add_choices, make_parser, run_script
from scripts.lib.report import read, write_report
from scripts.lib.spread import with_deviation

NAME = "wide-features"
NORMALIZE = ("none", "row", "standard")
COLUMNS = ("normalize", "library", "test", "mean", "first loss")
HIDDEN, DROPOUT, RATE = 64, 0.5, 0.01


def wide_graph(nodes: int = 3000, features: int = 1500, classes: int = 5) -> Graph:
    """Counts whose rates differ a little by class and a lot by node; 45 % of the edges are drawn within a class."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, classes, nodes)
    source = np.repeat(np.arange(nodes), 1 + rng.poisson(6, nodes))
    members = [np.flatnonzero(y == c) for c in range(classes)]
    target = np.array([rng.choice(members[y[s]]) if rng.random() < 0.45 else rng.integers(nodes) for s in source])
    rates = rng.gamma(0.3, 3.0, features) * np.clip(1 + 0.1 * rng.standard_normal((classes, features)), 0.2, None)
    activity = rng.gamma(0.5, 8.0, (nodes, 1))
    x = rng.poisson(rates[y] * activity * (rng.random((nodes, features)) < 0.15)).astype(np.float32)
    parts = np.split(rng.permutation(nodes), [nodes // 12, nodes // 3])
    masks = dict(zip(("train", "val", "test"), parts, strict=True))
    return Graph.from_edges(np.stack([source, target]), x, y, undirected=True, name="wide", **masks)


def ours(graph: Graph, normalize: str, seed: int, epochs: int) -> tuple[float, float]:
    """Test accuracy at the best validation epoch, and the first loss."""
    settings = [f"optimizer.lr={RATE}", "optimizer.reg_weight_decay=0", f"trainer.epochs={epochs}", f"seed={seed}"]
    settings += [f"model.dropout={DROPOUT}", f"model.hidden_channels={HIDDEN}", "model.num_layers=2", "model.batch_norm=false"]
    settings += ["model=sage", "method=full_batch", f"dataset.normalize={'null' if normalize == 'none' else normalize}"]
    with tempfile.TemporaryDirectory() as folder:
        run = gas_cli.train(settings, Path(folder) / "run", graph)
        return run.summary["test"], run.metrics[0]["loss"]


class PyG(nn.Module):
    """The same two layers of PyG."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        from torch_geometric.nn import SAGEConv

        self.first, self.last = SAGEConv(features, HIDDEN), SAGEConv(HIDDEN, classes)

    def forward(self, x: Tensor, adj: Tensor) -> Tensor:
        """Scores [N, C]; `adj` is sparse [N, N], or edges [2, E], whose messages [E, F] take three times as long here."""
        x = F.dropout(x, DROPOUT, self.training)
        x = F.dropout(self.first(x, adj).relu(), DROPOUT, self.training)
        scores: Tensor = self.last(x, adj)
        return scores


def adjacency(graph: Graph) -> Tensor:
    """Sparse [N, N] of ones, a row per target: what PyG multiplies with."""
    size = (graph.num_nodes, graph.num_nodes)
    return torch.sparse_csr_tensor(graph.adj.rowptr.long(), graph.adj.col.long(), torch.ones(len(graph.adj.col)), size)


def theirs(graph: Graph, normalize: str, seed: int, epochs: int) -> tuple[float, float]:
    """The same by a plain loop on PyG's layers."""
    torch.manual_seed(seed)
    split = graph.splits[0]
    x, adj = scaled(graph.x, split, normalize), adjacency(graph)
    model = PyG(graph.num_features, graph.num_classes)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    best, test, first = -1.0, 0.0, 0.0
    for epoch in range(epochs):
        model.train()
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x, adj)[split.train], graph.y[split.train])
        loss.backward()
        optimizer.step()
        first = float(loss.detach()) if epoch == 0 else first
        model.eval()
        with torch.no_grad():
            right = model(x, adj).argmax(1) == graph.y
        val = float(right[split.val].float().mean())
        if val > best:
            best, test = val, float(right[split.test].float().mean())
    return test, first


def scaled(x: Any, split: Split, normalize: str) -> Tensor:
    """x [N, F] by PyG's transform, or by mean and deviation of the training rows."""
    dense = torch.from_numpy(x.to_scipy().toarray()) if not isinstance(x, Tensor) else copy.deepcopy(x)
    if normalize == "row":
        dense = dense - dense.min()
        return dense / dense.sum(1, keepdim=True).clamp(min=1.0)
    if normalize == "standard":
        deviation, mean = torch.std_mean(dense[split.train], 0, correction=0)
        return torch.where(deviation > 0, (dense - mean) / deviation.clamp(min=1e-12), 0.0)
    return dense


def row(library: str, normalize: str, found: list[tuple[float, float]]) -> dict[str, Any]:
    tests = [100 * test for test, _ in found]
    shown = {"test": ", ".join(f"{test:.1f}" for test in tests), "mean": with_deviation(tests)}
    return {"normalize": normalize, "library": library, **shown, "first loss": f"{np.median([loss for _, loss in found]):.2f}"}


def main() -> None:
    parser = make_parser(__doc__, "--out", "--keep", name=NAME)
    parser.add_argument("--seeds", type=int, default=3, help="runs of each kind")
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--nodes", type=int, default=3000, help="size of the graph")
    add_choices(parser, "--normalize", NORMALIZE)
    arguments = parser.parse_args()
    graph = wide_graph(arguments.nodes)
    graph = replace(graph, x=scaled(graph.x, graph.splits[0], "none"))
    settings = {name: getattr(arguments, name) for name in ("seeds", "epochs", "nodes")}
    known = kept(arguments.out, settings) if arguments.keep else {}
    rows = []
    for normalize in arguments.normalize:
        for library, train in (("gas-train", ours), ("PyG", theirs)):
            if (normalize, library) in known:
                rows.append(known[normalize, library])
                continue
            found = [train(graph, normalize, seed, arguments.epochs) for seed in range(arguments.seeds)]
            rows.append(row(library, normalize, found))
            write_report(arguments.out, NAME, "GraphSAGE on wide counts", COLUMNS, rows, settings=settings)


def kept(out: Path, settings: dict[str, int]) -> dict[tuple[str, str], dict[str, Any]]:
    """The rows of the report in `out`, by scaling and library, if it was made with the same settings."""
    if not (out / f"{NAME}.json").exists():
        return {}
    content = read(NAME, out)
    return {(row["normalize"], row["library"]): row for row in content["rows"]} if content["settings"] == settings else {}


if __name__ == "__main__":
    run_script(main)
