"""Settings of the `method` group: how a training step sees the graph. One dataclass per method, which answers what it asks of the rest."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from gas_cli.config.checks import require, require_name
from gas_cli.config.partitioner import PartitionerConfig
from gas_cli.config.setting import setting
from gas_cli.errors import UserError

if TYPE_CHECKING:
    from gas_cli.config.root import Config


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
