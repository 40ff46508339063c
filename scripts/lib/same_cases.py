"""The training runs by which two states of the code are compared: every model and method, kinds of data, settings, resumed runs.

Settings are what `gas-train` would be given; `DATA` in one is the folder of the files that `same_data.py` writes.
"""

from __future__ import annotations

from dataclasses import dataclass

PARTS = ("partitioner.num_parts=6", "trainer.batch_parts=2")
RANDOM = ("partitioner=random", *PARTS)
"""METIS starts a process for each new graph, which takes longer than these runs."""
SHORT = ("~tuned", "device=cpu", "trainer.epochs=3")
GRAPH = (
    "dataset=generated",
    "dataset.num_nodes=150",
    "dataset.average_degree=6",
    "dataset.num_communities=4",
    "dataset.num_features=12",
    "dataset.train_fraction=0.4",
)
LARGER = (*GRAPH, "dataset.num_nodes=3000", "dataset.num_features=48")
"""Large enough for kernels on several threads."""


@dataclass(frozen=True)
class Case:
    """One training run.

    `optional` settings are left out where a state of the code says that the key does not exist. After `stop_after` optimizer steps
    SIGINT stops the run, which then is resumed. A finished run is resumed with the settings `more` on top, where there are some.
    """

    name: str
    settings: tuple[str, ...]
    optional: tuple[str, ...] = ()
    stop_after: int = 0
    more: tuple[str, ...] = ()


ALL_AGGREGATORS = ("model.aggregators=[mean,std,var,sum,max,min]", "model.scalers=[identity,amplification,attenuation,linear]")
MODELS = {
    "gcn": ("model=gcn", "model.num_layers=3", "model.hidden_channels=8"),
    "gat": ("model=gat", "model.hidden_channels=4", "model.heads=2", "model.out_heads=2"),
    "gatv2": ("model=gatv2", "model.hidden_channels=4", "model.heads=2"),
    "sage": ("model=sage", "model.num_layers=3", "model.hidden_channels=8"),
    "gin": ("model=gin", "model.num_layers=3", "model.hidden_channels=8"),
    "conv": ("model=conv", "model.conv=GraphConv", "model.conv_args.aggr=max", "model.hidden_channels=8"),
    "transformer": ("model=transformer", "model.hidden_channels=8"),
    "pna": ("model=pna", "model.num_layers=3", "model.hidden_channels=6", *ALL_AGGREGATORS),
    "pna_jk": ("model=pna_jk", "model.hidden_channels=6"),
    "gcnii": ("model=gcnii", "model.num_layers=4", "model.hidden_channels=8"),
    "appnp": ("model=appnp", "model.num_layers=4", "model.hidden_channels=8"),
    "custom": ("model=custom", "model.module=DATA/own_layer.py", "model.hidden_channels=8"),
}
METHODS = ("gas", "full_batch", "cluster_gcn", "sampling", "graphfm", "lmc")
OF_SUMS, SUMS = ("graphfm", "graphfm_ib", "lmc", "vr_gcn"), ("gcn", "sage", "gin", "gcnii", "appnp")
"""The methods that refuse every model but these."""
VR_GCN = ("method=vr_gcn", "method.batch_size=20")
GRAPHFM_IB = ("method=graphfm_ib", "method.batch_size=20", "method.momentum=0.3")
FOLDERS = {
    "weights": ("gcn", "sage", "gin", "appnp", "conv", "custom"),
    "attributes": ("gat", "gatv2", "transformer", "conv"),
    "directed": ("gcn", "gat", "sage", "pna", "gcnii"),
    "multilabel": ("gcn", "pna_jk"),
    "sparse": ("gcn", "gat", "sage", "gcnii", "appnp", "pna"),
    "split-files": ("gcn",),
}
"""The custom graphs in DATA, and the models that read them."""
INDUCTIVE = {
    "cluster": ("dataset=cluster", "dataset.num_train_graphs=3", "dataset.num_val_graphs=1", "dataset.num_test_graphs=1"),
    "ppi": ("dataset=ppi", "dataset.root=DATA", "dataset.download=false"),
}
SETTINGS = {
    "precision-bfloat16": ("precision=bfloat16",),
    "history-float16": ("history.dtype=float16",),
    "history-bfloat16": ("history.dtype=bfloat16",),
    "refresh-epoch": ("history.refresh=1",),
    "refresh-2": ("history.refresh=2",),
    "no-fill": ("history.fill=false",),
    "evaluation-history": ("evaluation.mode=history",),
    "evaluation-at-the-end": ("evaluation.every=3",),
    "edge-dropout": ("trainer.edge_dropout=0.3",),
    "gradients-history": ("method.gradients=history", "method.trust=measured"),
    "average": ("trainer.average=1.5",),
    "accumulate": ("trainer.accumulate=2",),
    "waves": ("history.waves=2",),
    "lipschitz": ("trainer.lipschitz.weight=0.5",),
    "batch-mean": ("trainer.loss_weighting=batch_mean",),
    "plateau": ("optimizer.schedule=plateau", "optimizer.step_epochs=1", "trainer.epochs=8"),
    "cosine-clipped": ("optimizer.schedule=cosine", "optimizer.grad_norm=0.1", "optimizer.weight_decay=0.01"),
    "max-steps": ("trainer.max_steps=2",),
    "patience": ("trainer.patience=1", "trainer.epochs=12"),
    "patience-mean": ("evaluation.select=loss", "trainer.patience=2", "trainer.patience_rule=mean", "trainer.epochs=12"),
    "unshuffled": ("trainer.shuffle=false",),
    "no-prefetch": ("trainer.prefetch=0",),
    "sums": ("model.dropout=0",),
    "loss-block": ("dataset.train_fraction=0.1", "model.drop_input=false"),
    "one-part": ("partitioner.num_parts=1", "trainer.batch_parts=1"),
    "one-layer": ("model.num_layers=1",),
    "linear-residual": ("model.linear=true", "model.residual=true", "model.activation=elu"),
    "batch-norm": ("model.batch_norm=true",),
    "batch-norm-own-statistics": ("model.batch_norm=true", "model.track_running_stats=false"),
    "partitioner-range": ("partitioner=range", *PARTS),
    "graphfm": ("method=graphfm", "method.momentum=0.3"),
    "lmc": ("method=lmc", "method.score=linear"),
    "deterministic": ("deterministic=true",),
    "runs-2": ("runs=2",),
}
"""Of GAS with GCN, one at a time."""
GCN = (*GRAPH, *PARTS, *SHORT, *MODELS["gcn"])


