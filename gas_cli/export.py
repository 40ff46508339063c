"""A trained model as a file for plain PyG: its layers as `torch_geometric.nn.Sequential` takes them, and the weights under their names."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gas_cli.config.checks import MAX_COUNT
from gas_cli.config.continued import fixed_settings
from gas_cli.config.metrics import REGRESSION
from gas_cli.config.model import (
    APPNPConfig,
    GATConfig,
    GCNConfig,
    GCNIIConfig,
    GINConfig,
    HiddenLayersConfig,
    ModelConfig,
    SAGEConfig,
    StackConfig,
)
from gas_cli.errors import UserError
from gas_cli.files import write_atomically
from gas_cli.model.registry import build_model
from gas_cli.new_data import schema_of
from gas_cli.prediction import config_of
from gas_cli.report.summary import read_summary
from gas_cli.saved import misfit
from gas_cli.training.average import scoring_weights
from gas_cli.training.checked import check_weights
from gas_cli.training.checkpoint import load_checkpoint, naming
from gas_cli.training.identity import check_same_settings, identity_of
from gas_cli.training.progress import check_best

FORMAT = 2
KINDS: dict[type[ModelConfig], str] = {
    GCNConfig: "gcn",
    SAGEConfig: "sage",
    GINConfig: "gin",
    GATConfig: "gat",
    APPNPConfig: "appnp",
    GCNIIConfig: "gcnii",
}
"""What can be exported: exactly these classes, whose models PyG has. A package's subclass is another model."""

Form = Callable[[Tensor], Tensor]


def _as_it_is(weight: Tensor) -> Tensor:
    return weight


def _transposed(weight: Tensor) -> Tensor:
    return weight.t()


def _one_more(weight: Tensor) -> Tensor:
    return weight.unsqueeze(0)


CONVOLUTIONS: dict[str, dict[str, tuple[str, Form]]] = {
    "gcn": {"weight": ("lin.weight", _transposed)},
    "sage": {
        "neighbours": ("lin_l.weight", _transposed),
        "own.bias": ("lin_l.bias", _as_it_is),
        "own.weight": ("lin_r.weight", _transposed),
    },
    "gin": {
        "first.weight": ("nn.lins.0.weight", _transposed),
        "first.bias": ("nn.lins.0.bias", _as_it_is),
        "second.weight": ("nn.lins.1.weight", _as_it_is),
        "second.bias": ("nn.lins.1.bias", _as_it_is),
        "eps": ("eps", _one_more),
    },
    "gat": {
        "source": ("lin.weight", _transposed),
        "att_source": ("att_src", _one_more),
        "att_target": ("att_dst", _one_more),
        "edge": ("lin_edge.weight", _transposed),
        "att_edge": ("att_edge", _one_more),
    },
}
"""Of the weights in `convs.L.`: PyG's name for each, and how its form is reached. The others have the same name and form in both."""

POWERS = {"sym": (-0.5, -0.5), "mean": (-1.0, 0.0), None: (0.0, 0.0)}
"""An edge's weight is multiplied by these powers of the degrees of its target and its source."""

Layer = tuple[str, str, dict[str, Any], str]
"""Name of the layer, class of PyG or torch (or `add`), arguments, and what the layer reads and writes, as in `h, adjacency -> out`."""


def export_model(run: Path, out: Path, checkpoint: str = "best") -> Path:
    """Write the model of the checkpoint `best` or `last` to the file `out`; docs/export.md describes it. No graph is read.

    Raises UserError for a run or checkpoint that is damaged, for a model or setting that PyG's modules do not have, and where `out`
    cannot be written.
    """
    config = config_of(run)
    kind = _kind(config.model)
    path = run / "checkpoints" / f"{checkpoint}.pt"
    state = load_checkpoint(path)
    with naming(path):
        check_same_settings(state.get("fingerprint"), identity_of(fixed_settings(config), config.model, config.method))
        if checkpoint == "best":
            check_best(state.get("progress"))
        if state["fingerprint"]["graph"].get("task") == REGRESSION:
            raise UserError("a regression cannot be exported: the module for PyG classifies. gas-predict out=FILE writes its predictions.")
        content = _content(kind, config.model, state["fingerprint"]["graph"], scoring_weights(state, config.trainer.average > 0))
        content |= _inputs(state)
    content["class_names"] = _class_names(run, content["settings"]["out_channels"])
    file = io.BytesIO()
    torch.save(content, file)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(out, file.getvalue())
    except OSError as error:
        raise UserError(f"export={out} cannot be written: {error.strerror}. Choose another path.") from error
    return out


