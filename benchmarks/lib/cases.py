"""What the epoch benchmarks time: graphs, models, and the settings of both."""

from __future__ import annotations

from dataclasses import dataclass

# Generated graphs have communities, power-law degrees and shuffled ids. Average degrees count both directions of an edge.
GRAPHS: dict[str, tuple[str, ...]] = {
    "arxiv-size": (
        "dataset=generated", "dataset.num_nodes=169343", "dataset.average_degree=13.7", "dataset.num_features=128",
        "dataset.num_communities=40", "partitioner.num_parts=80", "trainer.batch_parts=40",
    ),
    "flickr-size": (
        "dataset=generated", "dataset.num_nodes=89250", "dataset.average_degree=10.1", "dataset.num_features=500",
        "dataset.num_communities=7", "partitioner.num_parts=24", "trainer.batch_parts=12",
    ),
    "reddit-density": (
        "dataset=generated", "dataset.num_nodes=60000", "dataset.average_degree=100", "dataset.num_features=602",
        "dataset.num_communities=41", "partitioner.num_parts=50", "trainer.batch_parts=25",
    ),
}  # fmt: skip

MODELS: dict[str, tuple[str, ...]] = {
    "gcn": ("model=gcn", "model.num_layers=3", "model.hidden_channels=256", "model.batch_norm=true", "model.drop_input=false"),
    "gcnii": ("model=gcnii", "model.num_layers=8", "model.hidden_channels=128", "model.drop_input=false"),
    "gat": ("model=gat", "model.num_layers=2", "model.hidden_channels=8", "model.heads=8", "model.drop_input=false"),
    "gin": ("model=gin", "model.num_layers=3", "model.hidden_channels=128", "model.batch_norm=true", "model.drop_input=false"),
    "sage": ("model=sage", "model.num_layers=3", "model.hidden_channels=256", "model.batch_norm=true", "model.drop_input=false"),
    "pna": ("model=pna", "model.num_layers=3", "model.hidden_channels=64", "model.batch_norm=true", "model.drop_input=false"),
}

OURS: dict[str, tuple[str, ...]] = {
    "gas": ("method=gas",),
    "full_batch": ("method=full_batch",),
    "gas-bfloat16": ("method=gas", "precision=bfloat16"),
}
PLAIN = ("gas", "full_batch")
FULL_BATCH = ("pyg", "pyg-sparse-tensor")
LOADERS = ("pyg-cluster-loader", "pyg-neighbor-loader")
VARIANTS = (*OURS, *FULL_BATCH, *LOADERS)
WITH_LOADERS = (*PLAIN, *FULL_BATCH, *LOADERS)


def scaled(settings: tuple[str, ...], scale: float, parts: bool = False) -> tuple[str, ...]:
    """A generated graph with `scale` times the nodes; with `parts`, of as many times the parts."""
    grown = ("dataset.num_nodes", "partitioner.num_parts") if parts else ("dataset.num_nodes",)
    pairs = [setting.split("=") for setting in settings]
    return tuple(f"{key}={round(scale * int(value))}" if key in grown else f"{key}={value}" for key, value in pairs)


@dataclass(frozen=True)
class Case:
    """`settings` of gas-train; `epochs` timed after one of warm-up; `real`: needs the datasets' files."""

    settings: tuple[str, ...]
    epochs: int
    variants: tuple[str, ...] = (*PLAIN, *FULL_BATCH)
    real: bool = False


def published(dataset: str, model: str, epochs: int) -> Case:
    """A pair with its published hyper-parameters."""
    return Case((f"dataset={dataset}", f"model={model}"), epochs, real=True)


CASES: dict[str, Case] = {
    "arxiv-size gcn": Case((*GRAPHS["arxiv-size"], *MODELS["gcn"]), 2, VARIANTS),
    "arxiv-size gcn, 10 parts": Case((*GRAPHS["arxiv-size"], *MODELS["gcn"], "trainer.batch_parts=10"), 2, ("gas", *FULL_BATCH)),
    **{f"arxiv-size {name}": Case((*GRAPHS["arxiv-size"], *MODELS[name]), 2, (*PLAIN, "pyg")) for name in MODELS if name != "gcn"},
    "flickr-size gcn": Case((*GRAPHS["flickr-size"], *MODELS["gcn"]), 2, WITH_LOADERS),
    "reddit-density gcn": Case((*GRAPHS["reddit-density"], *MODELS["gcn"]), 2, WITH_LOADERS),
    "cora gcn": published("cora", "gcn", 60),
    "citeseer gcn": published("citeseer", "gcn", 60),
    "amazon-photo gcn": published("amazon-photo", "gcn", 20),
    "coauthor-cs gcn": published("coauthor-cs", "gcn", 5),
    "coauthor-physics gcn": published("coauthor-physics", "gcn", 5),
    "cora gcnii, 64 layers": published("cora", "gcnii", 10),
}
QUICK = ("cora gcn", "arxiv-size gcn")
ON_GPU = ("arxiv-size gcn", "arxiv-size gcnii", "arxiv-size gat", "arxiv-size pna", "cora gcn")
"""The cases of `make bench-gpu`."""
