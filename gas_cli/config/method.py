"""Settings of the `method` group: how a training step sees the graph. One dataclass per method, which answers what it asks of the rest."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from gas_cli.config.checks import require, require_name
from gas_cli.config.partitioner import PartitionerConfig
from gas_cli.config.setting import as_typed, setting
from gas_cli.errors import UserError

if TYPE_CHECKING:
    from gas_cli.config.root import Config
    from gas_cli.config.training import TrainerConfig

log = logging.getLogger(__name__)

CUT, HISTORY = GRADIENTS = ("cut", "history")
MEASURED = "measured"
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
        if config.evaluation.monitor is not None:
            self.require_histories("evaluation.monitor", str(config.evaluation.monitor), "null")

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
class GASConfig(MethodConfig):
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
        if self.gradients == CUT or config.loss_weighting == "full_batch":
            return config
        log.info("%s", ONE_SCALE)
        return replace(config, loss_weighting="full_batch")

    def check(self, config: Config) -> None:
        super().check(config)
        if self.gradients == CUT:
            return
        valid, dropped = "0 with method.gradients=history", config.trainer.edge_dropout
        require(dropped == 0, "trainer.edge_dropout", dropped, f"{valid}: the gradient that a node sends back is of edges with other masks")
        weight = config.trainer.lipschitz.weight
        require(weight == 0, "trainer.lipschitz.weight", weight, f"{valid}: a penalised layer runs twice, and histories hold one gradient")

    def require_histories(self, key: str, value: str, instead: str) -> None:
        """There are some."""


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
