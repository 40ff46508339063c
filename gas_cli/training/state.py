"""The state of a training: what a resumed run has to find again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from gas_cli.method.method import Method
from gas_cli.model.model import Model
from gas_cli.training.average import Average
from gas_cli.training.checked import check_generators, check_optimizer, check_weights
from gas_cli.training.identity import check_same_run
from gas_cli.training.optimizer import Optimizer
from gas_cli.training.progress import Progress
from gas_cli.training.updates import Updates


@dataclass
class TrainingState:
    """All that outlives a step; torch's generators belong to it. Everything else of a training follows from the configuration.

    identity  which run it belongs to (`identity_of`)
    """

    identity: Mapping[str, Any]
    model: Model
    optimizer: Optimizer
    method: Method
    updates: Updates
    average: Average | None
    progress: Progress = field(default_factory=Progress)

    def state_dict(self) -> dict[str, Any]:
        device = self.method.device
        return {
            "fingerprint": self.identity,
            "schema": self.method.problem.graph.described(),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "method": self.method.state_dict(),
            **({} if self.average is None else {"average": self.average.state_dict()}),
            "progress": self.progress.state_dict(),
            "rng": {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None},
        }

    def restore(self, saved: Mapping[str, Any], select: str | None) -> None:
        """Take over a checkpoint's state. Raises UserError, with nothing changed, where it is of another run or does not fit this one.

        select   the metric that chooses the best epoch, where that is not the graph's
        """
        check_same_run(saved.get("fingerprint"), self.identity)
        graph, device = self.method.problem.graph, self.method.device
        progress = Progress.from_state_dict(saved.get("progress"), self.updates.batches, graph.num_classes, graph.metric, select)
        check_weights(saved.get("model"), self.model.state_dict())
        check_optimizer(saved.get("optimizer"), self.optimizer, progress, self.updates.pending(progress.batch))
        self.method.check(saved.get("method"), progress.step)
        if self.average is not None:
            self.average.check(saved.get("average"), progress.step)
        check_generators(saved.get("rng"), device)
        self.model.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.method.load_state_dict(saved["method"])
        if self.average is not None:
            self.average.load_state_dict(saved["average"])
        self.progress = progress
        torch.set_rng_state(saved["rng"]["cpu"])
        if device.type == "cuda" and saved["rng"]["cuda"] is not None:  # of the run's device, whichever number it has by now
            torch.cuda.set_rng_state(saved["rng"]["cuda"], device)
