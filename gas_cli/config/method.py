"""Settings of the `method` group: how a training step sees the graph. One dataclass per method, which answers what it asks of the rest."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from gas_cli.config.checks import MAX_COUNT, require, require_between, require_name, require_whole
from gas_cli.config.partitioner import PartitionerConfig
from gas_cli.config.setting import as_typed, setting
from gas_cli.errors import UserError

if TYPE_CHECKING:
    from gas_cli.config.model import ModelConfig
    from gas_cli.config.root import Config
    from gas_cli.config.training import TrainerConfig

log = logging.getLogger(__name__)

CUT, HISTORY = GRADIENTS = ("cut", "history")
MEASURED = "measured"
CV, CVD = ESTIMATORS = ("cv", "cvd")
SCORES = ("constant", "linear", "square", "concave", "sine")
ONE_SCALE = (
    "Using trainer.loss_weighting=full_batch: histories of gradients need one scale in all batches, and batch_mean weighs a node by how "
    "many of its batch train."
)


@dataclass
class MethodConfig:
    """What every method has; as it stands, one whose steps see some of the parts and remember nothing.

    `implementation` names the method's class, as in `my_package.methods:MyMethod`; without `has_parts` it takes one that is the graph.
    """

    implementation: ClassVar[Any] = ""
    has_parts: ClassVar[bool] = True
    name: str = setting("???", "Decided by the file chosen for the group.")

    def __post_init__(self) -> None:
        require_name("method.name", self.name)

    def settled(self, config: TrainerConfig) -> TrainerConfig:
        """The loop's settings with those that the method decides."""
        return config

    def check(self, config: Config) -> None:
        """Raise UserError where another group contradicts the method."""
        batch_parts, num_parts = config.trainer.batch_parts, config.partitioner.num_parts
        if isinstance(batch_parts, int) and isinstance(num_parts, int) and config.partitioner.name != "file":  # it says how many
            self.check_parts(batch_parts, num_parts, "partitioner.num_parts={}")
        if config.evaluation.mode != "exact":
            self.require_histories("evaluation.mode", config.evaluation.mode, "exact")
        if config.history.waves:
            self.require_histories("history.waves", str(config.history.waves), "0")

    def partitioner(self, config: PartitionerConfig) -> PartitionerConfig:
        """The partition that training uses."""
        return config

    def check_parts(self, batch_parts: int, num_parts: int, source: str) -> None:
        """Raise UserError where a step wants more parts than there are; `source` says where their number, {}, comes from."""
        require(batch_parts <= num_parts, "trainer.batch_parts", batch_parts, f"at most {source.format(num_parts)}")

    def require_histories(self, key: str, value: str, instead: str) -> None:
        """Raise UserError for a setting that reads histories, where the method keeps none."""
        raise UserError(f"{key}={value} is not valid with method={self.name}, which keeps no histories. Use {key}={instead}.")


@dataclass
class WithHistories(MethodConfig):
    """What the methods have that keep histories."""

    def require_histories(self, key: str, value: str, instead: str) -> None:
        """There are some."""


