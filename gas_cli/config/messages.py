"""Errors of Hydra and OmegaConf in the words of the user: the key, what was expected, the nearest choices."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import re
import typing
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from gas_cli.config.registered import registered
from gas_cli.config.removed import REMOVED, instead
from gas_cli.config.root import Config
from gas_cli.errors import UserError

EXTRAS = {"joblib": "joblib", "submitit_local": "slurm", "submitit_slurm": "slurm", "ray": "ray"}
EXPECTED: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    int | str: "auto or a whole number",
}


@contextmanager
def translated(prefix: str = "") -> Iterator[None]:
    """Turn configuration errors inside the block into `UserError`; every other exception passes.

    The block holds calls of Hydra and OmegaConf only: Hydra raises bare `ValueError`s for overrides such as `trainer=3`.
    """
    import yaml
    from hydra.errors import HydraException
    from hydra.plugins.config_source import ConfigLoadError
    from omegaconf.errors import OmegaConfBaseException

    try:
        yield
    except UserError as error:
        raise UserError(prefix + str(error)) from error
    except (HydraException, OmegaConfBaseException, ConfigLoadError, yaml.YAMLError, ValueError, OverflowError) as error:
        raise UserError(prefix + explain(error)) from error


def explain(error: BaseException) -> str:
    """One or two sentences for an exception of Hydra, OmegaConf or the yaml reader."""
    from hydra.errors import MissingConfigException, OverrideParseException

    own = next((link for link in _chain(error) if isinstance(link, UserError)), None)
    cause = next((link for link in _chain(error) if hasattr(link, "full_key")), None)
    if own is not None:
        return str(own)
    if isinstance(error, MissingConfigException):
        return _unknown_choice(error)
    if isinstance(error, OverrideParseException):
        return f"{error.override!r} is not a valid override: expected key=value, special characters quoted, as in \"key='~/a'\"."
    if isinstance(error, OverflowError):
        key = re.search(r"full_key: (\S+)", str(error))
        return f"{key[1] if key else 'A setting'} has a number that is too large: expected one of at most 300 digits."
    if str(error).startswith("Config group override must be"):
        return "A group takes the name of one of its files, as in dataset=cora; the value of one override is not a name."
    return _bad_setting(cause) if cause is not None else _plain(str(error)) + _not_a_group(str(error))


def _bad_setting(error: Any) -> str:
    """An error of OmegaConf, which knows the key."""
    from omegaconf.errors import ConfigAttributeError, ConfigKeyError, MissingMandatoryValue, ValidationError

    if isinstance(error, MissingMandatoryValue):
        return f"{error.full_key} has no value: set {error.full_key}=..."
    if isinstance(error, ConfigAttributeError | ConfigKeyError):
        return _unknown_key(error)
    if isinstance(error, ValidationError):
        return _wrong_type(error)
    key = "" if error.full_key in (None, "", "_dummy_") else f"{error.full_key}: "
    return f"{key}{_plain(str(error.msg or error))}."


def nearest(name: str, choices: Iterable[str], prefix: str = "") -> str:
    """' Did you mean ...?', or nothing when no choice is near."""
    close = difflib.get_close_matches(name, list(choices), n=2, cutoff=0.7)
    return f" Did you mean {' or '.join(prefix + choice for choice in close)}?" if close else ""


def nearest_setting(key: str) -> str:
    """' Did you mean ...?' with a group, or with the full names of settings whose last part is near `key`."""
    full_names = [*_field_types(Config), *setting_names()]
    parts = {name.rpartition(".")[2] for name in full_names}
    close = difflib.get_close_matches(key, parts, n=2, cutoff=0.8)
    meant = list(dict.fromkeys(name for name in full_names if name.rpartition(".")[2] in close))
    return f" Did you mean {' or '.join(meant)}?" if 0 < len(meant) <= 3 else ""


def setting_names(node: type[Any] = Config) -> list[str]:
    """All dotted names of settings below a dataclass type, subclasses of its fields' types included."""
    return list(setting_types(node))


def setting_types(node: type[Any] = Config, prefix: str = "") -> dict[str, Any]:
    """The same names with the type of each."""
    found: dict[str, Any] = {}
    for key, declared in _field_types(node).items():
        field_type = without_null(declared)
        if dataclasses.is_dataclass(field_type):
            for kind in _descendants(field_type):  # the settings of a group, whichever of its types is chosen
                found |= setting_types(kind, f"{prefix}{key}.")
        else:
            found[prefix + key] = field_type
    return found


def without_null(declared: Any) -> Any:
    """`int` of `int | None`; any other type as it is."""
    kinds = [kind for kind in typing.get_args(declared) if kind is not type(None)]
    return kinds[0] if len(kinds) == 1 and type(None) in typing.get_args(declared) else declared