def _of_models() -> list[Case]:
    return [
        Case(f"{model}-{method}", (*GRAPH, *PARTS, *SHORT, *settings, f"method={method}"))
        for model, settings in MODELS.items()
        for method in METHODS
        if method not in OF_SUMS or model in SUMS
    ] + [
        Case(f"{model}-{name}", (*GRAPH, *SHORT, *MODELS[model], *more))
        for model in SUMS
        for name, more in {"vr_gcn": VR_GCN, "vr_gcn-cv": (*VR_GCN, "method.estimator=cv"), "graphfm_ib": GRAPHFM_IB}.items()
    ]


def _of_data() -> list[Case]:
    folders = {
        f"{folder}-{model}": ("dataset=folder", f"dataset.path=DATA/{folder}", *MODELS[model])
        for folder, models in FOLDERS.items()
        for model in models
    }
    inductive = {f"{name}-{model}": (*graph, *MODELS[model]) for name, graph in INDUCTIVE.items() for model in ("gcn", "gat", "pna")}
    several = {f"several-splits-{method}": (*_own("several-splits"), "runs=2", f"method={method}") for method in ("gas", "full_batch")}
    methods = {
        f"{name}-{method}": (*graph, *MODELS["gcn"], f"method={method}")
        for name, graph in {"sparse": _own("sparse"), "weights": _own("weights"), **INDUCTIVE}.items()
        for method in ("full_batch", "cluster_gcn")
    }
    larger = {f"larger-{model}": (*LARGER, *MODELS[model]) for model in ("gcn", "gat", "sage", "pna")}
    return [Case(name, (*RANDOM, *SHORT, *settings)) for name, settings in (folders | inductive | several | methods | larger).items()]


def _own(folder: str) -> tuple[str, ...]:
    return ("dataset=folder", f"dataset.path=DATA/{folder}", *MODELS["gcn"])


def _of_settings() -> list[Case]:
    others = {
        "gcnii-batch-norm": ("gcnii", "model.batch_norm=true", "model.shared_weights=false"),
        "pna-batch-norm": ("pna", "model.batch_norm=true"),
        "gin-batch-norm": ("gin", "model.batch_norm=true"),
        "pna_jk-max": ("pna_jk", "model.jump=max", "history.refresh=1"),
        "sage-lipschitz": ("sage", "trainer.lipschitz.weight=0.5"),
        "sage-edge-dropout": ("sage", "trainer.edge_dropout=0.3"),
        "gat-loss-block": ("gat", "dataset.train_fraction=0.1"),
        "pna-loss-block": ("pna", "dataset.train_fraction=0.1"),
        "sage-sums": ("sage", "model.dropout=0"),
        "gin-sums": ("gin", "model.dropout=0"),
        "gat-precision-bfloat16": ("gat", "precision=bfloat16"),
    }
    return [
        *(Case(f"setting-{name}", (*GCN, *settings)) for name, settings in SETTINGS.items()),
        *(Case(f"setting-{name}", (*GRAPH, *PARTS, *SHORT, *MODELS[model], *more)) for name, (model, *more) in others.items()),
        Case("setting-monitor", GCN, optional=("evaluation.monitor=1",)),
        Case("setting-sums-in-every-step", (*GCN, "model.dropout=0"), optional=("trainer.sum_features_once=false",)),
    ]


def _of_resumed() -> list[Case]:
    plateau = ("optimizer.schedule=plateau", "optimizer.step_epochs=1", "history.refresh=2", "trainer.epochs=4")
    return [
        *(Case(f"stopped-{model}", (*GRAPH, *PARTS, *SHORT, *MODELS[model]), stop_after=5) for model in ("gcn", "gat", "appnp")),
        Case("stopped-plateau", (*GCN, *plateau, "model.batch_norm=true"), stop_after=8),
        Case("stopped-cluster_gcn", (*GCN, "method=cluster_gcn"), stop_after=5),
        Case("stopped-full_batch", (*GCN, "method=full_batch"), stop_after=2),
        Case("stopped-accumulate", (*GCN, "trainer.accumulate=epoch"), stop_after=2),
        Case("stopped-vr_gcn", (*GRAPH, *SHORT, *MODELS["gcn"], *VR_GCN), stop_after=5),
        Case("stopped-graphfm_ib", (*GRAPH, *SHORT, *MODELS["gcn"], *GRAPHFM_IB), stop_after=5),
        Case("stopped-runs-2", (*GCN, "runs=2"), stop_after=13),
        Case("more-epochs-gas", GCN, more=("trainer.epochs=5",)),
        Case("more-epochs-full_batch", (*GCN, "method=full_batch"), more=("trainer.epochs=5",)),
    ]


CASES = (*_of_models(), *_of_data(), *_of_settings(), *_of_resumed())
