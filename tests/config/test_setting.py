"""A setting's help text and choices stand with its default, and subclasses inherit them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from omegaconf import OmegaConf

from gas_cli.config.setting import CHOICES, HELP, as_typed, described, setting


@dataclass
class Base:
    mode: str = setting("a", "How.", ("a", "b"))
    names: list[str] = setting(["x"], "Who.")
    options: dict[str, Any] = setting({}, "What else.")


@dataclass
class Other(Base):
    mode: str = "b"
    extra: int = 3


def test_a_class_that_changes_the_default_inherits_help_and_choices() -> None:
    assert Other().mode == "b"
    assert described(Other, "mode") == {HELP: "How.", CHOICES: ("a", "b")} == described(Base, "mode")


def test_a_field_without_metadata_has_no_description() -> None:
    assert described(Other, "extra") == {} == described(Other, "unknown")


def test_lists_and_dicts_are_not_shared_between_instances() -> None:
    first, second = Base(), Base()
    first.names.append("y")
    first.options["k"] = 1
    assert (second.names, second.options) == (["x"], {}) == (Base().names, Base().options)


@pytest.mark.parametrize("schema", [Base, Other])
def test_omegaconf_takes_such_a_class_as_a_schema(schema: type[Any]) -> None:
    node = OmegaConf.merge(OmegaConf.structured(schema), {"names": ["p", "q"]})
    assert OmegaConf.to_object(node) == schema(names=["p", "q"])


@pytest.mark.parametrize("value", [None, True, False, 3, 0.5, "adam", ["mean", "max"]])
def test_a_value_as_it_is_typed_is_read_as_that_value(value: Any) -> None:
    assert OmegaConf.to_container(OmegaConf.from_dotlist([f"key={as_typed(value)}"])) == {"key": value}