def _descendants(base: Any) -> list[Any]:
    """A class and all classes below it."""
    return [base, *(kind for child in base.__subclasses__() for kind in _descendants(child))]


def _unknown_choice(error: Any) -> str:
    """`dataset=corra`, or a config that a file refers to and that is not there."""
    missing, options = str(error.missing_cfg_file or ""), list(error.options or [])
    group, _, name = missing.strip("/").rpartition("/")
    if not group:
        return _plain(str(error))
    if group == "hydra/launcher" and name in EXTRAS:
        return f"hydra/launcher={name} is not installed: pip install 'gas-cli[{EXTRAS[name]}]'."
    if name in registered(group).failures:
        return f"{group}={name} is registered by an installed package, but cannot be used: {registered(group).failures[name]}."
    if told := instead(group, name):
        return f"{group}={name} is not a choice any more.{told}"
    return f"{group}={name} is unknown.{nearest(name, options)} Choices: {', '.join(options) or 'none'}."


def _not_a_group(message: str) -> str:
    """What to write instead of `- override /logger: tensorboard` in a list of defaults."""
    name = re.search(r"Could not override '(\w+)'", message)
    return f" {name[1]} is a setting: write {name[1]}: VALUE below the list of defaults." if name and name[1] in setting_names() else ""


def _unknown_key(error: Any) -> str:
    """A key that the schema does not have: look for it among its neighbours first, then in all groups."""
    full = str(error.full_key or error.key)
    parent, _, key = full.rpartition(".")
    inside = list(_field_types(error.object_type)) if parent and dataclasses.is_dataclass(error.object_type) else []
    if inside and full in setting_names():
        return f"{full} is not a setting of the chosen {parent}, which has: {', '.join(inside)}."
    if full in REMOVED:
        return f"{full} is not a setting any more. {REMOVED[full]}"
    hint = nearest(key, inside, f"{parent}.") or nearest_setting(key)
    listed = f" Settings of {parent}: {', '.join(inside)}." if inside else " gas-train --cfg job shows all settings."
    return f"{full} is not a setting.{hint}{listed}"


def _wrong_type(error: Any) -> str:
    parent = error.object_type
    declared = _field_types(parent).get(str(error.key)) if dataclasses.is_dataclass(parent) else None
    expected = without_null(declared)
    if expected in EXPECTED:
        value = "null" if "not Optional" in str(error) else _quoted(str(error))
        wanted = EXPECTED[expected] + (" or null" if expected is not declared else "")
        told = instead(str(error.full_key), value) or _once_a_group(str(error.full_key), value)
        return f"{error.full_key}={value} is not valid: expected {wanted}.{told}"
    if typing.get_origin(expected) is list:
        return f"{error.full_key}: expected a list, as in {error.full_key}=[A,B]."
    if dataclasses.is_dataclass(expected):
        return f"{error.full_key} is a group of settings: choose one of its files by name, or set {error.full_key}.KEY=VALUE."
    return f"{error.full_key}: {_plain(str(error))}"


def _once_a_group(key: str, value: str) -> str:
    """' Use ...' for the settings of a group (as text) that is one setting today."""
    gone = [told for name, told in REMOVED.items() if name.startswith(f"{key}.")]
    return f" {gone[0]}" if gone and value.startswith("{") else ""


def _quoted(message: str) -> str:
    """The value that OmegaConf quotes in its message: `Value 'abc' of type 'str' could not be converted to Integer`, or
    `Cannot convert 'DictConfig' to string: '{'name': 'abc'}'`."""
    first, *_ = message.splitlines()
    found = re.match(r"Cannot convert '\w+' to string: '(.*)'$", first) or re.match(r"Value '(.*)' of type '", first)
    parts = message.split("'")
    return found[1] if found else parts[1] if len(parts) > 2 else "?"


def _plain(message: str) -> str:
    """The first paragraph of a message, on one line, without OmegaConf's notes on types."""
    lines = message.strip().split("\n\n")[0].splitlines()
    kept = [line for line in lines if not line.strip().startswith(("full_key:", "object_type=", "reference_type="))]
    return " ".join(" ".join(kept).split())


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The exception and its causes, each once: under a debugger OmegaConf links them in a circle."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _field_types(node: Any) -> dict[str, Any]:
    hints = _type_hints(node)
    return {field.name: hints[field.name] for field in dataclasses.fields(node)}


_type_hints = functools.cache(typing.get_type_hints)
"""Remembered: the names of all settings take 10 ms without it, and every command asks for them several times."""
