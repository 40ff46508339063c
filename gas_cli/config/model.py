"""Settings of the `model` group: one dataclass per architecture, all with the options of the paper's configurations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from gas_cli.config.checks import require, require_between, require_name, require_positive, require_subset, require_whole
from gas_cli.config.setting import setting

ACTIVATIONS = ("relu", "elu")
NORMALIZATIONS = ("sym", "mean")
AGGREGATORS = ("mean", "std", "var", "sum", "max", "min")
SCALERS = ("identity", "amplification", "attenuation", "linear", "inverse_linear")
JUMPS = ("cat", "max")
MAX_LAYERS, MAX_HEADS = 1_000, 1_024
MAX_WIDTH = 65_536
"""Channels of a layer, heads included: one square matrix of weights then takes 16 GiB, and Adam three more of them."""


@dataclass
class ModelConfig:
    """What every architecture shares.

    `implementation` is the model's class, or names it: `my_package.models:MyModel`.

    `kept_rows` and `kept_messages` are what a step has in memory at its worst moment, in rows of a layer's width: per target, and per edge
    (0 where a layer makes only sums). They are measured for the shipped models (docs/log.md) and high for others.
    """

    implementation: ClassVar[Any] = ""
    kept_rows: ClassVar[int] = 8
    kept_messages: ClassVar[int] = 6
    name: str = setting("???", "Which architecture; decided by the file chosen for the group.")
    num_layers: int = setting(2, "Message-passing layers L.")
    hidden_channels: int = setting(64, "Hidden channels D.")
    dropout: float = setting(0.5, "Dropout probability of the hidden layers.")
    drop_input: bool = setting(True, "Dropout on the raw features as well.")
    normalization: str | None = setting(
        "sym",
        "`sym`: D^-1/2 (A + I) D^-1/2; `mean`: divided by the in-degree; `null`: weights as they are.",
        NORMALIZATIONS,
    )
    self_loops: bool = setting(True, "Add a self-loop of weight 1 to every node that has none (`sym` always does).")

    def __post_init__(self) -> None:
        require_name("model.name", self.name)
        require_whole("model.num_layers", self.num_layers, 1, MAX_LAYERS)
        require_whole("model.hidden_channels", self.hidden_channels, 1, MAX_WIDTH)
        require(0 <= self.dropout < 1, "model.dropout", self.dropout, "at least 0 and less than 1")
        kinds = (None, *NORMALIZATIONS)
        require(self.normalization in kinds, "model.normalization", self.normalization, "null or one of " + ", ".join(NORMALIZATIONS))


@dataclass
class HiddenLayersConfig(ModelConfig):
    """Models whose hidden layers may have batch normalisation and a residual connection."""

    batch_norm: bool = setting(False, "Batch normalisation of the hidden layers.")
    track_running_stats: bool = setting(
        True,
        "Batch normalisation by running statistics in evaluation; `false`: by those of each batch, so that the evaluation "
        "depends on the batches.",
    )
    residual: bool = setting(False, "Add a layer's input to its output where the widths agree.")


@dataclass
class StackConfig(HiddenLayersConfig):
    """Models made of like layers."""

    linear: bool = setting(False, "A linear layer before the first and one after the last convolution.")
    activation: str = setting("relu", "Activation of the hidden layers.", ACTIVATIONS)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.activation in ACTIVATIONS, "model.activation", self.activation, "one of " + ", ".join(ACTIVATIONS))


@dataclass
class GCNConfig(StackConfig):
    """GCN: symmetric normalisation with self-loops."""

    implementation: ClassVar[Any] = "gas_cli.model.gcn:GCN"
    kept_rows: ClassVar[int] = 3
    kept_messages: ClassVar[int] = 0
    name: str = "gcn"


@dataclass
class SAGEConfig(StackConfig):
    """GraphSAGE with mean aggregation: a matrix for the node itself and one for the mean of its neighbours."""

    implementation: ClassVar[Any] = "gas_cli.model.sage:SAGE"
    kept_rows: ClassVar[int] = 5
    kept_messages: ClassVar[int] = 0
    name: str = "sage"
    normalization: str | None = "mean"
    self_loops: bool = False


@dataclass
class GINConfig(StackConfig):
    """GIN: sums of neighbours through a two-layer perceptron per layer."""

    implementation: ClassVar[Any] = "gas_cli.model.gin:GIN"
    kept_rows: ClassVar[int] = 6
    kept_messages: ClassVar[int] = 0
    name: str = "gin"
    mlp_batch_norm: bool = setting(False, "Batch normalisation inside the perceptrons only; `batch_norm` has it inside as well.")
    normalization: str | None = None
    self_loops: bool = False


@dataclass
class GATConfig(StackConfig):
    """GAT and GATv2."""

    implementation: ClassVar[Any] = "gas_cli.model.gat:GAT"
    kept_rows: ClassVar[int] = 6
    name: str = "gat"
    hidden_channels: int = 8
    dropout: float = 0.6
    heads: int = setting(8, "Attention heads of the hidden layers, concatenated; `hidden_channels` is the width of one.")
    out_heads: int = setting(1, "Attention heads of the last layer, averaged.")
    version: int = setting(1, "1: GAT; 2: GATv2, whose attention ranks the sources differently for every target.")
    activation: str = "elu"
    normalization: str | None = None
    edge_attr: bool = setting(True, "Read the graph's edge attributes, where it has any.")

    def __post_init__(self) -> None:
        super().__post_init__()
        require_whole("model.heads", self.heads, 1, MAX_WIDTH // self.hidden_channels)
        require_whole("model.out_heads", self.out_heads, 1, MAX_HEADS)
        require(self.version in (1, 2), "model.version", self.version, "1 (GAT) or 2 (GATv2)")


@dataclass
class PNAConfig(StackConfig):
    """PNA: every aggregation of the neighbours' messages, scaled by every function of the degree; edge weights are not used."""

    implementation: ClassVar[Any] = "gas_cli.model.pna:PNA"
    kept_rows: ClassVar[int] = 15
    kept_messages: ClassVar[int] = 0
    name: str = "pna"
    aggregators: list[str] = setting(["mean", "max"], "A list of different ones.", AGGREGATORS)
    scalers: list[str] = setting(
        ["identity", "amplification"],
        "What each aggregation is multiplied by, functions of the in-degree; a list of different ones.",
        SCALERS,
    )
    normalization: str | None = None
    self_loops: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        require_subset("model.aggregators", self.aggregators, AGGREGATORS)
        require_subset("model.scalers", self.scalers, SCALERS)


