"""From a method's settings to the method."""

from __future__ import annotations

import torch

from gas_cli.config.method import MethodConfig
from gas_cli.config.root import Config
from gas_cli.graph.graph import Split
from gas_cli.method.method import Method
from gas_cli.model.model import Model
from gas_cli.prepared.problem import Problem
from gas_cli.user_code import implementation


def make_method(config: Config, problem: Problem, split: Split, model: Model, device: torch.device) -> Method:
    """The method of `config` for one training of `model`. Raises UserError where its tables have no room."""
    return method_class(config.method)(config, problem, split, model, device)


def method_class(config: MethodConfig) -> type[Method]:
    """The class that the settings stand for. Raises UserError where it cannot be had."""
    return implementation(config.implementation, Method, f"method={config.name}")  # type: ignore[type-abstract]