@dataclass
class GASConfig(WithHistories):
    """Mini-batches of parts; neighbours outside the batch come from historical embeddings."""

    implementation: ClassVar[Any] = "gas_cli.method.gas:GAS"
    name: str = "gas"
    gradients: str = setting(
        CUT,
        "What the backward pass knows of nodes outside the batch. `cut`: nothing, as published; `history`: the gradients that they had "
        "when they were last computed ([details](methods.md#gradient-histories)).",
        GRADIENTS,
    )
    trust: Any = setting(
        1,
        "Factor from 0 to 1 on these gradients; `measured`: by layer, how well old ones predict new ones.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.gradients in GRADIENTS, "method.gradients", self.gradients, "one of " + ", ".join(GRADIENTS))
        if self.trust != MEASURED:
            number = type(self.trust) in (int, float) and 0 <= self.trust <= 1
            require(number, "method.trust", as_typed(self.trust), f"{MEASURED} or a number from 0 to 1")
        default = self.gradients == HISTORY or self.trust == 1
        require(default, "method.trust", self.trust, "1 with method.gradients=cut, which keeps no gradients to trust in")

    def settled(self, config: TrainerConfig) -> TrainerConfig:
        return config if self.gradients == CUT else _one_scale(config)

    def check(self, config: Config) -> None:
        super().check(config)
        if self.gradients == HISTORY:
            _check_one_pass(config.trainer, "0 with method.gradients=history")


@dataclass
class GraphFMConfig(WithHistories):
    """GAS that also moves the histories of the halo towards what the batch sends to it."""

    implementation: ClassVar[Any] = "gas_cli.method.graphfm:GraphFM"
    name: str = "graphfm"
    momentum: float = setting(
        0.1, "Share from 0 to 1 of the messages of the batch in a new history of a halo node (γ). 0 is GAS; published: 0.1 to 0.95."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require_between("method.momentum", self.momentum, 0, 1)


@dataclass
class LMCConfig(WithHistories):
    """GAS whose steps compute the halo too, as far as the batch shows it, forward and backward."""

    implementation: ClassVar[Any] = "gas_cli.method.lmc:LMC"
    name: str = "lmc"
    alpha: float = setting(
        0.8, "Factor from 0 to 1 of `method.score` in β, the share of what a step finds in the rows of the halo; the rest is histories."
    )
    score: str = setting(
        "concave",
        "What β is of the share x of a halo node's messages that come from the batch and its halo. `constant`: 1, `linear`: x, `square`: "
        "x², `concave`: 2x - x², `sine`: sin x.",
        SCORES,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require_between("method.alpha", self.alpha, 0, 1)
        require(self.score in SCORES, "method.score", self.score, "one of " + ", ".join(SCORES))

    def settled(self, config: TrainerConfig) -> TrainerConfig:
        return _one_scale(config)

    def check(self, config: Config) -> None:
        super().check(config)
        _check_one_pass(config.trainer, "0 with method=lmc")


@dataclass
class FullBatchConfig(MethodConfig):
    """The whole graph in every step."""

    implementation: ClassVar[Any] = "gas_cli.method.full_batch:FullBatch"
    has_parts: ClassVar[bool] = False
    name: str = "full_batch"

    def partitioner(self, config: PartitionerConfig) -> PartitionerConfig:
        """One part that is the graph."""
        return replace(config, name="range", num_parts=1, file="")

    def check_parts(self, batch_parts: int, num_parts: int, source: str) -> None:
        """Every step has them all."""


@dataclass
class ClusterGCNConfig(MethodConfig):
    """Mini-batches of parts without the edges that leave them."""

    implementation: ClassVar[Any] = "gas_cli.method.cluster_gcn:ClusterGCN"
    name: str = "cluster_gcn"


@dataclass
class SamplingConfig(MethodConfig):
    """Mini-batches of training nodes, each with a sample of its neighbours."""

    implementation: ClassVar[Any] = "gas_cli.method.sampling:Sampling"
    has_parts: ClassVar[bool] = False
    name: str = "sampling"
    neighbours: Any = setting(
        10,
        "Neighbours drawn per node: one number for all layers, or a list with one number per layer, the hop next to the seeds first (that "
        "is the last layer), as PyG's `num_neighbors`. -1: all.",
    )
    batch_size: int = setting(1024, "Training nodes (seeds) per step.")

    def __post_init__(self) -> None:
        super().__post_init__()
        counts = self.neighbours if isinstance(self.neighbours, list) else [self.neighbours]
        valid = len(counts) > 0 and all(type(count) is int and (count == -1 or 1 <= count <= MAX_COUNT) for count in counts)
        wanted = f"-1 (all) or a whole number from 1 to {MAX_COUNT}, or a list of such numbers, one per layer"
        require(valid, "method.neighbours", as_typed(self.neighbours), wanted)
        require_whole("method.batch_size", self.batch_size, 1, MAX_COUNT)

    def check(self, config: Config) -> None:
        super().check(config)
        layers = config.model.num_layers
        fits = not isinstance(self.neighbours, list) or len(self.neighbours) == layers
        require(
            fits, "method.neighbours", as_typed(self.neighbours), f"one number for all layers, or {layers} with model.num_layers={layers}"
        )

    def partitioner(self, config: PartitionerConfig) -> PartitionerConfig:
        """Parts are for the exact evaluation only: ranges, which cost nothing to make; one where their number is not set."""
        return replace(config, name="range", file="", num_parts=config.num_parts if isinstance(config.num_parts, int) else 1)

    def check_parts(self, batch_parts: int, num_parts: int, source: str) -> None:
        """No step has parts, and an evaluation takes those that there are."""

    def fan_outs(self, num_layers: int) -> list[int]:
        """Neighbours by layer, the first layer first."""
        return self.neighbours[::-1] if isinstance(self.neighbours, list) else [self.neighbours] * num_layers


@dataclass
class VRGCNConfig(SamplingConfig):
    """Mini-batches of training nodes, each with a few sampled neighbours; histories stand in for all the others."""

    implementation: ClassVar[Any] = "gas_cli.method.vr_gcn:VRGCN"
    name: str = "vr_gcn"
    neighbours: Any = setting(
        2,
        "Nodes D that a sum reads by sample, in all layers but the first (which reads all neighbours): one number, or a list with one "
        "number per layer, the hop next to the seeds first. The node itself is one of them where the model adds self-loops. -1: all.",
    )
    batch_size: int = setting(1000, "Training nodes (seeds) per step.")
    estimator: str = setting(
        CVD,
        "What is sampled where the model has dropout. `cv`: the difference between a row and its history; `cvd`: that of the row without "
        "dropout, and apart from it what dropout adds, which takes a second forward pass.",
        ESTIMATORS,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.estimator in ESTIMATORS, "method.estimator", self.estimator, "one of " + ", ".join(ESTIMATORS))

    def check(self, config: Config) -> None:
        MethodConfig.check(self, config)
        model, sampled = config.model, config.model.num_layers - 1
        if isinstance(self.neighbours, list):
            fits = len(self.neighbours) == sampled
            wanted = f"one number for all layers, or {sampled} (all layers but the first) with model.num_layers={model.num_layers}"
            require(fits, "method.neighbours", as_typed(self.neighbours), wanted)
        if self.counts_itself(config.model):
            enough = not any(count == 1 for count in self.fan_outs(sampled))
            wanted = f"at least 2 with model={model.name}, or -1 (all): the node itself is one of them, by its self-loop"
            require(enough, "method.neighbours", as_typed(self.neighbours), wanted)
        valid = "0 with method=vr_gcn"
        dropped = config.trainer.edge_dropout
        require(dropped == 0, "trainer.edge_dropout", dropped, f"{valid}, whose histories are multiplied by the weights of all edges")
        weight = config.trainer.lipschitz.weight
        require(weight == 0, "trainer.lipschitz.weight", weight, f"{valid}: the sums of the perturbed rows would miss what histories give")

    def require_histories(self, key: str, value: str, instead: str) -> None:
        reason = {
            "history.waves": "its steps have no parts, whose histories waves renew",
        }.get(key, "its steps renew the histories of nodes around training nodes only")
        raise UserError(f"{key}={value} is not valid with method={self.name}: {reason}. Use {key}={instead}.")

    def counts_itself(self, model: ModelConfig) -> bool:
        """Whether a sum has a term of the node itself, which is never left out."""
        return model.self_loops or model.normalization == "sym"

    def others(self, model: ModelConfig) -> list[int]:
        """Neighbours to draw in the layers 1..L-1, without the node itself; -1: all."""
        itself = int(self.counts_itself(model))
        return [count if count == -1 else count - itself for count in self.fan_outs(model.num_layers - 1)]


def _one_scale(config: TrainerConfig) -> TrainerConfig:
    """The loop's settings for a method with histories of gradients."""
    if config.loss_weighting == "full_batch":
        return config
    log.info("%s", ONE_SCALE)
    return replace(config, loss_weighting="full_batch")


def _check_one_pass(config: TrainerConfig, valid: str) -> None:
    """Raise UserError for a setting under which a step has more than one gradient for a history."""
    dropped, weight = config.edge_dropout, config.lipschitz.weight
    require(dropped == 0, "trainer.edge_dropout", dropped, f"{valid}: the gradient that a node sends back is of edges with other masks")
    require(weight == 0, "trainer.lipschitz.weight", weight, f"{valid}: a penalised layer runs twice, and histories hold one gradient")