def _kind(config: ModelConfig) -> str:
    """PyG's counterpart. Raises UserError for a model without one, and for settings that it cannot represent."""
    kind, remedy = KINDS.get(type(config)), f"Models that can be exported: {', '.join(KINDS.values())}."
    if kind is None:
        raise UserError(f"model={config.name} cannot be exported. {remedy}")
    if isinstance(config, GATConfig) and config.version != 1:
        raise UserError(f"model={config.name} with model.version={config.version} (GATv2) cannot be exported. {remedy}")
    normed = isinstance(config, HiddenLayersConfig) and (config.batch_norm or (isinstance(config, GINConfig) and config.mlp_batch_norm))
    if normed and isinstance(config, HiddenLayersConfig) and not config.track_running_stats:
        raise UserError(
            "model.track_running_stats=false cannot be exported: scores would depend on which nodes are computed together. "
            "Train with model.track_running_stats=true."
        )
    return kind


def _content(kind: str, config: ModelConfig, graph: Mapping[str, Any], weights: Any) -> dict[str, Any]:
    """All of the file but the names of the classes; `graph` is what the checkpoint says of the graph. Raises UserError where the weights do
    not fit the settings."""
    in_channels, out_channels = (_size(key, graph.get(key)) for key in ("feature columns", "classes"))
    edge_dim = _edge_dim(weights)
    model = build_model(config, in_channels, out_channels, 0, edge_dim)  # for the shapes of its weights
    check_weights(weights, model.state_dict())
    edges = ("edge_index", *(["edge_attr"] if edge_dim else [])) if kind == "gat" else ("adjacency",)
    return {
        "format": FORMAT,
        "model": kind,
        "settings": _settings(config, in_channels, out_channels),
        "inputs": ", ".join(("x", *edges)),
        "layers": _layers(config, in_channels, out_channels, edge_dim, ", ".join(edges)),
        "state_dict": _renamed(kind, weights),
    }


def _inputs(state: dict[str, Any]) -> dict[str, Any]:
    """What a row of x is: the names of its columns ([] where the source has none), and how the training put them on one scale."""
    schema = schema_of(state)
    columns = [name for column in schema.features for name in column.numbers]
    scaling = schema.scaling and {
        "kind": schema.scaling.kind,
        "mean": torch.tensor(schema.scaling.mean),
        "std": torch.tensor(schema.scaling.std),
    }
    return {"columns": columns, "scaling": scaling}


def _size(name: str, text: Any) -> int:
    """What the checkpoint says of its graph."""
    if not (isinstance(text, str) and text.isascii() and text.isdigit() and len(text) <= len(str(MAX_COUNT))):
        misfit(f"{name} of the graph is {str(text)[:80]!r}", "a whole number")
    return int(text)


def _edge_dim(weights: Any) -> int:
    """Columns of the edge attributes that GAT reads, 0 without."""
    edge = weights.get("convs.0.edge") if isinstance(weights, dict) else None
    return edge.shape[0] if isinstance(edge, Tensor) and edge.dim() == 2 else 0


def _settings(config: ModelConfig, in_channels: int, out_channels: int) -> dict[str, Any]:
    """Sizes, dropout, and what the adjacency is made with."""
    return {
        "in_channels": in_channels,
        "hidden_channels": config.hidden_channels,
        "out_channels": out_channels,
        "num_layers": config.num_layers,
        "dropout": config.dropout,
        "drop_input": config.drop_input,
        "normalization": config.normalization,
        "self_loops": _self_loops(config),
        "degree_powers": POWERS[config.normalization],
    }


def _self_loops(config: ModelConfig) -> bool:
    return config.self_loops or config.normalization == "sym"


def _layers(config: ModelConfig, in_channels: int, out_channels: int, edge_dim: int, edges: str) -> list[Layer]:
    """The model's layers in their order; `edges` names what the convolutions read of the graph."""
    if isinstance(config, StackConfig):
        return _stack(config, in_channels, out_channels, edge_dim, edges)
    lin_in, lin_out = _linear("lin_in", in_channels, config.hidden_channels, "x"), _linear("lin_out", config.hidden_channels, out_channels)
    if isinstance(config, APPNPConfig):
        arguments = {"K": config.num_layers, "alpha": config.alpha, "normalize": False}
        return [lin_in, _act("act_in", "relu", "h -> h"), lin_out, ("propagate", "APPNP", arguments, f"h, {edges} -> h")]
    assert isinstance(config, GCNIIConfig)
    layers = [lin_in, _act("act_in", "relu", "h -> initial")]
    shared = {"channels": config.hidden_channels, "alpha": config.alpha, "theta": config.theta, "shared_weights": config.shared_weights}
    for index in range(config.num_layers):
        h = "h" if index else "initial"
        arguments = shared | {"layer": index + 1, "normalize": False}
        layers.append((f"conv_{index}", "GCN2Conv", arguments, f"{h}, initial, {edges} -> out"))
        layers += _after(index, h if config.residual else None, config.hidden_channels if config.batch_norm else 0, "relu")
    return [*layers, lin_out]


