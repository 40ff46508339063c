"""The whole configuration of a run, and the checks that concern several groups at once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from gas_cli.config.checks import AUTO, MAX_SEED, require, require_whole
from gas_cli.config.dataset import DatasetConfig, GeneratedConfig
from gas_cli.config.history import HistoryConfig
from gas_cli.config.method import GASConfig, MethodConfig
from gas_cli.config.model import GCNConfig, ModelConfig
from gas_cli.config.partitioner import PartitionerConfig
from gas_cli.config.setting import setting
from gas_cli.config.training import EvaluationConfig, OptimizerConfig, TrainerConfig

DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("float32", "bfloat16")
LOGGERS = ("tensorboard",)
MAX_RUNS = 10_000


@dataclass
class Config:
    """What `gas-train` runs: one instance per run, valid once constructed."""

    dataset: DatasetConfig = field(default_factory=GeneratedConfig)
    partitioner: PartitionerConfig = field(default_factory=PartitionerConfig)
    model: ModelConfig = field(default_factory=GCNConfig)
    history: HistoryConfig = field(default_factory=HistoryConfig)
    method: MethodConfig = field(default_factory=GASConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    seed: int = setting(0, "Seed of parameters, dropout, batches and (`dataset.split=-1`) the split. 0 is a seed like any other.")
    runs: int = setting(
        1,
        "Repetitions with the seeds `seed`, `seed`+1 and so on; each in `runs/NN` of the run's folder, and the summary holds mean and std.",
    )
    device: str = setting("auto", "Where to compute; `auto` takes CUDA where there is one.", DEVICES)
    precision: str = setting(
        "float32",
        "`bfloat16` rounds the operands of dense products. On CUDA it is autocast; parameters and aggregation stay in "
        "float32. On the CPU it pays for wide products only, on processors with bfloat16 instructions (AVX512-BF16, AMX); small"
        " graphs are slower.",
        PRECISIONS,
    )
    deterministic: bool = setting(False, "Ask torch for deterministic algorithms; on the CPU runs are reproducible without it.")
    logger: str | None = setting(
        None, "`tensorboard`: event files as well as metrics.jsonl; `null` for none. It is an extra: `gas-cli[tensorboard]`.", LOGGERS
    )
    resume: str = setting("", "A run's folder to continue (single runs), or `auto`: continue each job whose folder holds a checkpoint.")

    def __post_init__(self) -> None:
        require_whole("runs", self.runs, 1, MAX_RUNS)
        folds = self.dataset.folds
        require(self.runs == 1 or folds is None, "runs", self.runs, f"1 with dataset.folds={folds}, which makes {folds} runs")
        require_whole("seed", self.seed, 0, MAX_SEED - (self.runs - 1))
        require(self.device in DEVICES, "device", self.device, "one of " + ", ".join(DEVICES))
        require(self.precision in PRECISIONS, "precision", self.precision, "one of " + ", ".join(PRECISIONS))
        require(self.logger in (None, *LOGGERS), "logger", self.logger, "null or " + ", ".join(LOGGERS))
        self.trainer = self.method.settled(self.trainer)
        self.method.check(self)
        require(
            self.trainer.average == 0 or self.evaluation.mode == "exact",
            "evaluation.mode",
            self.evaluation.mode,
            f"exact with trainer.average={self.trainer.average:g}: histories are of the live weights, scores of the averaged ones",
        )
        require(
            self.trainer.lipschitz.weight == 0 or self.model.num_layers > 2,
            "trainer.lipschitz.weight",
            self.trainer.lipschitz.weight,
            f"0 with model.num_layers={self.model.num_layers}: it regularises the hidden layers after the first, so it needs three layers",
        )

    @property
    def has_auto(self) -> bool:
        """Whether a number of parts is still to be decided."""
        return AUTO in (self.partitioner.num_parts, self.trainer.batch_parts)

    def with_parts(self, num_parts: int, batch_parts: int) -> Config:
        """The same with these numbers in the place of `auto`; a step of `trainer.batch_parts` takes no more parts than are decided here."""
        if not self.has_auto:
            return self
        parts, taken = self.partitioner.num_parts, self.trainer.batch_parts
        taken = batch_parts if isinstance(taken, str) else taken if isinstance(parts, int) else min(taken, num_parts)
        return replace(
            self,
            partitioner=replace(self.partitioner, num_parts=num_parts if isinstance(parts, str) else parts),
            trainer=replace(self.trainer, batch_parts=taken),
        )

    def single_runs(self) -> list[Config]:
        """The settings of each run: of every fold, of every seed, or these."""
        if self.dataset.folds is not None and self.dataset.split < 0:
            return [replace(self, dataset=replace(self.dataset, split=fold)) for fold in range(self.dataset.folds)]
        return [replace(self, runs=1, seed=self.seed + number) for number in range(self.runs)]
