"""Settings of the `model` group: one dataclass per architecture, all with the options of the paper's configurations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from gas_cli.config.checks import require, require_between, require_name, require_positive, require_subset, require_whole

ACTIVATIONS = ("relu", "elu")
NORMALIZATIONS = ("sym", "mean", "none")
AGGREGATORS = ("mean", "std", "var", "sum", "max", "min")
SCALERS = ("identity", "amplification", "attenuation", "linear", "inverse_linear")
JUMPS = ("cat", "max")
MAX_LAYERS, MAX_HEADS = 1_000, 1_024
MAX_WIDTH = 65_536
"""Channels of a layer, heads included: one square matrix of weights then takes 16 GiB, and Adam three more of them."""


@dataclass
class ModelConfig:
    """What every architecture shares.

    `normalization` scales the edge weights on the whole graph before training: `sym` is D^-1/2 (A + I) D^-1/2, `mean` divides
    by the in-degree, `none` leaves them. `self_loops` adds one self-loop of weight 1 per node first (`sym` implies it).
    `track_running_stats` false normalises every batch by its own statistics, in evaluation too, as PyTorch's BatchNorm does.
    `implementation` is the model's class, or names it: `my_package.models:MyModel`.
    """

    implementation: ClassVar[Any] = ""
    name: str = "???"
    num_layers: int = 2
    hidden_channels: int = 64
    dropout: float = 0.5
    drop_input: bool = True
    batch_norm: bool = False
    track_running_stats: bool = True
    residual: bool = False
    normalization: str = "sym"
    self_loops: bool = True

    def __post_init__(self) -> None:
        require_name("model.name", self.name)
        require_whole("model.num_layers", self.num_layers, 1, MAX_LAYERS)
        require_whole("model.hidden_channels", self.hidden_channels, 1, MAX_WIDTH)
        require(0 <= self.dropout < 1, "model.dropout", self.dropout, "at least 0 and less than 1")
        require(self.normalization in NORMALIZATIONS, "model.normalization", self.normalization, "one of " + ", ".join(NORMALIZATIONS))


@dataclass
class StackConfig(ModelConfig):
    """Models made of like layers; `linear` adds a linear layer before the first and after the last convolution."""

    linear: bool = False
    activation: str = "relu"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.activation in ACTIVATIONS, "model.activation", self.activation, "one of " + ", ".join(ACTIVATIONS))


@dataclass
class GCNConfig(StackConfig):
    """GCN: symmetric normalisation with self-loops."""

    implementation: ClassVar[Any] = "gas_cli.model.gcn:GCN"
    name: str = "gcn"


@dataclass
class SAGEConfig(StackConfig):
    """GraphSAGE with mean aggregation: a matrix for the node itself and one for the mean of its neighbours."""

    implementation: ClassVar[Any] = "gas_cli.model.sage:SAGE"
    name: str = "sage"
    normalization: str = "mean"
    self_loops: bool = False


@dataclass
class GINConfig(StackConfig):
    """GIN: sums of neighbours through a two-layer perceptron per layer.

    `batch_norm` normalises after every layer and inside its perceptron, `mlp_batch_norm` inside alone.
    """

    implementation: ClassVar[Any] = "gas_cli.model.gin:GIN"
    name: str = "gin"
    mlp_batch_norm: bool = False
    normalization: str = "none"
    self_loops: bool = False


@dataclass
class GATConfig(StackConfig):
    """GAT (`version` 1) and GATv2 (`version` 2): hidden layers concatenate `heads`, the last one averages `out_heads`.

    `hidden_channels` are per head. `edge_attr` reads the graph's edge attributes where it has any.
    """

    implementation: ClassVar[Any] = "gas_cli.model.gat:GAT"
    name: str = "gat"
    hidden_channels: int = 8
    dropout: float = 0.6
    heads: int = 8
    out_heads: int = 1
    version: int = 1
    activation: str = "elu"
    normalization: str = "none"
    edge_attr: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_whole("model.heads", self.heads, 1, MAX_WIDTH // self.hidden_channels)
        require_whole("model.out_heads", self.out_heads, 1, MAX_HEADS)
        require(self.version in (1, 2), "model.version", self.version, "1 (GAT) or 2 (GATv2)")


@dataclass
class PNAConfig(StackConfig):
    """PNA: every aggregation of the neighbours' messages, scaled by every function of the degree; edge weights are not used."""

    implementation: ClassVar[Any] = "gas_cli.model.pna:PNA"
    name: str = "pna"
    aggregators: list[str] = field(default_factory=lambda: ["mean", "max"])
    scalers: list[str] = field(default_factory=lambda: ["identity", "amplification"])
    normalization: str = "none"
    self_loops: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        require_subset("model.aggregators", self.aggregators, AGGREGATORS)
        require_subset("model.scalers", self.scalers, SCALERS)