def _stack(config: StackConfig, in_channels: int, out_channels: int, edge_dim: int, edges: str) -> list[Layer]:
    """Those of the models made of like layers. Raises UserError where their number of features decides on a residual."""
    width = config.hidden_channels * (config.heads if isinstance(config, GATConfig) else 1)
    first, last = (config.hidden_channels, width) if config.linear else (in_channels, out_channels)
    dims = [first, *[width] * (config.num_layers - 1), last]
    num_hidden = config.num_layers if config.linear else config.num_layers - 1
    if config.residual and num_hidden and not config.linear and first == width:
        raise UserError(
            f"model.residual=true cannot be exported with as many features as channels ({first}): whether the first layer adds its input "
            "depends on how the features were stored (dense or sparse). Train with another model.hidden_channels, or model.linear=true."
        )
    layers = [_linear("lin_in", in_channels, first, "x"), _act("act_in", config.activation, "h -> h")] if config.linear else []
    for index, (channels, out) in enumerate(pairwise(dims)):
        h = "h" if layers else "x"
        name, arguments = _convolution(config, channels, out, index, edge_dim)
        layers.append((f"conv_{index}", name, arguments, f"{h}, {edges} -> out"))
        if index < num_hidden:
            adds = config.residual and channels == out
            layers += _after(index, h if adds else None, width if config.batch_norm else 0, config.activation)
    return [*layers, _linear("lin_out", width, out_channels)] if config.linear else layers


def _linear(name: str, in_channels: int, out_channels: int, reads: str = "h") -> Layer:
    return name, "Linear", {"in_features": in_channels, "out_features": out_channels}, f"{reads} -> h"


def _act(name: str, activation: str, signature: str) -> Layer:
    return name, {"relu": "ReLU", "elu": "ELU"}[activation], {}, signature


def _after(index: int, residual: str | None, norm_channels: int, activation: str) -> list[Layer]:
    """What follows a hidden convolution: norm of so many channels (0: none), the layer's input added, activation."""
    norm: list[Layer] = [(f"norm_{index}", "BatchNorm1d", {"num_features": norm_channels}, "out -> out")] if norm_channels else []
    add: list[Layer] = [(f"add_{index}", "add", {}, f"out, {residual} -> out")] if residual else []
    return [*norm, *add, _act(f"act_{index}", activation, "out -> h")]


def _convolution(config: StackConfig, in_channels: int, out_channels: int, index: int, edge_dim: int) -> tuple[str, dict[str, Any]]:
    """PyG's class and its arguments. The adjacency brings self-loops and normalisation, except to attention."""
    if isinstance(config, GINConfig):
        norm = "batch_norm" if config.batch_norm or config.mlp_batch_norm else None
        return "GINConv", {"mlp": {"channel_list": [in_channels, out_channels, out_channels], "norm": norm}}
    sizes = {"in_channels": in_channels, "out_channels": out_channels}
    if isinstance(config, GATConfig):
        last = index == config.num_layers - 1 and not config.linear
        channels = out_channels if last else config.hidden_channels  # of one head
        heads = {"heads": config.out_heads if last else config.heads, "concat": not last}
        return "GATConv", {**sizes, "out_channels": channels, **heads, "add_self_loops": _self_loops(config), "edge_dim": edge_dim or None}
    return ("GCNConv", sizes | {"normalize": False}) if isinstance(config, GCNConfig) else ("SAGEConv", sizes | {"aggr": "sum"})


def _renamed(kind: str, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights under PyG's names, each contiguous and with memory of its own."""
    found = {}
    for name, weight in weights.items():
        there, form = _place(kind, name)
        found[there] = form(weight.detach()).clone(memory_format=torch.contiguous_format)
    return found


def _place(kind: str, name: str) -> tuple[str, Form]:
    """PyG's name of a weight, and how its form is reached."""
    group, _, rest = name.partition(".")
    index, _, inner = rest.partition(".")
    if group in ("weights", "initial_weights"):  # of GCNII
        return f"conv_{index}.weight{1 if group == 'weights' else 2}", _as_it_is
    if group == "norms":
        return f"norm_{index}.{inner}", _as_it_is
    if group != "convs":
        return name, _as_it_is
    if kind == "gin" and inner.startswith("norm."):
        return f"conv_{index}.nn.norms.0.module.{inner.removeprefix('norm.')}", _as_it_is
    there, form = CONVOLUTIONS[kind].get(inner, (inner, _as_it_is))
    return f"conv_{index}.{there}", form


def _class_names(run: Path, num_classes: int) -> list[str]:
    """The dataset's labels, from the run's summary; the numbers of the classes where it has none."""
    names = read_summary(run / "summary.json").get("classes") or [str(number) for number in range(num_classes)]
    if not isinstance(names, list) or len(names) != num_classes:
        found = len(names) if isinstance(names, list) else type(names).__name__
        raise UserError(f"{run / 'summary.json'}: classes is of {found}, expected a list of {num_classes} names. Restore an intact copy.")
    return [str(name) for name in names]