@dataclass
class PNAJKConfig(PNAConfig):
    """PNA with jumping knowledge: the last linear layer reads h_0 and the outputs of all layers."""

    implementation: ClassVar[Any] = "gas_cli.model.pna:PNAJK"
    name: str = "pna_jk"
    linear: bool = True
    jump: str = setting("cat", "How the outputs of the layers are joined: side by side, or their maximum by channel.", JUMPS)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.linear, "model.linear", self.linear, "true: the layers' outputs are joined by a linear layer")
        require(self.jump in JUMPS, "model.jump", self.jump, "one of " + ", ".join(JUMPS))


@dataclass
class ConvConfig(StackConfig):
    """Any bipartite convolution of torch_geometric.nn by its class name."""

    implementation: ClassVar[Any] = "gas_cli.model.conv:Conv"
    name: str = "conv"
    conv: str = setting(
        "SAGEConv",
        "Class name of a bipartite convolution in `torch_geometric.nn`; an error names the nearest ones.",
    )
    conv_args: dict[str, Any] = setting({}, "Further arguments of its constructor, as `model.conv_args.aggr=max`.")
    normalization: str | None = None
    self_loops: bool = False
    edge_attr: bool = setting(True, "Give the graph's edge attributes, where it has any, to a convolution that takes `edge_dim`.")


@dataclass
class CustomConfig(StackConfig):
    """The user's class: a bipartite convolution in the frame of the other models, or a whole `Model`."""

    name: str = "custom"
    module: str = setting(
        "",
        "Python file or installed module with [your layer or model](own-layer.md). It is imported: its code runs.",
    )
    layer: str = setting("", "The class in it; empty takes the only one.")
    layer_args: dict[str, Any] = setting(
        {}, "Further arguments of its constructor, as `model.layer_args.KEY=VALUE`; a `Model` finds them in its config."
    )
    normalization: str | None = None
    self_loops: bool = False
    edge_attr: bool = setting(True, "Give the graph's edge attributes, where it has any, to a convolution that takes them.")

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.module != "", "model.module", "''", "a Python file or an importable module, as in model.module=my_layers.py")


@dataclass
class GCNIIConfig(HiddenLayersConfig):
    """GCNII: GCN with initial residual and identity mapping."""

    implementation: ClassVar[Any] = "gas_cli.model.gcnii:GCNII"
    kept_rows: ClassVar[int] = 2
    kept_messages: ClassVar[int] = 0
    name: str = "gcnii"
    num_layers: int = 16
    alpha: float = setting(0.1, "Strength of the initial residual.")
    theta: float = setting(0.5, "Identity mapping of layer l (from 1) with strength log(theta / l + 1).")
    shared_weights: bool = setting(True, "One matrix for propagated and initial representation; `false` gives GCNII*.")

    def __post_init__(self) -> None:
        super().__post_init__()
        require_between("model.alpha", self.alpha, 0.0, 1.0)
        require_positive("model.theta", self.theta)


@dataclass
class APPNPConfig(ModelConfig):
    """APPNP: a two-layer perceptron, then steps of personalised PageRank."""

    implementation: ClassVar[Any] = "gas_cli.model.appnp:APPNP"
    kept_rows: ClassVar[int] = 3
    kept_messages: ClassVar[int] = 0
    name: str = "appnp"
    num_layers: int = 10
    alpha: float = setting(0.1, "Teleport probability.")

    def __post_init__(self) -> None:
        super().__post_init__()
        require_between("model.alpha", self.alpha, 0.0, 1.0)