@dataclass
class PNAJKConfig(PNAConfig):
    """PNA with jumping knowledge: the last linear layer reads h_0 and the outputs of all layers, concatenated or their maximum (`jump`)."""

    implementation: ClassVar[Any] = "gas_cli.model.pna:PNAJK"
    name: str = "pna_jk"
    linear: bool = True
    jump: str = "cat"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.linear, "model.linear", self.linear, "true: the layers' outputs are joined by a linear layer")
        require(self.jump in JUMPS, "model.jump", self.jump, "one of " + ", ".join(JUMPS))


@dataclass
class ConvConfig(StackConfig):
    """Any bipartite convolution of torch_geometric.nn by its class name, with further arguments of its constructor in `conv_args`.

    `edge_attr` gives the graph's edge attributes, where it has any, to a convolution that takes `edge_dim`.
    """

    implementation: ClassVar[Any] = "gas_cli.model.conv:Conv"
    name: str = "conv"
    conv: str = "SAGEConv"
    conv_args: dict[str, Any] = field(default_factory=dict)
    normalization: str = "none"
    self_loops: bool = False
    edge_attr: bool = True


@dataclass
class CustomConfig(StackConfig):
    """A class of one's own: a bipartite convolution in the frame of the other models, or a whole `Model`.

    It is in `module`, a Python file or an importable module, which is imported: its code runs. `layer` names the class where there are
    several; `layer_args` are further arguments of a convolution's constructor, and a `Model` finds them in its config.
    """

    name: str = "custom"
    module: str = ""
    layer: str = ""
    layer_args: dict[str, Any] = field(default_factory=dict)
    normalization: str = "none"
    self_loops: bool = False
    edge_attr: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.module != "", "model.module", "''", "a Python file or an importable module, as in model.module=my_layers.py")


@dataclass
class GCNIIConfig(ModelConfig):
    """GCNII: initial residual `alpha`, identity mapping with strength log(theta / layer + 1).

    `shared_weights` uses one matrix for the propagated and the initial representation, as in the paper; False gives the
    authors' variant (GCNII*) with two.
    """

    implementation: ClassVar[Any] = "gas_cli.model.gcnii:GCNII"
    name: str = "gcnii"
    num_layers: int = 16
    alpha: float = 0.1
    theta: float = 0.5
    shared_weights: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_between("model.alpha", self.alpha, 0.0, 1.0)
        require_positive("model.theta", self.theta)


@dataclass
class APPNPConfig(ModelConfig):
    """APPNP: a two-layer perceptron, then `num_layers` steps of personalised PageRank with teleport probability `alpha`."""

    implementation: ClassVar[Any] = "gas_cli.model.appnp:APPNP"
    name: str = "appnp"
    num_layers: int = 10
    alpha: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        require_between("model.alpha", self.alpha, 0.0, 1.0)
        require(not self.residual, "model.residual", self.residual, "false: APPNP has no layer to put a residual connection around")
        require(not self.batch_norm, "model.batch_norm", self.batch_norm, "false: APPNP's propagation has no normalisation layers")
