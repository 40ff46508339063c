"""Averaged weights: an exponential mean of what the steps left, with which scores are computed.

After step t, counted from the first update, the mean is m_t = m_{t-1} + a_t (w_t - m_{t-1}) with

    a_t = (1 - d) / (1 - d^t),    d = 1 - 1 / (window · steps per epoch)

This is Σ_i d^(t-i) w_i / Σ_i d^(t-i) over the steps i = 1..t: a_1 = 1, so the initial weights have no part in it, and over the first
steps it is nearly their plain mean.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from gas_cli.saved import check_keys, misfit
from gas_cli.training.checked import check_weights

KEYS = ("weights", "steps")


class Average:
    """The mean of a model's parameters and floating-point buffers (running statistics of norms); buffers of integers are copied.

    `window` is in epochs of `steps_per_epoch` steps. What is no part of the model's `state_dict` is not averaged.
    """

    def __init__(self, model: nn.Module, window: float, steps_per_epoch: int) -> None:
        self.window, self.steps = window * steps_per_epoch, 0
        live = {name: value for name, value in model.state_dict(keep_vars=True).items() if isinstance(value, Tensor)}
        unique = {id(value): (value, value.detach().clone()) for value in live.values()}  # tied weights are averaged once
        self.weights = {name: unique[id(value)][1] for name, value in live.items()}
        self._pairs = list(unique.values())
        self._moving = [pair for pair in self._pairs if pair[1].is_floating_point()]
        self._copied = [pair for pair in self._pairs if not pair[1].is_floating_point()]
        self._live, self._means = [live for live, _ in self._moving], [mean for _, mean in self._moving]

    @torch.no_grad()
    def step(self, updated: bool) -> None:
        """Take in the weights after a step; those before the first one that `updated` them have no part."""
        if updated or self.steps > 0:
            self.steps += 1
            torch._foreach_lerp_(self._means, self._live, share(self.window, self.steps))

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model computes with the mean; afterwards it has its own weights again, in the same memory."""
        for live, mean in self._copied:
            mean.copy_(live)
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for live, mean in self._moving:
            live.data, mean.data = mean.data, live.data

    def state_dict(self) -> dict[str, Any]:
        """weights: as the model's `state_dict`; steps: how many they are the mean of."""
        for live, mean in self._copied:
            mean.copy_(live)
        return {"weights": dict(self.weights), "steps": self.steps}

    def check(self, saved: Any, step: int) -> None:
        """Raise UserError unless `saved` is a `state_dict` of this model after `step` steps of the training."""
        check_weights(scoring_weights({"average": saved}, averaged=True), self.weights)
        if type(saved["steps"]) is not int or not 0 <= saved["steps"] <= step:
            misfit(f"the average is of {str(saved['steps'])[:80]} steps", f"a whole number from 0 to {step}")

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`, for what `check` has passed."""
        for name, mean in self.weights.items():
            mean.copy_(state["weights"][name])
        self.steps = state["steps"]


def share(window: float, step: int) -> float:
    """The weight a_t of step `step` = 1, 2, … in the mean over a `window` of so many steps; at most 1, which is a window of one step."""
    if step == 1 or window <= 1:
        return 1.0
    rate = 1 / window
    return rate / -math.expm1(step * math.log1p(-rate))


def scoring_weights(state: Mapping[str, Any], averaged: bool) -> Any:
    """The weights in a checkpoint by which its run was scored: the mean where it is `averaged`, else the model's; to be checked.

    Raises UserError where there is no average.
    """
    if not averaged:
        return state.get("model")
    check_keys("the average", state.get("average"), KEYS)
    return state["average"]["weights"]
