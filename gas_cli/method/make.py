"""From a method's settings to the method."""

from __future__ import annotations

from gas_cli.config.method import MethodConfig
from gas_cli.method.method import Method, Training
from gas_cli.user_code import implementation


def make_method(config: MethodConfig, training: Training) -> Method:
    """The method of `config` for one training. Raises UserError where its tables have no room."""
    return method_class(config)(config, training)


def method_class(config: MethodConfig) -> type[Method]:
    """The class that the settings stand for. Raises UserError where it cannot be had."""
    return implementation(config.implementation, Method, f"method={config.name}")  # type: ignore[type-abstract]
