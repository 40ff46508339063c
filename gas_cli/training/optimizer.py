"""Adam with two weight-decay groups, gradient clipping and learning-rate schedules."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import lr_scheduler

from gas_cli.config.metrics import METRICS, MetricKind
from gas_cli.config.training import OptimizerConfig
from gas_cli.model.model import Model


class PlainAdam(torch.optim.Adam):
    """torch's Adam without the wrappers by which its methods import torch's compiler, which nothing here uses: they cost every process more
    than a second and 70 MiB. The methods themselves are torch's.
    """

    add_param_group = inspect.unwrap(torch.optim.Adam.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.Adam.zero_grad)
    state_dict = inspect.unwrap(torch.optim.Adam.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.Adam.load_state_dict)
    step = torch.no_grad()(inspect.unwrap(torch.optim.Adam.step))


class Optimizer:
    """Owns the parameters' updates. `add` each batch's loss, `update` once per batch or per some of them, `epoch_end` once per epoch;
    `plateau` listens to a metric.

    waiting   how many losses were added since the last update: their gradients are state, too
    """

    def __init__(self, model: Model, config: OptimizerConfig, epochs: int, metric: MetricKind = METRICS["accuracy"]) -> None:
        self.config, self.metric = config, metric
        self._parameters: list[nn.Parameter] = [p for p in model.parameters() if p.requires_grad]
        regularized = {id(p) for p in model.regularized()}
        groups = [
            {"params": [p for p in self._parameters if id(p) in regularized], "weight_decay": config.reg_weight_decay},
            {"params": [p for p in self._parameters if id(p) not in regularized], "weight_decay": config.weight_decay},
        ]
        self.waiting = 0
        self.adam = PlainAdam([g for g in groups if g["params"]], lr=config.lr, fused=True)  # one pass for all parameters
        self._scheduler = self._make_scheduler(epochs)

    @property
    def parameters(self) -> Sequence[nn.Parameter]:
        """All that it updates, in the model's order."""
        return self._parameters

    def _make_scheduler(self, epochs: int) -> Any:
        c = self.config
        if c.schedule == "cosine":
            return lr_scheduler.CosineAnnealingLR(self.adam, T_max=epochs, eta_min=c.min_lr)
        if c.schedule == "step":
            return lr_scheduler.StepLR(self.adam, step_size=c.step_epochs, gamma=c.gamma)
        if c.schedule == "plateau":
            mode: Literal["min", "max"] = "max" if self.metric.higher else "min"
            # torch's relative threshold supposes numbers that are not negative: below 0 it would call an equal value better
            threshold: Literal["rel", "abs"] = "rel" if self.metric.low >= 0 else "abs"
            return lr_scheduler.ReduceLROnPlateau(
                self.adam, mode=mode, factor=c.gamma, patience=c.step_epochs, threshold_mode=threshold, min_lr=c.min_lr
            )
        return lr_scheduler.ConstantLR(self.adam, factor=1.0)

    @property
    def lr(self) -> float:
        return float(self.adam.param_groups[0]["lr"])

    def add(self, loss: Tensor) -> None:
        """Run backward, and add the gradients to those that wait for an update."""
        if self.waiting == 0:
            self.adam.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.waiting += 1

    def update(self, batches: int = 1) -> bool:
        """Clip (2-norm over all parameters) the mean gradient of `batches` batches and update; False where none of them had a loss."""
        if self.waiting == 0:
            return False
        self.waiting = 0
        if batches > 1:  # here and not in the losses: what flows backward has one scale, however many they are
            torch._foreach_div_([p.grad for p in self._parameters if p.grad is not None], batches)
        if self.config.grad_norm is not None:
            nn.utils.clip_grad_norm_(self._parameters, self.config.grad_norm)
        self.adam.step()
        return True

    def epoch_end(self, val: float) -> None:
        """Advance the schedule; `val` is the latest validation metric (nan before the first evaluation)."""
        if not isinstance(self._scheduler, lr_scheduler.ReduceLROnPlateau):
            with warnings.catch_warnings():
                # A run resumed at the very end of an epoch steps the schedule before this process' first update: that is in order.
                warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step")
                self._scheduler.step()
        elif not math.isnan(val):
            self._scheduler.step(val)

    def state_dict(self) -> dict[str, Any]:
        """With `waiting` and `gradients` (None for a parameter without) only where some wait."""
        state = {"adam": self.adam.state_dict(), "scheduler": self._scheduler.state_dict()}
        return {**state, "waiting": self.waiting, "gradients": [p.grad for p in self._parameters]} if self.waiting else state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.waiting = state.get("waiting", 0)
        for parameter, gradient in zip(self._parameters, state.get("gradients", ()), strict=self.waiting > 0):
            parameter.grad = None if gradient is None else torch.empty_like(parameter).copy_(gradient)
        self.adam.load_state_dict(state["adam"])
        for owner, moments in self.adam.state.items():
            for name, value in moments.items():
                # The fused update walks all of them by address: they need the parameter's layout and memory of their own.
                moments[name] = torch.empty_like(owner).copy_(value) if name != "step" else value.clone()
        length = getattr(self._scheduler, "T_max", None)
        self._scheduler.load_state_dict(state["scheduler"])
        if length is not None and length != self._scheduler.T_max:
            self._stretch(length)

    def _stretch(self, length: int) -> None:
        """Go on with the cosine over `length` epochs: torch computes each rate from the one before, of another length."""
        self._scheduler.T_max = length
        self._scheduler._last_lr = self._scheduler._get_closed_form_lr()
        for group, lr in zip(self.adam.param_groups, self._scheduler._last_lr, strict=True):
            group["lr"] = lr
